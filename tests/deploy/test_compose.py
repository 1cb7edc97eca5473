"""docker-compose.yml is right by its specification, and its very commands work on this machine's Kafka."""

import asyncio
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
import yaml

from app.children import LOOPBACK, free_ports, log_tail, start_child
from app.settings import Settings
from tests.clients import admin_client, consume
from tests.deploy.compose import (
    COMPOSE_FILE,
    DOCKERFILE,
    DOT_ENV,
    KAFKA_PORT_FILE,
    Command,
    command_of,
    compose,
    healthcheck,
    image_environment,
    kafka_properties,
    replaced,
    required_variables,
    service,
)
from tests.kafka import POM, ROOT, KafkaBroker

STATE = "/var/lib/gradewatch"
DEFAULT_WEB_PORT = Settings.model_fields["web_port"].default
SERVICES = compose()["services"]
OURS = sorted(name for name, it in SERVICES.items() if it["image"].startswith("gradewatch:"))
WORKERS = [name for name in OURS if SERVICES[name]["command"] == ["worker"]]


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.mark.parametrize("file", [COMPOSE_FILE, KAFKA_PORT_FILE], ids=lambda file: file.name)
def test_the_file_follows_the_compose_specification(file: Path) -> None:
    schema = json.loads(Path(__file__).with_name("compose-spec.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    errors = [
        f"{error.json_path}: {error.message}"
        for error in jsonschema.Draft202012Validator(schema).iter_errors(compose(file))
    ]
    assert errors == []


def test_only_grafana_is_published_and_kafka_on_request_both_on_loopback() -> None:
    def published(file: Path) -> dict[str, list[str]]:
        return {name: it["ports"] for name, it in compose(file)["services"].items() if "ports" in it}

    assert published(COMPOSE_FILE) == {"grafana": ["127.0.0.1:3000:3000"]}
    assert published(KAFKA_PORT_FILE) == {"kafka": ["127.0.0.1:9092:9092"]}


def test_every_service_is_limited_and_every_lasting_one_watched() -> None:
    for name, it in SERVICES.items():
        assert set(it["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}, name
        assert it["logging"]["driver"] == "local", name
        assert "no-new-privileges:true" in it["security_opt"], name
        lasting = it["restart"] == "unless-stopped"
        # Our image brings its own.
        assert not lasting or "healthcheck" in it or name in OURS, name


def test_prometheus_asks_every_worker_and_grafana_asks_prometheus() -> None:
    configuration = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    (targets,) = [
        job["static_configs"] for job in configuration["scrape_configs"] if job["job_name"] == "gradewatch"
    ]
    assert targets == [{"targets": [f"{name}:{DEFAULT_WEB_PORT}" for name in WORKERS]}]
    (source,) = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    assert source["url"] == "http://prometheus:9090"
    for name in (*WORKERS, "grafana"):
        assert set(SERVICES[name]["networks"]) & set(SERVICES["prometheus"]["networks"])


def test_files_of_the_repository_are_mounted_where_they_are_looked_for() -> None:
    mounted = {}
    for name in ("prometheus", "grafana"):
        for volume in SERVICES[name]["volumes"]:
            source, target, *options = volume.split(":")
            if source.startswith("./"):
                assert (ROOT / source).exists(), source
                assert options == ["ro"], source
                mounted[target] = ROOT / source
    (provider,) = yaml.safe_load(
        (ROOT / "deploy/grafana/provisioning/dashboards/gradewatch.yml").read_text()
    )["providers"]
    assert mounted[provider["options"]["path"]] == ROOT / "deploy/grafana/dashboards"
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (mounted[str(home.parent)] / home.name).exists()


def test_the_first_lines_say_what_has_to_be_set() -> None:
    head = COMPOSE_FILE.read_text().partition("\nname:")[0]
    assert required_variables() == set(DOT_ENV)
    assert all(f"{name}=" in head for name in required_variables())


def test_what_a_service_waits_for_exists_and_can_come_true() -> None:
    services = SERVICES
    for it in services.values():
        for name, waited_for in it.get("depends_on", {}).items():
            if waited_for["condition"] == "service_healthy":
                assert "healthcheck" in services[name]
            else:
                assert waited_for["condition"] == "service_completed_successfully"
                assert services[name]["restart"] == "no"


def test_volumes_are_declared_and_used() -> None:
    used = [volume.split(":")[0] for it in SERVICES.values() for volume in it.get("volumes", [])]
    named = [volume for volume in used if not volume.startswith("./")]
    assert sorted(named) == sorted(compose()["volumes"])  # so none is shared


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
    assert let_in == packages | {"pyproject.toml", "requirements.lock", "README.md", "LICENSE"}


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


@pytest.mark.parametrize("name", WORKERS)
def test_a_workers_settings_are_right(name: str) -> None:
    worker = command_of(name)
    check = Command((worker.argv[0], "config", "check"), worker.env).here({})
    done = subprocess.run(check.argv, env=check.env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert worker.env["GRADEWATCH_INSTANCE_ID"] == name


def test_the_worker_services_get_ready_and_end_cleanly(brokers: str, tmp_path: Path) -> None:
    create_topics(brokers)
    started = []
    try:
        for name, port in zip(WORKERS, free_ports(len(WORKERS)), strict=True):
            folder = tmp_path / name
            folder.mkdir()
            # The tests listen on loopback only.
            web = {"GRADEWATCH_WEB_HOST": LOOPBACK, "GRADEWATCH_WEB_PORT": str(port)}
            worker = command_of(name).here({"kafka:19092": brokers, STATE: str(folder / "state")}, web)
            assert exit_code_of_healthcheck(web) != 0
            log = folder / "worker.log"
            started.append((start_child(worker.argv, log=log, cwd=folder, env=worker.env), web, folder, log))
        for process, web, _, log in started:
            wait_until_ready(process, f"http://{LOOPBACK}:{web['GRADEWATCH_WEB_PORT']}/readyz", log)
            assert exit_code_of_healthcheck(web) == 0
        for process, *_ in started:
            process.send_signal(signal.SIGTERM)
        for process, _, folder, log in started:
            assert process.wait(60) == 0, log_tail(log)
            assert any((folder / "state").iterdir())
            assert sorted(path.name for path in folder.iterdir()) == ["state", "worker.log"]
    finally:
        for process, *_ in started:
            process.kill()
            process.wait()


def test_the_semester_service_writes_to_the_raw_topic(brokers: str) -> None:
    create_topics(brokers)
    semester = command_of("semester")
    few = Command((*semester.argv, "--events=200", "--rate=100000"), semester.env).here(
        {"kafka:19092": brokers}
    )
    done = subprocess.run(few.argv, env=few.env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(asyncio.run(consume(brokers, "raw-events"))) >= 200


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
