"""The job in Quix Streams.

`python -m bench.contenders.quix.main BROKERS RAW ALERTS GROUP STATE_DIR`

At least once, committed each second. State and repartition topic hold bytes that msgspec writes, which is
cheaper than the JSON that Quix uses by default.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from quixstreams import Application, State
from quixstreams.models.serializers import Deserializer, SerializationContext, Serializer
from quixstreams.state.rocksdb import RocksDBOptions

from bench.contenders.job import (
    Finding,
    Grade,
    Scores,
    alert,
    decode_grade,
    decode_scores,
    encode_grade,
    encode_scores,
    judge,
    read,
)


class GradeSerializer(Serializer):
    """A grade's way into the topic that is keyed by student."""

    def __call__(self, value: Grade, ctx: SerializationContext) -> bytes:  # noqa: ARG002 (Quix's signature)
        return encode_grade(value)


class GradeDeserializer(Deserializer):
    """A grade's way out of it."""

    def __call__(self, value: bytes, ctx: SerializationContext) -> Grade:  # noqa: ARG002 (Quix's signature)
        return decode_grade(value)


def score(grade: Grade, state: State) -> dict[str, Any] | None:
    """Fold one grade into the student's state, which is kept by course."""
    kept = state.get_bytes(grade.course_id)
    scores = Scores() if kept is None else decode_scores(kept)
    finding: Finding | None = judge(scores, grade.at, grade.score, grade.deleted)
    state.set_bytes(grade.course_id, encode_scores(scores))
    return None if finding is None else alert(grade, finding)


def grades(value: bytes) -> Iterator[Grade]:
    """Yield the grade of a raw event, if there is one in it."""
    grade = read(value)
    if grade is not None:
        yield grade


def main(brokers: str, raw: str, alerts: str, group: str, state_dir: str) -> None:
    app = Application(
        broker_address=brokers,
        consumer_group=group,
        auto_offset_reset="earliest",
        commit_interval=1.0,
        state_dir=Path(state_dir),
        processing_guarantee="at-least-once",
        # One block cache for all partitions; less than the default of 1 GiB, more than the state needs.
        rocksdb_options=RocksDBOptions(block_cache_size=128 * 1024 * 1024),
        # librdkafka: large fetches, queued ahead, so that Python never waits for the network.
        consumer_extra_config={
            "fetch.max.bytes": 16 * 1024 * 1024,
            "max.partition.fetch.bytes": 4 * 1024 * 1024,
            "queued.max.messages.kbytes": 64 * 1024,
            "session.timeout.ms": 10_000,
        },
        # Large compressed batches that wait 5 ms at most.
        producer_extra_config={
            "linger.ms": 5,
            "batch.size": 512 * 1024,
            "batch.num.messages": 100_000,
            "queue.buffering.max.messages": 1_000_000,
            "compression.type": "lz4",
            "acks": "all",
            "enable.idempotence": True,
        },
        loglevel="WARNING",
    )
    raw_topic = app.topic(raw, key_deserializer="bytes", value_deserializer="bytes")
    alerts_topic = app.topic(alerts, key_serializer="str", value_serializer="json")

    events = app.dataframe(raw_topic)
    events = events.apply(grades, expand=True)
    by_student = events.group_by(
        lambda grade: grade.student,
        name="student",
        key_serializer="str",
        key_deserializer="str",
        value_serializer=GradeSerializer(),
        value_deserializer=GradeDeserializer(),
    )
    found = by_student.apply(score, stateful=True).filter(lambda value: value is not None)
    found.to_topic(alerts_topic)
    app.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
