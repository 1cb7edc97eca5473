"""Ways of looking at a semester's events."""

from collections import defaultdict
from typing import Any

from app.semester.people import SHARD

Parsed = list[dict[str, Any]]


def named(parsed: Parsed, name: str) -> Parsed:
    return [event for event in parsed if event["metadata"]["event_name"] == name]


def bodies(parsed: Parsed, name: str) -> Parsed:
    return [event["body"] for event in named(parsed, name)]


def by_submission(parsed: Parsed) -> dict[str, Parsed]:
    histories = defaultdict(list)
    for body in bodies(parsed, "grade_change"):
        histories[body["submission_id"]].append(body)
    return histories


def canonical(user_id: str) -> str:
    """Give a student's id as course events have it: local, but for a visitor from another shard."""
    shard, local = divmod(int(user_id), 10**13)
    return str(local) if shard in (0, SHARD) else user_id
