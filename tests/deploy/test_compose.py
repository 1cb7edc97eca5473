"""docker-compose.yml is right by its specification, and its very commands work on this machine's Kafka."""

import json
import re
import signal
import subprocess
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from app.children import LOOPBACK, free_ports, log_tail, start_child
from tests.clients import admin_client
from tests.deploy.compose import (
    DOCKERFILE,
    command_of,
    compose,
    healthcheck,
    image_environment,
    kafka_properties,
    replaced,
    service,
)
from tests.kafka import POM, ROOT, KafkaBroker

STATE = "/var/lib/gradewatch"
OURS = sorted(name for name, it in compose()["services"].items() if it["image"].startswith("gradewatch:"))


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_file_follows_the_compose_specification() -> None:
    schema = json.loads(Path(__file__).with_name("compose-spec.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    errors = [
        f"{error.json_path}: {error.message}"
        for error in jsonschema.Draft202012Validator(schema).iter_errors(compose())
    ]
    assert errors == []


def test_nothing_is_published_but_on_loopback() -> None:
    published = [port for it in compose()["services"].values() for port in it.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_what_a_service_waits_for_exists_and_can_come_true() -> None:
    services = compose()["services"]
    for it in services.values():
        for name, waited_for in it.get("depends_on", {}).items():
            if waited_for["condition"] == "service_healthy":
                assert "healthcheck" in services[name]
            else:
                assert waited_for["condition"] == "service_completed_successfully"
                assert services[name]["restart"] == "no"


def test_volumes_are_declared_and_used() -> None:
    used = {volume.split(":")[0] for it in compose()["services"].values() for volume in it.get("volumes", [])}
    assert used == set(compose()["volumes"])


def test_versions_are_the_ones_tested_here() -> None:
    (tested,) = re.findall(r"<kafka\.version>(.+)</kafka\.version>", POM.read_text())
    assert service("kafka")["image"] == f"apache/kafka:{tested}"
    version = project()["project"]["version"]
    assert {service(name)["image"] for name in OURS} == {f"gradewatch:{version}"}


@pytest.mark.parametrize("name", OURS)
def test_our_containers_can_write_nothing_but_their_state(name: str) -> None:
    ours = service(name)
    assert ours["read_only"] is True
    assert ours["init"] is True
    assert ours["cap_drop"] == ["ALL"]
    assert all(
        volume.endswith(f":{image_environment()['GRADEWATCH_DATA_DIR']}")
        for volume in ours.get("volumes", [])
    )


def test_the_image_runs_as_nobody_in_particular_and_holds_every_package() -> None:
    dockerfile = DOCKERFILE.read_text()
    assert re.findall(r"^USER (.+)$", dockerfile, re.MULTILINE) == ["10001"]
    assert re.findall(r"^VOLUME (.+)$", dockerfile, re.MULTILINE) == [STATE]
    packages = {name.rstrip("*") for name in project()["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert set(re.findall(r"^COPY (\w+) \1$", dockerfile, re.MULTILINE)) == packages
    let_in = set(re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    assert let_in == packages | {"pyproject.toml", "README.md", "LICENSE"}


@pytest.fixture(scope="module")
def brokers(kafka_installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start Kafka with the compose file's properties at other ports; give what `kafka:19092` became."""
    directory = tmp_path_factory.mktemp("compose-kafka")
    internal, host, controller = free_ports(3)
    moved = {
        "://:": f"://{LOOPBACK}:",
        "kafka:": f"{LOOPBACK}:",
        ":19092": f":{internal}",
        ":9092": f":{host}",
        ":9093": f":{controller}",
        "/var/lib/kafka/data": str(directory / "data"),
    }
    properties = {name: replaced(value, moved) for name, value in kafka_properties("kafka").items()}
    cluster_id = service("kafka")["environment"]["CLUSTER_ID"]
    with KafkaBroker(directory, properties=properties, cluster_id=cluster_id):
        yield f"{LOOPBACK}:{internal}"


async def test_the_topics_service_creates_the_topics_and_may_run_again(brokers: str) -> None:
    for _ in range(2):
        create_topics(brokers)
    async with admin_client(brokers) as admin:
        assert {"raw-events", "grade-records", "dead-letters", "student-scores"} <= set(
            await admin.list_topics()
        )


def test_the_worker_service_gets_ready_and_ends_cleanly(brokers: str, tmp_path: Path) -> None:
    state, log = tmp_path / "state", tmp_path / "worker.log"
    web = {"GRADEWATCH_WEB_PORT": str(free_ports(1)[0])}
    create_topics(brokers)
    worker = command_of("worker").here({"kafka:19092": brokers, STATE: str(state)}, web)
    assert exit_code_of_healthcheck(web) != 0
    process = start_child(worker.argv, log=log, cwd=tmp_path, env=worker.env)
    try:
        wait_until_ready(process, f"http://{LOOPBACK}:{web['GRADEWATCH_WEB_PORT']}/readyz", log)
        assert exit_code_of_healthcheck(web) == 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, log_tail(log)
    finally:
        process.kill()
        process.wait()
    assert any(state.iterdir())
    assert [path.name for path in tmp_path.iterdir() if path not in (state, log)] == []


def create_topics(brokers: str) -> None:
    topics = command_of("topics").here({"kafka:19092": brokers})
    done = subprocess.run(topics.argv, env=topics.env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def exit_code_of_healthcheck(env: dict[str, str]) -> int:
    check = healthcheck().here({}, env)
    return subprocess.run(check.argv, env=check.env, capture_output=True, timeout=30).returncode


def wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the worker ended at its start:\n{log_tail(log)}"
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - always http on loopback
                assert answer.status == 200
                return
        except OSError:  # not listening yet, or 503: not ready yet
            time.sleep(0.1)
    pytest.fail(f"the worker was not ready within 60 s:\n{log_tail(log)}")
