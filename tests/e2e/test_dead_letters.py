"""What can't be read arrives among the dead letters byte for byte, whatever it carries."""

from tests.e2e.harness import Deployment, Raw
from tests.e2e.oracle import Topics, verify

SOUND = (
    b'{"metadata":{"event_name":"course_grade_change","event_time":"2025-11-22T10:15:30.123Z",'
    b'"root_account_uuid":"school"},"body":{"user_id":"2","course_id":"1","current_score":%d}}'
)

HEADERS: list[list[tuple[str, bytes | None]]] = [
    [],
    [("empty", b""), ("null", None), ("", b"no name")],
    [("twice", b"1"), ("twice", b"2"), ("twice", b"1")],
    [("bytes", b"\xff\xfe\x00"), ("größe", "größe".encode())],
    [("gradewatch.reason", b"of another"), ("__streams.errors.offset", b"17"), ("ce_id", b"x")],
    [("large", b"h" * 20_000)],
]

VALUES = [
    b"",
    None,
    b"{",
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    b"[]",
    b"{}",
    b'{"metadata":{}}',
    b'{"metadata":{"event_name":"grade_change"}}',
    SOUND.replace(b"2025-11-22", b"2999-11-22") % 80,
    SOUND.replace(b'"2"', b'"two"') % 80,
    b"x" * (2 * 1024 * 1024),
    SOUND % 80 + b" " * (1024 * 1024),
]


async def test_every_reason_with_every_kind_of_key_and_header(deployment: Deployment) -> None:
    await deployment.create_topics()
    messages = [
        Raw(value, number % 3, key, headers)
        for number, value in enumerate(VALUES)
        for headers in (HEADERS if value is None or len(value) < 1000 else HEADERS[:2])
        for key in (None, b"", b"a key", b"\xff\x00")
    ]
    sound = [Raw(SOUND % score, partition) for partition, score in ((0, 90), (1, 70), (2, 65))]
    worker = await deployment.worker().until_ready()
    await deployment.produce([sound[0], *messages, *sound[1:]])
    await deployment.until_done()

    topics = await Topics.read(deployment)
    verify(topics)
    assert len(topics.dead_letters) == len(messages)
    assert len(topics.records) == len(sound)
    reasons = {dict(message.headers)["gradewatch.reason"]: message.value for message in topics.dead_letters}
    assert set(reasons) == {
        *(b"empty", b"too_large", b"not_utf8", b"invalid_json", b"not_an_object", b"missing_metadata"),
        *(b"missing_event_name", b"invalid_metadata", b"future_event", b"invalid_body"),
    }
    assert {len(m.value or b"") for m in topics.dead_letters} == {len(value or b"") for value in VALUES}
    # Those without a key are spread.
    assert {message.partition for message in topics.dead_letters if message.key is None} == {0, 1, 2, 3}
    assert await worker.outcomes() == {"record": len(sound), "rejected": len(messages)}
    assert await worker.terminate() == 0


async def test_a_record_that_no_router_wrote_is_a_dead_letter_too(deployment: Deployment) -> None:
    await deployment.create_topics()
    stranger = [b"not a record", None, b'{"type":"grade_change"}']
    await deployment.write(deployment.topology.records, [Raw(value, 1, b"k") for value in stranger])
    await deployment.produce([Raw(SOUND % 90, 0)])
    worker = await deployment.worker().until_ready()
    await deployment.until_done()
    letters = await deployment.read(deployment.topology.dead_letters)
    assert [letter.value for letter in letters] == stranger
    for offset, letter in enumerate(letters):
        headers = dict(letter.headers)
        assert headers["gradewatch.reason"] == b"invalid_body"
        assert headers["__streams.errors.topic"] == deployment.topology.records.name.encode()
        assert headers["__streams.errors.offset"] == b"%d" % offset
    assert len(await deployment.read(deployment.topology.snapshots)) == 1
    assert await worker.terminate() == 0
