import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import kafka.consumer.Consumer;
import kafka.consumer.ConsumerConfig;
import kafka.consumer.KafkaStream;
import kafka.consumer.Whitelist;
import kafka.javaapi.consumer.ConsumerConnector;

/**
 * A member of a classic group as programs of 2015 are: the high-level consumer of Kafka 0.8.2.2 with any number of streams.
 *
 * Arguments: ZOOKEEPER GROUP TOPIC STREAMS [KEY=VALUE...]; a topic that begins with "~" is a white list. Prints
 * "PARTITION OFFSET VALUE" for each record, one line at a time, so that nothing is committed that was not printed. Ends
 * orderly when its standard input does.
 */
public class OldMember {
    public static void main(String[] args) throws Exception {
        Properties settings = new Properties();
        settings.put("zookeeper.connect", args[0]);
        settings.put("group.id", args[1]);
        settings.put("auto.offset.reset", "smallest");
        settings.put("auto.commit.interval.ms", "1000");
        for (int i = 4; i < args.length; i++) {
            String[] pair = args[i].split("=", 2);
            settings.put(pair[0], pair[1]);
        }
        int count = Integer.parseInt(args[3]);
        ConsumerConnector connector = Consumer.createJavaConsumerConnector(new ConsumerConfig(settings));
        List<KafkaStream<byte[], byte[]>> streams = args[2].startsWith("~")
            ? connector.createMessageStreamsByFilter(new Whitelist(args[2].substring(1)), count)
            : connector.createMessageStreams(Map.of(args[2], count)).get(args[2]);
        PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), true);
        for (KafkaStream<byte[], byte[]> stream : streams) {
            Thread reader = new Thread(() -> stream.iterator().forEachRemaining(record ->
                out.println(record.partition() + " " + record.offset() + " " + new String(record.message()))));
            reader.setDaemon(true);
            reader.start();
        }
        while (System.in.read() >= 0) {
        }
        connector.shutdown();
        System.exit(0);
    }
}
