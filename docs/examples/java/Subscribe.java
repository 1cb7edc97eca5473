import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.StringDeserializer;

/** Handles every alert once: java Subscribe.java BROKERS FILE [TOPIC]; FILE remembers what was handled. */
public final class Subscribe {
    private static final String GROUP = "advising-tool-java"; // every service has a name of its own

    public static void main(String[] arguments) throws IOException {
        Path handledFile = Path.of(arguments[1]);
        String topic = arguments.length > 2 ? arguments[2] : "grade-alerts";
        Set<String> handled = new HashSet<>();
        if (Files.exists(handledFile)) {
            handled.addAll(Files.readAllLines(handledFile));
        }
        Map<String, Object> settings = Map.of(
            "bootstrap.servers", arguments[0],
            "group.id", GROUP,
            "enable.auto.commit", "false", // an offset is committed when the alert has been handled
            "auto.offset.reset", "earliest");
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            Thread main = Thread.currentThread();
            Runtime.getRuntime().addShutdownHook(new Thread(() -> {
                consumer.wakeup(); // ends poll; then the group hears that we leave, and need not wait for us
                try {
                    main.join();
                } catch (InterruptedException interrupted) {
                    Thread.currentThread().interrupt();
                }
            }));
            consumer.subscribe(List.of(topic));
            while (true) {
                var messages = consumer.poll(Duration.ofSeconds(1));
                for (ConsumerRecord<String, String> message : messages) {
                    String id = new String(message.headers().lastHeader("ce_id").value(), UTF_8);
                    if (handled.add(id)) {
                        System.out.println(message.value()); // the effect: an e-mail, a task, a row
                        // After it: a crash between the two repeats the effect. Where that must not be,
                        // write both in one transaction of a database.
                        Files.writeString(
                            handledFile, id + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
                    }
                }
                if (!messages.isEmpty()) {
                    consumer.commitSync();
                }
            }
        } catch (WakeupException stopped) {
            System.err.println("stopped");
        }
    }
}
