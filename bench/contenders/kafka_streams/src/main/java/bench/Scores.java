package bench;

import java.nio.ByteBuffer;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;

/** What is kept of one student in one course, and the rule score_drop over it. */
final class Scores {
    static final long WINDOW_MS = 7L * 86_400_000;
    static final double MIN_DROP = 10.0;
    static final double CRITICAL_DROP = 20.0;
    static final double REARM = 5.0;
    static final int MAX_POINTS = 64;

    private static final int NOTHING = 0;
    private static final int WARNING = 1;
    private static final int CRITICAL = 2;

    /** What is worth an alert; NaN stands for unknown. */
    record Finding(String status, String severity, double value, double previous, double reference) {}

    private long newest = Long.MIN_VALUE;
    private double previous = Double.NaN;
    private int held = NOTHING;
    private int count = 0;
    private long[] times = new long[4];
    private double[] scores = new double[4];

    /** Folds a score into what is kept; returns what there is to tell, or null. */
    Finding judge(long at, double score, boolean deleted) {
        if (at <= newest) { // late or repeated: it corrects the window and is silent
            if (!Double.isNaN(score)) {
                insert(at, score);
            }
            return null;
        }
        newest = at;
        if (deleted) {
            previous = Double.NaN;
            held = NOTHING;
            count = 0;
            return null;
        }
        double before = previous;
        previous = score;
        if (Double.isNaN(score)) {
            return null;
        }
        int old = 0;
        while (old < count && times[old] < at - WINDOW_MS) {
            old++;
        }
        dropOldest(old);
        double peak = Double.NaN;
        for (int i = 0; i < count; i++) {
            peak = Double.isNaN(peak) ? scores[i] : Math.max(peak, scores[i]);
        }
        place(count, at, score);
        dropOldest(Math.max(0, count - MAX_POINTS));

        int was = held;
        double drop = Math.round((peak - score) * 1e6) / 1e6;
        if (Double.isNaN(peak)) {
            held = NOTHING;
        } else if (drop >= CRITICAL_DROP) {
            held = CRITICAL;
        } else if (drop >= MIN_DROP) {
            held = was == NOTHING ? WARNING : was; // a critical drop that eases is critical until it is let go
        } else if (drop <= MIN_DROP - REARM) {
            held = NOTHING;
        }
        if (held == was) {
            return null;
        }
        if (held == NOTHING) {
            return new Finding("resolved", "info", score, before, peak);
        }
        String severity = held == CRITICAL ? "critical" : "warning";
        return new Finding(was == NOTHING ? "opened" : "escalated", severity, score, before, peak);
    }

    private void insert(long at, double score) {
        int place = 0;
        while (place < count && times[place] < at) {
            place++;
        }
        if (place == count || times[place] != at) {
            place(place, at, score);
        }
    }

    private void place(int index, long at, double score) {
        if (count == times.length) {
            times = java.util.Arrays.copyOf(times, 2 * count);
            scores = java.util.Arrays.copyOf(scores, 2 * count);
        }
        System.arraycopy(times, index, times, index + 1, count - index);
        System.arraycopy(scores, index, scores, index + 1, count - index);
        times[index] = at;
        scores[index] = score;
        count++;
    }

    private void dropOldest(int number) {
        if (number > 0) {
            System.arraycopy(times, number, times, 0, count - number);
            System.arraycopy(scores, number, scores, 0, count - number);
            count -= number;
        }
    }

    private static final Serializer<Scores> SERIALIZER = (topic, kept) -> {
        if (kept == null) {
            return null;
        }
        ByteBuffer out = ByteBuffer.allocate(17 + 16 * kept.count);
        out.putLong(kept.newest).putDouble(kept.previous).put((byte) kept.held);
        for (int i = 0; i < kept.count; i++) {
            out.putLong(kept.times[i]).putDouble(kept.scores[i]);
        }
        return out.array();
    };

    private static final Deserializer<Scores> DESERIALIZER = (topic, bytes) -> {
        if (bytes == null) {
            return null;
        }
        ByteBuffer in = ByteBuffer.wrap(bytes);
        Scores kept = new Scores();
        kept.newest = in.getLong();
        kept.previous = in.getDouble();
        kept.held = in.get();
        kept.count = in.remaining() / 16;
        kept.times = new long[kept.count + 1];
        kept.scores = new double[kept.count + 1];
        for (int i = 0; i < kept.count; i++) {
            kept.times[i] = in.getLong();
            kept.scores[i] = in.getDouble();
        }
        return kept;
    };

    static Serde<Scores> serde() {
        return Serdes.serdeFrom(SERIALIZER, DESERIALIZER);
    }
}
