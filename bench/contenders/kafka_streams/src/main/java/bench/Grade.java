package bench;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;

/** What goes through the topic that is keyed by student; NaN stands for a score that is unknown. */
record Grade(String rootAccountUuid, String userId, String courseId, long at, double score, boolean deleted) {

    String student() {
        return rootAccountUuid + ":" + userId;
    }

    private static final Serializer<Grade> SERIALIZER = (topic, grade) -> {
        if (grade == null) {
            return null;
        }
        byte[] root = grade.rootAccountUuid.getBytes(StandardCharsets.UTF_8);
        byte[] user = grade.userId.getBytes(StandardCharsets.UTF_8);
        byte[] course = grade.courseId.getBytes(StandardCharsets.UTF_8);
        return ByteBuffer.allocate(6 + root.length + user.length + course.length + 17)
            .putShort((short) root.length).put(root)
            .putShort((short) user.length).put(user)
            .putShort((short) course.length).put(course)
            .putLong(grade.at).putDouble(grade.score).put((byte) (grade.deleted ? 1 : 0))
            .array();
    };

    private static final Deserializer<Grade> DESERIALIZER = (topic, bytes) -> {
        if (bytes == null) {
            return null;
        }
        ByteBuffer in = ByteBuffer.wrap(bytes);
        return new Grade(text(in), text(in), text(in), in.getLong(), in.getDouble(), in.get() == 1);
    };

    static Serde<Grade> serde() {
        return Serdes.serdeFrom(SERIALIZER, DESERIALIZER);
    }

    private static String text(ByteBuffer in) {
        int length = in.getShort();
        String text = new String(in.array(), in.position(), length, StandardCharsets.UTF_8);
        in.position(in.position() + length);
        return text;
    }
}
