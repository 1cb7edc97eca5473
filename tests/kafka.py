"""A real Apache Kafka for tests: one KRaft node on 127.0.0.1, started from the jars in target/kafka-libs.

`make kafka-jars` brings the jars (pom.xml pins them); nothing is downloaded here. Fixtures for it are in
conftest.py.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from app.children import LOOPBACK, free_ports, log_tail, start_child, stop_child

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = ROOT / "target" / "kafka-libs"
STAMP = ROOT / "target" / "kafka-libs.stamp"
POM = ROOT / "pom.xml"

_JAVA_AT_LEAST = 17
_JAVA_HINT = "Java 17 or newer (on Debian: apt-get install openjdk-17-jre-headless maven)"
_TOOL_TIMEOUT_SECONDS = 60.0
_CLUSTER_ID = "gradewatchtestscluster"
_STARTED = b"Kafka Server started"  # the broker's own line once it is unfenced and serves its listeners

# Quick to start, to rebalance and to shut down, small in memory; what a test wants otherwise it says itself.
_FAST: Mapping[str, str] = {
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "broker.session.timeout.ms": "4000",  # so long a killed broker's next start waits for it
    "broker.heartbeat.interval.ms": "1000",
    "group.min.session.timeout.ms": "1000",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "2",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "log.cleaner.dedupe.buffer.size": "16777216",
    "log.index.size.max.bytes": "1048576",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
}


class KafkaError(RuntimeError):
    """The broker could not be formatted or did not start; the sentence carries the end of its log."""


def missing_requirement() -> str | None:
    """Say what is missing on this machine to start Kafka and how to get it; None when all is there."""
    java = find_java()
    if java is None:
        return f"Apache Kafka needs {_JAVA_HINT}; found none"
    version = _java_version(java)
    if version < _JAVA_AT_LEAST:
        return f"Apache Kafka needs {_JAVA_HINT}; {java} is version {version}"
    if not STAMP.exists() or STAMP.stat().st_mtime < POM.stat().st_mtime:
        return "Apache Kafka's jars aren't there yet or are older than pom.xml (run: make kafka-jars)"
    return None


def find_java() -> str | None:
    """Find Java as Kafka's own scripts do: JAVA_HOME first, then PATH."""
    home = os.environ.get("JAVA_HOME")
    if home:
        return shutil.which("java", path=str(Path(home) / "bin"))
    return shutil.which("java")


def _java_version(java: str) -> int:
    """Ask Java for its feature release: 17 of "17.0.15", 8 of "1.8.0_372"; 0 when it can't be told."""
    told = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=_TOOL_TIMEOUT_SECONDS)
    match = re.search(r'version "(?:1\.)?(\d+)', told.stderr)
    return int(match.group(1)) if match else 0


class KafkaBroker:
    """One KRaft node, broker and controller in one process; data, configuration and log lie in ``directory``.

    The ports are chosen once, so clients find it again after `restart`, or `kill` and `start`. Start it from
    the main thread (`app.children.start_child` says why).

    Args:
        directory: a folder of its own, created when missing.
        properties: server properties that go over those of this module.
        listeners: further listeners beside PLAINTEXT, by name with their security protocol, for example
            ``{"SECURE": "SASL_SSL"}``; `address` tells where each listens.
        cluster_id: 22 characters of URL-safe base64, as Kafka wants it.
        format_options: further arguments of ``StorageTool format``, for example
            ``("--add-scram", "SCRAM-SHA-512=[name=alice,password=secret]")``.
        jvm_options: arguments of Java before the class.

    Attributes:
        bootstrap: ``host:port`` of the PLAINTEXT listener.
        log_path: what the process printed, over all its starts.
    """

    def __init__(
        self,
        directory: Path,
        *,
        properties: Mapping[str, str] | None = None,
        listeners: Mapping[str, str] | None = None,
        cluster_id: str = _CLUSTER_ID,
        format_options: Sequence[str] = (),
        jvm_options: Sequence[str] = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
        start_timeout_seconds: float = 90.0,
    ) -> None:
        self._directory = directory
        self._cluster_id = cluster_id
        self._format_options = format_options
        self._jvm_options = jvm_options
        self._start_timeout_seconds = start_timeout_seconds
        self._process: subprocess.Popen[bytes] | None = None
        protocols = {"PLAINTEXT": "PLAINTEXT", **(listeners or {}), "CONTROLLER": "PLAINTEXT"}
        ports = free_ports(len(protocols))
        self._addresses = {name: f"{LOOPBACK}:{port}" for name, port in zip(protocols, ports, strict=True)}
        self._properties = {**self._node_properties(protocols), **_FAST, **(properties or {})}
        self.bootstrap = self._addresses["PLAINTEXT"]
        self.log_path = directory / "kafka.log"

    @property
    def pid(self) -> int:
        """The process id of the running broker."""
        return self._running().pid

    def address(self, listener: str) -> str:
        """Give ``host:port`` of a listener by its name."""
        return self._addresses[listener]

    def start(self) -> None:
        """Format the storage where that is new, start the broker and return when it serves.

        Raises:
            KafkaError: it runs already, could not be formatted, ended at once or did not start in time.
        """
        if self._process is not None:
            raise KafkaError(f"the broker at {self.bootstrap} runs already")
        self._directory.mkdir(parents=True, exist_ok=True)
        configuration = self._directory / "server.properties"
        configuration.write_text("".join(f"{name}={value}\n" for name, value in self._properties.items()))
        if not (self._data_directory / "meta.properties").exists():
            self._format(configuration)
        log_begins = self.log_path.stat().st_size if self.log_path.exists() else 0
        self._process = start_child(
            self._java("-Dlog4j2.level=INFO", "kafka.Kafka", str(configuration)), log=self.log_path
        )
        try:
            self._wait_until_started(self._process, log_begins)
        except BaseException:
            self.kill()
            raise

    def stop(self, *, grace_seconds: float = 30.0) -> None:
        """Shut down cleanly (SIGTERM), by force after ``grace_seconds``; data and ports stay."""
        stop_child(self._running(), grace_seconds=grace_seconds)
        self._process = None

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would; data and ports stay."""
        process = self._running()
        process.kill()
        process.wait()
        self._process = None

    def restart(self) -> None:
        """Shut down cleanly and start again on the same data and ports."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End it at once if it still runs and remove its data; the log stays to be read."""
        if self._process is not None:
            self.kill()
        shutil.rmtree(self._data_directory, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _data_directory(self) -> Path:
        return self._directory / "data"

    def _node_properties(self, protocols: Mapping[str, str]) -> dict[str, str]:
        listeners = {name: f"{name}://{address}" for name, address in self._addresses.items()}
        return {
            "node.id": "1",
            "process.roles": "broker,controller",
            "controller.quorum.voters": f"1@{self._addresses['CONTROLLER']}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listeners": ",".join(listeners.values()),
            "advertised.listeners": ",".join(url for name, url in listeners.items() if name != "CONTROLLER"),
            "listener.security.protocol.map": ",".join(f"{name}:{p}" for name, p in protocols.items()),
            "log.dirs": str(self._data_directory),
        }

    def _format(self, configuration: Path) -> None:
        argv = self._java(
            *("kafka.tools.StorageTool", "format"),
            *("--cluster-id", self._cluster_id, "--config", str(configuration)),
            *self._format_options,
        )
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_TOOL_TIMEOUT_SECONDS)
        if done.returncode != 0:
            raise KafkaError(f"formatting Kafka's storage failed:\n{done.stdout}{done.stderr}")

    def _java(self, *arguments: str) -> list[str]:
        java = find_java()
        if java is None:
            raise KafkaError(missing_requirement())
        return [java, *self._jvm_options, "-cp", f"{LIBRARIES}/*", *arguments]

    def _wait_until_started(self, process: subprocess.Popen[bytes], log_begins: int) -> None:
        deadline = time.monotonic() + self._start_timeout_seconds
        while time.monotonic() < deadline:
            status = process.poll()
            with self.log_path.open("rb") as log:
                log.seek(log_begins)
                started = _STARTED in log.read()
            if status is not None:
                raise KafkaError(
                    f"Kafka ended at its start with status {status}; its log ends:\n{self._tail()}"
                )
            if started:
                return
            time.sleep(0.05)
        seconds = f"{self._start_timeout_seconds:g} s"
        raise KafkaError(f"Kafka did not start within {seconds}; its log ends:\n{self._tail()}")

    def _tail(self) -> str:
        return log_tail(self.log_path, lines=40)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise KafkaError(f"the broker at {self.bootstrap} doesn't run")
        return self._process
