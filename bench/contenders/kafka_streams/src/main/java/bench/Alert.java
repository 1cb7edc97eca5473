package bench;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;

/** The alert as it goes to the topic. */
final class Alert {
    private static final JsonFactory JSON = new JsonFactory();
    private static final DateTimeFormatter TIME =
        DateTimeFormatter.ofPattern("uuuu-MM-dd'T'HH:mm:ss.SSS'Z'").withZone(ZoneOffset.UTC);

    private Alert() {}

    static byte[] encode(Grade grade, Scores.Finding finding) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream(320);
        try (JsonGenerator json = JSON.createGenerator(bytes)) {
            json.writeStartObject();
            json.writeStringField("rule", "score_drop");
            json.writeStringField("status", finding.status());
            json.writeStringField("severity", finding.severity());
            json.writeStringField("root_account_uuid", grade.rootAccountUuid());
            json.writeStringField("user_id", grade.userId());
            json.writeStringField("course_id", grade.courseId());
            json.writeStringField("event_time", TIME.format(Instant.ofEpochMilli(grade.at())));
            number(json, "value", finding.value());
            number(json, "previous", finding.previous());
            number(json, "reference", finding.reference());
            json.writeEndObject();
        } catch (IOException impossible) {
            throw new UncheckedIOException(impossible);
        }
        return bytes.toByteArray();
    }

    private static void number(JsonGenerator json, String name, double value) throws IOException {
        if (Double.isNaN(value)) {
            json.writeNullField(name);
        } else {
            json.writeNumberField(name, value);
        }
    }
}
