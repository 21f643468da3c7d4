import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.LongAdder;
import kafka.consumer.Consumer;
import kafka.consumer.ConsumerConfig;
import kafka.consumer.ConsumerIterator;
import kafka.consumer.KafkaStream;
import kafka.consumer.Whitelist;
import kafka.javaapi.consumer.ConsumerConnector;

/**
 * A member of a classic group as programs of 2015 are: the high-level consumer of Kafka 0.8.2.2 with any number of streams.
 *
 * Arguments: ZOOKEEPER GROUP TOPIC STREAMS [KEY=VALUE...]; a topic that begins with "~" is a white list. Prints
 * "PARTITION OFFSET VALUE" for each record, one line at a time, so that nothing is committed that was not printed. Ends
 * orderly when its standard input does.
 *
 * Two keys are its own. members=N: so many members, each with a connector and, if N is not 1, a consumer.id of its own.
 * print=total: how many records came so far, a few times a second, instead of the records. It prints "ready" at the
 * beginning. A line "join NAME..." on its standard input adds members with these consumer ids, one after the other;
 * "close NAME" closes one.
 */
public class OldMember {
    private static final Properties settings = new Properties();
    private static final Map<String, ConsumerConnector> members = new HashMap<>();
    private static final PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), true);
    private static final LongAdder total = new LongAdder();
    private static String topic;
    private static int streams;
    private static boolean onlyTotal;

    public static void main(String[] args) throws Exception {
        settings.put("zookeeper.connect", args[0]);
        settings.put("group.id", args[1]);
        settings.put("auto.offset.reset", "smallest");
        settings.put("auto.commit.interval.ms", "1000");
        topic = args[2];
        streams = Integer.parseInt(args[3]);
        int count = 1;
        for (int i = 4; i < args.length; i++) {
            String[] pair = args[i].split("=", 2);
            switch (pair[0]) {
                case "members": count = Integer.parseInt(pair[1]); break;
                case "print": onlyTotal = pair[1].equals("total"); break;
                default: settings.put(pair[0], pair[1]);
            }
        }
        out.println("ready");
        for (int i = 0; i < count; i++) {
            join(count == 1 ? null : "member-" + i);
        }
        if (onlyTotal) {
            Thread teller = new Thread(OldMember::tell);
            teller.setDaemon(true);
            teller.start();
        }
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            String[] words = line.split(" ");
            for (int i = 1; i < words.length; i++) {
                if (words[0].equals("join")) {
                    join(words[i]);
                } else {
                    members.remove(words[i]).shutdown();
                }
            }
        }
        members.values().forEach(ConsumerConnector::shutdown);
        System.exit(0);
    }

    private static void join(String id) {
        Properties own = new Properties();
        own.putAll(settings);
        if (id != null) {
            own.put("consumer.id", id);
        }
        ConsumerConnector connector = Consumer.createJavaConsumerConnector(new ConsumerConfig(own));
        members.put(String.valueOf(id), connector);
        List<KafkaStream<byte[], byte[]>> opened = topic.startsWith("~")
            ? connector.createMessageStreamsByFilter(new Whitelist(topic.substring(1)), streams)
            : connector.createMessageStreams(Map.of(topic, streams)).get(topic);
        for (KafkaStream<byte[], byte[]> stream : opened) {
            Thread reader = new Thread(onlyTotal ? () -> count(stream.iterator()) : () -> print(stream.iterator()));
            reader.setDaemon(true);
            reader.start();
        }
    }

    private static void print(ConsumerIterator<byte[], byte[]> records) {
        records.forEachRemaining(record ->
            out.println(record.partition() + " " + record.offset() + " " + new String(record.message())));
    }

    private static void count(ConsumerIterator<byte[], byte[]> records) {
        long bytes = 0;
        while (records.hasNext()) {
            bytes += records.next().message().length;
            total.increment();
        }
        out.println(bytes + " bytes");
    }

    private static void tell() {
        try {
            while (true) {
                out.println("total " + total.sum());
                Thread.sleep(50);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
