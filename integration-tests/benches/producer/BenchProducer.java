import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.util.Arrays;
import java.util.Properties;
import java.util.Random;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * A producer of Kafka's own library for the benchmark: what client_process.rs is for Ottla's and rdkafka_client.c for
 * librdkafka, with the same arguments and output.
 *
 * Arguments: TOPIC [KEY=VALUE...]. size=BYTES of a value; rate=RECORDS a second, in an open loop, 0: as fast as it
 * can; count=RECORDS, 0: until the standard input ends; uncounted=RECORDS of them at the beginning; keys=1: with keys;
 * print=total, percentiles or acks. Any other key is the producer's own.
 */
public class BenchProducer {
    /** Made once: more of them than a batch holds, so that no codec finds one twice. */
    private static final int VALUES = 4096;
    private static final long SPIN_NANOS = 15_000;

    private static final Properties settings = new Properties();
    private static final LongAdder delivered = new LongAdder();
    private static final LongAdder failed = new LongAdder();
    private static int size = 100;
    private static long rate, count, uncounted, keys, start;
    private static long[] latencies;
    private static String print = "total";
    private static volatile boolean stopped;

    public static void main(String[] args) throws Exception {
        for (int i = 1; i < args.length; i++) {
            String[] pair = args[i].split("=", 2);
            switch (pair[0]) {
                case "size": size = Integer.parseInt(pair[1]); break;
                case "rate": rate = Long.parseLong(pair[1]); break;
                case "count": count = Long.parseLong(pair[1]); break;
                case "uncounted": uncounted = Long.parseLong(pair[1]); break;
                case "keys": keys = Long.parseLong(pair[1]); break;
                case "print": print = pair[1]; break;
                default: settings.put(pair[0], pair[1]);
            }
        }
        byte[][] values = new byte[VALUES][size], names = new byte[VALUES][];
        Random random = new Random(1);
        for (int i = 0; i < VALUES; i++) {
            for (int j = 0; j < size; j++) {
                values[i][j] = (byte) ('A' + random.nextInt(26));
            }
            names[i] = String.format("%08d", i).getBytes();
        }
        latencies = new long[print.equals("percentiles") ? Math.toIntExact(count - uncounted) : 0];
        if (count == 0) {
            Thread reader = new Thread(BenchProducer::waitForEnd);
            reader.setDaemon(true);
            reader.start();
        }
        PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), true);
        ByteArraySerializer bytes = new ByteArraySerializer();
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings, bytes, bytes)) {
            producer.partitionsFor(args[0]);
            start = System.nanoTime() + 20_000_000;
            for (long number = 0; !stopped && (count == 0 || number < count); number++) {
                if (rate > 0) {
                    waitUntil(due(number));
                }
                int pick = (int) (number % VALUES);
                long own = number;
                byte[] key = keys == 0 ? null : names[pick];
                producer.send(new ProducerRecord<>(args[0], key, values[pick]), (metadata, error) -> {
                    if (error != null) {
                        if (failed.sum() == 0) {
                            System.err.println("record " + own + ": " + error);
                        }
                        failed.increment();
                        return;
                    }
                    delivered.increment();
                    if (print.equals("acks")) {
                        java.time.Instant now = java.time.Instant.now();
                        out.println(metadata.offset() + " " + (now.getEpochSecond() * 1_000_000 + now.getNano() / 1000));
                    } else if (latencies.length > 0 && own >= uncounted) {
                        latencies[(int) (own - uncounted)] = System.nanoTime() - due(own);
                    }
                });
            }
        }
        if (print.equals("total")) {
            out.println(delivered.sum() + " " + failed.sum());
        } else if (print.equals("percentiles")) {
            Arrays.sort(latencies);
            out.println(percentile(0.5) + " " + percentile(0.99) + " " + percentile(0.999) + " " + percentile(1.0) + " "
                + failed.sum());
        }
        System.exit(failed.sum() == 0 ? 0 : 1);
    }

    private static long due(long number) {
        return start + (long) (number * 1e9 / rate);
    }

    private static void waitUntil(long due) {
        while (due - System.nanoTime() > SPIN_NANOS) {
            LockSupport.parkNanos(due - System.nanoTime() - SPIN_NANOS);
        }
        while (System.nanoTime() < due) {
            Thread.onSpinWait();
        }
    }

    /** In microseconds. */
    private static long percentile(double ofAll) {
        int at = (int) Math.ceil(ofAll * latencies.length) - 1;
        return latencies[Math.max(at, 0)] / 1000;
    }

    private static void waitForEnd() {
        try {
            while (System.in.read() >= 0) {
            }
        } catch (java.io.IOException e) {
            System.err.println(e);
        }
        stopped = true;
    }
}
