package bench;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.time.DateTimeException;
import java.time.OffsetDateTime;

/**
 * Reads a Canvas event token by token, types and times checked. Where the metadata come first, as Canvas sends
 * them, the body of an event of another name is not read at all.
 */
final class CanvasReader {
    private static final JsonFactory JSON = new JsonFactory();
    private static final String COURSE_GRADE_CHANGE = "course_grade_change";

    private String rootAccountUuid;
    private String eventName;
    private long at;
    private boolean hasTime;
    private String userId;
    private String courseId;
    private double score;
    private boolean deleted;

    /** Returns the course's new score; null for any other event, and for what is malformed. */
    static Grade read(byte[] value) {
        if (value == null) {
            return null;
        }
        try (JsonParser json = JSON.createParser(value)) {
            return new CanvasReader().read(json);
        } catch (IOException | DateTimeException | IllegalArgumentException malformed) {
            return null;
        }
    }

    private Grade read(JsonParser json) throws IOException {
        require(json.nextToken() == JsonToken.START_OBJECT);
        while (json.nextToken() == JsonToken.FIELD_NAME) {
            String field = json.currentName();
            json.nextToken();
            switch (field) {
                case "metadata" -> {
                    metadata(json);
                    if (!COURSE_GRADE_CHANGE.equals(eventName)) {
                        return null;
                    }
                }
                case "body" -> body(json);
                default -> json.skipChildren();
            }
        }
        require(COURSE_GRADE_CHANGE.equals(eventName) && rootAccountUuid != null && hasTime);
        require(userId != null && courseId != null);
        return new Grade(rootAccountUuid, userId, courseId, at, score, deleted);
    }

    private void metadata(JsonParser json) throws IOException {
        require(json.currentToken() == JsonToken.START_OBJECT);
        while (json.nextToken() == JsonToken.FIELD_NAME) {
            String field = json.currentName();
            json.nextToken();
            switch (field) {
                case "event_name" -> eventName = text(json);
                case "event_time" -> {
                    at = OffsetDateTime.parse(text(json)).toInstant().toEpochMilli();
                    hasTime = true;
                }
                case "root_account_uuid" -> rootAccountUuid = text(json);
                default -> json.skipChildren();
            }
        }
    }

    private void body(JsonParser json) throws IOException {
        require(json.currentToken() == JsonToken.START_OBJECT);
        score = Double.NaN;
        while (json.nextToken() == JsonToken.FIELD_NAME) {
            String field = json.currentName();
            json.nextToken();
            switch (field) {
                case "user_id" -> userId = id(json);
                case "course_id" -> courseId = id(json);
                case "workflow_state" -> deleted = isKnown(json) && text(json).equals("deleted");
                case "created_at", "updated_at" -> {
                    if (isKnown(json)) {
                        OffsetDateTime.parse(text(json));
                    }
                }
                case "current_score" -> score = number(json);
                case "old_current_score", "final_score", "old_final_score", "unposted_current_score",
                    "old_unposted_current_score", "unposted_final_score", "old_unposted_final_score" ->
                    number(json);
                default -> json.skipChildren();
            }
        }
    }

    private static boolean isKnown(JsonParser json) {
        return json.currentToken() != JsonToken.VALUE_NULL;
    }

    private static String text(JsonParser json) throws IOException {
        require(json.currentToken() == JsonToken.VALUE_STRING);
        return json.getText();
    }

    private static String id(JsonParser json) throws IOException {
        String id = text(json);
        require(!id.isEmpty() && id.length() <= 19 && id.chars().allMatch(c -> c >= '0' && c <= '9'));
        return id;
    }

    private static double number(JsonParser json) throws IOException {
        if (!isKnown(json)) {
            return Double.NaN;
        }
        require(json.currentToken().isNumeric());
        return json.getDoubleValue();
    }

    private static void require(boolean condition) {
        if (!condition) {
            throw new IllegalArgumentException();
        }
    }
}
