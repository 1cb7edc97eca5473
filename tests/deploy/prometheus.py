"""A real Prometheus for tests, from Debian's package: started on a free port, asked through its HTTP API."""

import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import yaml

from app.children import LOOPBACK, free_ports, log_tail, start_child, stop_child
from tests.deploy.compose import replaced, service
from tests.kafka import ROOT

FOLDER = ROOT / "deploy" / "prometheus"
RULE_FILES = sorted((FOLDER / "rules").glob("*.yml"))
RULE_TESTS = sorted((FOLDER / "tests").glob("*_test.yml"))

START_SECONDS = 30.0
ANSWER_SECONDS = 10.0

#: A metric's name in an expression, with or without the recording rules' colons.
METRIC = re.compile(r"\b(?:\w+:)?(?:gradewatch|process)_\w+(?::\w+)?")

Series = tuple[Mapping[str, str], float]


def missing_tools() -> str | None:
    """Say what is missing to run Prometheus and how to get it; None when all is there."""
    missing = [name for name in ("prometheus", "promtool") if shutil.which(name) is None]
    if missing:
        return f"{' and '.join(missing)} not found (on Debian: apt-get install prometheus)"
    return None


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool to its end."""
    return subprocess.run(
        [shutil.which("promtool") or "promtool", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
    )


def rules() -> list[dict[str, Any]]:
    """Read every rule of every group, in the order of the files."""
    return [
        rule
        for path in RULE_FILES
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]


def metric_of(series: str) -> str:
    """Return the metric that a series of a histogram belongs to; other names as they are."""
    return re.sub(r"_(bucket|sum|count)$", "", series)


class Prometheus:
    """One Prometheus as compose starts it, but asking other targets and more often."""

    def __init__(self, folder: Path, targets: Mapping[str, str]) -> None:
        """Prepare one; `targets` says where each target of prometheus.yml is."""
        (port,) = free_ports(1)
        self._folder = folder
        self._log = folder / "prometheus.log"
        self._address = f"{LOOPBACK}:{port}"
        configuration = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
        configuration["global"] |= {"scrape_interval": "1s", "scrape_timeout": "1s"}
        configuration["global"]["evaluation_interval"] = "1s"
        configuration["rule_files"] = [str(FOLDER / pattern) for pattern in configuration["rule_files"]]
        moved = {**targets, "127.0.0.1:9090": self._address}
        for job in configuration["scrape_configs"]:
            for static in job["static_configs"]:
                static["targets"] = [moved[target] for target in static["targets"]]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        self._moved = {"=/etc/prometheus": f"={folder}", "=/prometheus": f"={folder / 'data'}"}

    def __enter__(self) -> Self:
        self._process = start_child(
            [
                shutil.which("prometheus") or "prometheus",
                *(replaced(argument, self._moved) for argument in service("prometheus")["command"]),
                f"--web.listen-address={self._address}",
                "--log.level=warn",
            ],
            log=self._log,
            cwd=self._folder,
        )
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            assert self._process.poll() is None, log_tail(self._log)
            assert time.monotonic() < deadline, log_tail(self._log)
            time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        stop_child(self._process, grace_seconds=10)

    def query(self, expression: str) -> list[Series]:
        """Ask for the present value of an expression: the labels and value of each series."""
        answer = self.get("query", query=expression)
        assert answer["resultType"] == "vector", expression
        return [(series["metric"], float(series["value"][1])) for series in answer["result"]]

    def value(self, expression: str) -> float | None:
        """Ask for an expression that has one series; None when it has none yet."""
        series = self.query(expression)
        assert len(series) <= 1, expression
        return series[0][1] if series else None

    def until(self, expression: str, expected: float, seconds: float = 60.0) -> None:
        """Ask until an expression has a value."""
        deadline = time.monotonic() + seconds
        while (value := self.value(expression)) != expected:
            assert time.monotonic() < deadline, f"{expression} is {value}, not {expected}"
            time.sleep(0.2)

    def get(self, page: str, **parameters: str) -> Any:
        """Ask the API; fails with its own words when it refuses."""
        url = f"http://{self._address}/api/v1/{page}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from None

    def _is_ready(self) -> bool:
        try:
            url = f"http://{self._address}/-/ready"
            with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
