package bench;

import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.processor.StateRestoreListener;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.RocksDBConfigSetter;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;
import org.rocksdb.BlockBasedTableConfig;
import org.rocksdb.BloomFilter;
import org.rocksdb.Cache;
import org.rocksdb.LRUCache;
import org.rocksdb.Options;

/** The job in Kafka Streams: {@code java bench.Main BROKERS RAW ALERTS APPLICATION_ID STATE_DIR PARTITIONS THREADS}. */
public final class Main {
    private static final String STORE = "scores";

    private Main() {}

    public static void main(String[] arguments) throws InterruptedException {
        String brokers = arguments[0];
        String raw = arguments[1];
        String alerts = arguments[2];
        String applicationId = arguments[3];
        String stateDirectory = arguments[4];
        int partitions = Integer.parseInt(arguments[5]);
        int threads = Integer.parseInt(arguments[6]);

        Properties settings = settings(brokers, applicationId, stateDirectory, threads);
        KafkaStreams streams = new KafkaStreams(topology(raw, alerts, partitions), settings);
        streams.setGlobalStateRestoreListener(new RestoreReport());
        CountDownLatch stopped = new CountDownLatch(1);
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.RUNNING) {
                System.out.println("running");
            } else if (now == KafkaStreams.State.ERROR) {
                stopped.countDown();
            }
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            // Leave the group at once: the next start shall not wait for the session's end.
            streams.close(new KafkaStreams.CloseOptions().leaveGroup(true));
            stopped.countDown();
        }));
        streams.start();
        stopped.await();
    }

    private static Topology topology(String raw, String alerts, int partitions) {
        Serde<String> text = Serdes.String();
        Serde<Grade> grades = Grade.serde();
        // The record cache: a row goes to the changelog and to RocksDB once per commit, not once per event.
        StoreBuilder<KeyValueStore<String, Scores>> store = Stores
            .keyValueStoreBuilder(Stores.persistentKeyValueStore(STORE), text, Scores.serde())
            .withCachingEnabled()
            .withLoggingEnabled(Map.of());

        StreamsBuilder builder = new StreamsBuilder();
        builder.addStateStore(store);
        builder.stream(raw, Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
            .mapValues(CanvasReader::read)
            .filter((key, grade) -> grade != null)
            .selectKey((key, grade) -> grade.student())
            .repartition(Repartitioned.with(text, grades).withName("student").withNumberOfPartitions(partitions))
            .process(Scorer::new, STORE)
            .to(alerts, Produced.with(text, Serdes.ByteArray()));
        return builder.build();
    }

    private static Properties settings(String brokers, String applicationId, String stateDirectory, int threads) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, applicationId);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, stateDirectory);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, threads);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.AT_LEAST_ONCE);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1_000);
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 128L * 1024 * 1024);
        settings.put(StreamsConfig.ROCKSDB_CONFIG_SETTER_CLASS_CONFIG, BoundedRocksDb.class);
        // Nobody looks at them here, and they are not free.
        settings.put(StreamsConfig.METRICS_RECORDING_LEVEL_CONFIG, "INFO");
        // Partitions that are empty for now hold nobody up: no contender waits for order across partitions.
        settings.put(StreamsConfig.MAX_TASK_IDLE_MS_CONFIG, StreamsConfig.MAX_TASK_IDLE_MS_DISABLED);
        settings.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 5_000);

        // Large fetches, large polls.
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 5_000);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.FETCH_MAX_BYTES_CONFIG), 16 * 1024 * 1024);
        settings.put(
            StreamsConfig.consumerPrefix(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG), 4 * 1024 * 1024);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG), 10_000);

        // Large compressed batches that wait 5 ms at most; Streams' own 100 ms would show in the latency.
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 5);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 512 * 1024);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BUFFER_MEMORY_CONFIG), 64 * 1024 * 1024);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.ACKS_CONFIG), "all");
        return settings;
    }

    /** Folds each grade into its student's scores in its course and sends what there is to tell. */
    private static final class Scorer extends ContextualProcessor<String, Grade, String, byte[]> {
        private KeyValueStore<String, Scores> store;

        @Override
        public void init(ProcessorContext<String, byte[]> context) {
            super.init(context);
            store = context.getStateStore(STORE);
        }

        @Override
        public void process(Record<String, Grade> message) {
            Grade grade = message.value();
            String key = message.key() + ":" + grade.courseId();
            Scores kept = store.get(key);
            Scores scores = kept == null ? new Scores() : kept;
            Scores.Finding finding = scores.judge(grade.at(), grade.score(), grade.deleted());
            store.put(key, scores);
            if (finding != null) {
                context().forward(message.withValue(Alert.encode(grade, finding)));
            }
        }
    }

    /** Bounds RocksDB as the documentation of Kafka Streams advises: one block cache for all stores. */
    public static final class BoundedRocksDb implements RocksDBConfigSetter {
        private static final Cache CACHE = new LRUCache(128L * 1024 * 1024);

        @Override
        public void setConfig(String store, Options options, Map<String, Object> settings) {
            BlockBasedTableConfig table = (BlockBasedTableConfig) options.tableFormatConfig();
            table.setBlockCache(CACHE);
            table.setFilterPolicy(new BloomFilter(10));
            options.setTableFormatConfig(table);
            options.setWriteBufferSize(8L * 1024 * 1024);
            options.setMaxWriteBufferNumber(2);
        }

        @Override
        public void close(String store, Options options) {}
    }

    /** Says, once all stores are restored, how many rows that took how long. */
    private static final class RestoreReport implements StateRestoreListener {
        private final AtomicInteger underway = new AtomicInteger();
        private final AtomicLong rows = new AtomicLong();
        private volatile long startedAt;

        @Override
        public void onRestoreStart(TopicPartition partition, String store, long first, long end) {
            if (underway.getAndIncrement() == 0 && startedAt == 0) {
                startedAt = System.nanoTime();
            }
        }

        @Override
        public void onBatchRestored(TopicPartition partition, String store, long end, long count) {}

        @Override
        public void onRestoreEnd(TopicPartition partition, String store, long total) {
            rows.addAndGet(total);
            if (underway.decrementAndGet() == 0) {
                double seconds = (System.nanoTime() - startedAt) / 1e9;
                System.out.printf(java.util.Locale.ROOT, "restored %d %.3f%n", rows.get(), seconds);
            }
        }
    }
}
