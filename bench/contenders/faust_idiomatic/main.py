"""The job as Faust's documentation teaches.

`python -m bench.contenders.faust_idiomatic.main BROKERS RAW RECORDS ALERTS APP_ID DATA_DIR PARTITIONS`

An agent per step, one event at a time, a model for what flows, a table on RocksDB. Nothing of Faust is
overridden; its settings are those that make it fastest without giving up what it promises. Raw events come as
bytes and are read as the other Python peers read them: models with validation would take half as long again,
and Faust's own reading of times drops their milliseconds.
"""

import sys
from pathlib import Path

import mode.loop

mode.loop.use("uvloop")  # as its documentation advises; before anything of asyncio

import faust  # noqa: E402
import msgspec  # noqa: E402
from mode import Worker  # noqa: E402

from bench.contenders.job import Grade, Scores, alert, judge, read  # noqa: E402


class GradeRecord(faust.Record):
    """What goes through the topic that is keyed by student."""

    root_account_uuid: str
    user_id: str
    course_id: str
    at: int
    score: float | None
    deleted: bool


def main(
    brokers: str, raw: str, records: str, alerts: str, app_id: str, data_dir: str, partitions: str
) -> None:
    app = faust.App(
        app_id,
        broker=f"kafka://{brokers}",
        datadir=Path(data_dir),
        store="rocksdb://",
        topic_partitions=int(partitions),
        topic_replication_factor=1,
        processing_guarantee="at_least_once",
        broker_commit_interval=1.0,
        broker_session_timeout=10,
        broker_heartbeat_interval=2,
        broker_request_timeout=30,
        broker_max_poll_records=None,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=4 * 1024 * 1024,
        producer_compression_type="lz4",
        producer_linger=0.05,
        table_standby_replicas=0,
        cython_optimizations=True,
        autodiscover=False,
        web_enabled=False,
    )
    raw_topic = app.topic(raw, value_type=bytes, value_serializer="raw")
    records_topic = app.topic(records, key_type=str, value_type=GradeRecord)
    alerts_topic = app.topic(alerts, key_type=str)
    # Faust's own default is a block cache of 2 GiB for each partition.
    options = {"block_cache_size": 16 * 1024 * 1024, "write_buffer_size": 8 * 1024 * 1024}
    table = app.Table("scores", partitions=int(partitions), key_type=str, options=options)

    @app.agent(raw_topic)
    async def route(events: faust.StreamT[bytes]) -> None:
        async for event in events:
            grade = read(event)
            if grade is None:
                continue
            record = GradeRecord(**msgspec.structs.asdict(grade))
            await records_topic.send(key=grade.student, value=record)

    @app.agent(records_topic)
    async def score(grades: faust.StreamT[GradeRecord]) -> None:
        async for student, record in grades.items():
            key = f"{student}:{record.course_id}"
            kept = table.get(key)
            scores = Scores() if kept is None else msgspec.convert(kept, Scores)
            finding = judge(scores, record.at, record.score, record.deleted)
            table[key] = msgspec.to_builtins(scores)
            if finding is not None:
                grade = Grade(**record.asdict())
                await alerts_topic.send(key=student, value=alert(grade, finding))

    Worker(app, loglevel="WARNING").execute_from_commandline()


if __name__ == "__main__":
    main(*sys.argv[1:])
