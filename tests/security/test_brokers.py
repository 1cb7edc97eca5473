"""Everything over TLS and SASL; and what is said, and what is not, when a broker won't have us."""

import asyncio
import json
import re
from pathlib import Path

import pytest

from app.refusals import ACLS_ADVICE
from tests.e2e.harness import RAW_PARTITIONS, Deployment, Raw
from tests.secured import ADMIN, MARKER, WORKER, Acl, SecuredKafka, unsigned_token

FIXTURES = Path(__file__).parent.parent / "fixtures" / "canvas"
EVENTS = 1000


def least(deployment: Deployment) -> list[Acl]:
    """Return the ACLs that docs/security.md asks for a worker, made from its table."""
    names = {spec.name: spec for spec in deployment.topology.all}
    read = {
        deployment.topology.raw,
        deployment.topology.records,
        deployment.topology.course_drops,
        deployment.topology.scores_changelog,
        deployment.topology.drops_changelog,
    }
    written = set(deployment.topology.all) - {deployment.topology.raw}
    return [
        *(Acl("topic", name, "DescribeConfigs") for name in names),
        *(Acl("topic", spec.name, "Read") for spec in read),
        *(Acl("topic", spec.name, "Write") for spec in written),
        Acl("group", deployment.app_id, "Read"),
        Acl("transactional id", f"{deployment.app_id}*", "Write"),
    ]


def login(secured: SecuredKafka, kind: str, user: str) -> dict[str, str]:
    """Return a user's settings for TLS with a certificate, or for SASL over TLS."""
    return secured.certificate(user=user) if kind == "certificate" else secured.login(kind, user=user)


@pytest.mark.parametrize("kind", ["SCRAM-SHA-512", "PLAIN", "OAUTHBEARER", "certificate"])
async def test_everything_runs_over_it_with_the_documented_acls(
    secured: SecuredKafka, deployment: Deployment, kind: str
) -> None:
    operator, user = (login(secured, kind, name) for name in (ADMIN, WORKER))
    created = deployment.run("topics", "create", **operator)
    assert created.returncode == 0, created.stderr
    await secured.allow(WORKER, *least(deployment))
    generated = deployment.run("generate", "--events", str(EVENTS), "--poison=0.05", **operator)
    assert generated.returncode == 0, generated.stderr

    worker = await deployment.worker(log_level="debug", **user).until_ready()
    await deployment.until_done()
    assert await worker.terminate() == 0
    tail = deployment.run("alerts", "tail", "--from-beginning", "--limit=1", "--json", **operator)
    assert json.loads(tail.stdout)["alert_id"]
    for said in (created.stderr, generated.stderr, worker.output, tail.stderr):
        assert MARKER not in said


def test_settings_are_shown_without_what_the_files_hold(
    secured: SecuredKafka, deployment: Deployment
) -> None:
    for kind in ("SCRAM-SHA-512", "OAUTHBEARER"):
        shown = deployment.run("config", "show", **login(secured, kind, WORKER))
        assert kind in shown.stdout
        assert MARKER not in shown.stdout + shown.stderr


def test_sasl_without_tls_is_used_when_it_is_asked_for_by_name(
    secured: SecuredKafka, deployment: Deployment
) -> None:
    by_name = secured.login("SCRAM-SHA-512", user=ADMIN, listener="OPEN")
    assert by_name["security_protocol"] == "SASL_PLAINTEXT"
    assert deployment.run("topics", "create", **by_name).returncode == 0


def refused(deployment: Deployment, command: tuple[str, ...], settings: dict[str, str]) -> str:
    """Run a command that ends with 1 and one sentence, and return that; no secret is in what it said."""
    done = deployment.run(*command, log_level="debug", **settings)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert MARKER not in done.stdout + done.stderr
    (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    return sentence.removeprefix("Error: ")


@pytest.mark.parametrize("kind", ["SCRAM-SHA-512", "PLAIN", "OAUTHBEARER"])
def test_a_wrong_secret_is_refused_at_once(
    secured: SecuredKafka, deployment: Deployment, tmp_path: Path, kind: str
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text(f"{MARKER}-but-wrong")
    name = "sasl_token_file" if kind == "OAUTHBEARER" else "sasl_password_file"
    if kind == "OAUTHBEARER":
        wrong.write_text(unsigned_token(WORKER, lives_seconds=-60))
    settings = secured.login(kind) | {name: str(wrong)}
    sentence = refused(deployment, ("worker",), settings)
    assert sentence.startswith(f"The broker at {settings['brokers']} refused ")
    assert f"GRADEWATCH_{name.removesuffix('_file').upper()}" in sentence


def test_a_mechanism_that_the_broker_does_not_take_is_named(
    secured: SecuredKafka, deployment: Deployment
) -> None:
    sentence = refused(deployment, ("topics", "check"), secured.login("SCRAM-SHA-256"))
    assert "does not take the mechanism that GRADEWATCH_SASL_MECHANISM names" in sentence


def test_a_certificate_of_another_authority_is_refused(secured: SecuredKafka, deployment: Deployment) -> None:
    settings = secured.login("PLAIN") | {"tls_ca_file": str(secured.directory / "other-ca.pem")}
    sentence = refused(deployment, ("worker",), settings)
    assert "GRADEWATCH_TLS_CA_FILE must hold the authority that signed it." in sentence


def test_an_expired_certificate_is_refused(secured: SecuredKafka, deployment: Deployment) -> None:
    sentence = refused(deployment, ("worker",), secured.certificate(listener="EXPIRED"))
    assert "certificate has expired. It has to be renewed there" in sentence


def test_a_certificate_for_another_host_is_refused(secured: SecuredKafka, deployment: Deployment) -> None:
    settings = secured.login("PLAIN")
    settings["brokers"] = settings["brokers"].replace("127.0.0.1", "localhost")
    sentence = refused(deployment, ("topics", "check"), settings)
    assert "It has to name the host as GRADEWATCH_BROKERS" in sentence


def test_without_any_acl_a_worker_says_what_it_lacks(secured: SecuredKafka, deployment: Deployment) -> None:
    sentence = refused(deployment, ("worker",), secured.login("PLAIN"))
    assert sentence == (
        "The broker does not allow this user to be in its consumer group (GRADEWATCH_APP_ID). " + ACLS_ADVICE
    )
    sentence = refused(deployment, ("topics", "create"), secured.login("PLAIN"))
    assert re.fullmatch(r"The broker refused to create topic .*: Authorization failed\.", sentence)


@pytest.mark.parametrize(
    ("topic", "operation", "still", "sentence"),
    [
        ("raw", "Read", "Describe", "does not allow this user to use a topic ({topic}). " + ACLS_ADVICE),
        (
            "records",
            "Write",
            "Read",
            "topic {topic} refused a batch for good: TopicAuthorizationFailedError. ",
        ),
        ("alerts", "Write", "DescribeConfigs", "Topic {topic} does not exist, or the broker does not allow"),
    ],
)
async def test_a_worker_that_lacks_one_acl_ends_and_commits_nothing(
    secured: SecuredKafka, deployment: Deployment, topic: str, operation: str, still: str, sentence: str
) -> None:
    await deployment.create_topics()
    name = getattr(deployment.topology, topic).name
    lacking = Acl("topic", name, operation)
    await secured.allow(WORKER, *set(least(deployment)) - {lacking} | {Acl("topic", name, still)})
    grade = (FIXTURES / "documented_course_grade_change.in.json").read_bytes()
    await deployment.produce([Raw(grade, partition) for partition in range(RAW_PARTITIONS)])

    said = await asyncio.to_thread(refused, deployment, ("worker",), secured.login("SCRAM-SHA-512"))
    assert sentence.format(topic=name) in said
    assert await deployment.committed() == {}


async def test_a_worker_that_is_put_out_of_its_group_says_so_and_ends(
    secured: SecuredKafka, deployment: Deployment
) -> None:
    await deployment.create_topics()
    await secured.allow(WORKER, *least(deployment))
    worker = await deployment.worker(**secured.login("SCRAM-SHA-512")).until_ready()
    await secured.deny(WORKER, Acl("group", deployment.app_id, "Read"))
    assert await worker.until_ended() == 1
    assert "does not allow this user to be in its consumer group" in worker.output
