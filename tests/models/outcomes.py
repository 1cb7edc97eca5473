"""What came of reading, as plain data that can be compared and kept in files."""

from models.grades import Ignored, Rejected
from models.records import GradeRecord
from tests.models.reference_reader import Outcome


def outcome_of(result: GradeRecord | Ignored | Rejected) -> Outcome:
    match result:
        case Ignored(event_name):
            return "ignored", event_name
        case Rejected(reason):
            return "rejected", reason.value
        case record:
            return "record", dict(record)
