"""The demo ends by itself, its figures add up, and nothing of it stays but one folder."""

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from app.demo.figures import Derived, Figures, Scrape
from app.demo.folder import NAME, fresh_folder
from app.demo.screen import Pace, Screen
from app.demo.stage import plan
from app.embedded import EmbeddedBrokerError
from app.errors import GradewatchError
from app.main import main
from app.settings import Settings
from models.alerts import Alert, decode_alert

SMALL = ("--students", "6", "--rate", "8000")

FOREIGN_SETTINGS = {
    "GRADEWATCH_BROKERS": "192.0.2.1:9092",
    "GRADEWATCH_SECURITY_PROTOCOL": "SASL_SSL",
    "GRADEWATCH_PARTITIONS": "many",
    "gradewatch_topic_prefix": "real.",
}
"""What must not reach the demo: another cluster's settings, and mistakes in them."""


@contextmanager
def demo(folder: Path, *options: str) -> Iterator["subprocess.Popen[str]"]:
    """Start a demo as a person does, in a folder, with other settings in the environment."""
    with subprocess.Popen(
        [sys.executable, "-m", "app.main", "demo", *SMALL, *options],
        cwd=folder,
        env=os.environ | FOREIGN_SETTINGS,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def processes_of(folder: Path) -> list[int]:
    """List the processes that know the demo's folder: by their arguments or their environment."""
    mark = str(folder / NAME).encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            told = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:  # it has gone, or it is not ours
            continue
        if mark in told:
            found.append(int(entry.name))
    return found


def read_until(process: "subprocess.Popen[str]", text: str) -> str:
    """Read a demo's output up to the line that has a text in it."""
    assert process.stdout is not None
    read = ""
    for line in process.stdout:
        read += line
        if text in line:
            return read
    pytest.fail(f"the demo ended without {text!r}: {read}")


linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as only Linux shows them")


@linux
@pytest.mark.usefixtures("embedded_installed")
def test_it_ends_by_itself_adds_up_and_leaves_one_folder(tmp_path: Path) -> None:
    with demo(tmp_path, "--json") as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert err == ""
    summary = json.loads(out)

    assert summary["adds_up"] is True
    outcomes = summary["events_by_outcome"]
    assert sum(outcomes.values()) == summary["raw_messages"] > 1_000
    assert sum(summary["records_by_type"].values()) == outcomes["record"] > 0
    assert sum(summary["dead_letters_by_reason"].values()) == outcomes["rejected"] > 0
    assert summary["duplicate_records"] > 0
    assert (summary["students"], summary["courses"]) == (6, 5)

    lines = (tmp_path / NAME / "alerts.jsonl").read_bytes().splitlines()
    alerts = [decode_alert(line) for line in lines]
    assert len({alert.alert_id for alert in alerts}) == summary["alerts"] == len(alerts) > 0
    assert {
        rule: dict(Counter(alert.severity for alert in alerts if alert.rule == rule))
        for rule in {alert.rule for alert in alerts}
    } == summary["alerts_by_rule"]

    assert [entry.name for entry in tmp_path.iterdir()] == [NAME]
    assert processes_of(tmp_path) == []


@linux
@pytest.mark.usefixtures("embedded_installed")
def test_it_is_plain_in_a_pipe_and_stays_until_ctrl_c_when_asked(tmp_path: Path) -> None:
    with fresh_folder(tmp_path) as earlier:
        earlier.alerts.write_text("of an earlier demo\n")
    with demo(tmp_path, "--stay") as process:
        out = read_until(process, "curl -s ")
        brokers = re.search(r"export (GRADEWATCH_BROKERS)=(\S+)", out)
        student = re.search(r"scores show (\S+)", out)
        assert brokers is not None
        assert student is not None
        shown = subprocess.run(
            [sys.executable, "-m", "app.main", "scores", "show", student[1], "--json"],
            env=os.environ | {brokers[1]: brokers[2]},
            capture_output=True,
            check=True,
        )
        assert f'"user_id": "{student[1].rpartition(":")[2]}"' in shown.stdout.decode()
        assert len(processes_of(tmp_path)) == 2
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "\x1b" not in out
    assert re.search(r"^[A-Z][a-z]{2} \d\d \d\d:\d\d  (critical|warning|info) +\d+ +\d+ +The ", out, re.M)
    assert re.search(r"^  together +([\d,]+)   of \1 messages in the raw topic$", out, re.M)
    assert "earlier" not in (tmp_path / NAME / "alerts.jsonl").read_text()
    assert processes_of(tmp_path) == []


@linux
@pytest.mark.usefixtures("embedded_installed")
def test_ctrl_c_ends_all_of_it(tmp_path: Path) -> None:
    with demo(tmp_path, "--rate", "100") as process:
        read_until(process, "What happened")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "Ended by Ctrl-C. Nothing is left running.\n")
    assert "worker.stopped" in (tmp_path / NAME / "worker.log").read_text()
    assert processes_of(tmp_path) == []


@linux
@pytest.mark.usefixtures("embedded_installed")
def test_a_worker_that_dies_ends_the_demo_with_its_log(tmp_path: Path) -> None:
    with demo(tmp_path, "--rate", "100") as process:
        read_until(process, "What happened")
        (worker,) = (
            pid
            for pid in processes_of(tmp_path)
            if b"app.main\0worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
        )
        os.kill(worker, signal.SIGKILL)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Error: The worker ended by itself, with status -9." in err
    assert "web.listening" in err
    assert processes_of(tmp_path) == []


def test_without_the_embedded_broker_it_says_what_to_install_and_deletes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def not_installed() -> Path:
        raise EmbeddedBrokerError("it isn't installed")

    monkeypatch.setattr("app.embedded.find_binary", not_installed)
    monkeypatch.chdir(tmp_path)
    with fresh_folder(tmp_path) as earlier:
        earlier.alerts.touch()
    ended = CliRunner().invoke(main, ["demo"])
    assert (ended.exit_code, ended.stderr) == (1, "Error: it isn't installed\n")
    assert earlier.alerts.exists()


@pytest.mark.parametrize(
    "wrong", [["--config", os.devnull], ["--stay", "--json"], ["--students", "0"], ["--rate", "0"]]
)
def test_wrong_use_is_told(wrong: list[str]) -> None:
    assert CliRunner().invoke(main, ["demo", *wrong]).exit_code == 2


def test_a_folder_that_is_not_the_demos_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "thesis.tex").touch()
    with pytest.raises(GradewatchError, match="was not made by a demo"), fresh_folder(tmp_path):
        pass
    assert (tmp_path / NAME / "thesis.tex").exists()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(GradewatchError, match="was not made by a demo"), fresh_folder(tmp_path):
        pass


def test_two_demos_do_not_share_a_folder(tmp_path: Path) -> None:
    with fresh_folder(tmp_path) as folder:
        folder.alerts.touch()
        with pytest.raises(GradewatchError, match="Another demo is at work"), fresh_folder(tmp_path):
            pass
        assert folder.alerts.exists()
    with fresh_folder(tmp_path) as folder:
        assert not folder.alerts.exists()


def test_a_burst_shows_the_worst_and_a_quiet_time_shows_all() -> None:
    pace = Pace(now=0.0)
    burst = [pace.takes(severity, 0.0) for severity in ("info", "warning", "warning", "warning", "critical")]
    assert burst == [True, True, True, False, True]
    assert sum(pace.takes("critical", 0.0) for _ in range(100)) < 10
    assert all(pace.takes("info", 10.0 + second) for second in range(10))


def test_an_alert_about_a_course_is_shown_without_a_student(capsys: pytest.CaptureFixture[str]) -> None:
    alert = Alert(
        alert_id="0" * 32,
        rule="course_wide_drop",
        status="opened",
        severity="critical",
        audience="staff",
        root_account_uuid="school",
        user_id=None,
        course_id="2003",
        assignment_id=None,
        submission_id=None,
        subject="2025-11-22T10:00:00.000Z",
        event_id=None,
        event_time="2025-11-22T10:00:00.000Z",
        detected_at="2025-11-22T10:20:00.000Z",
        value=10,
        previous=None,
        reference=10,
        message="Ten students at once.",
    )
    screen = Screen(Console(), plan(students=6, seed=1, events_per_second=1.0))
    screen.alerts([alert])
    screen.staying(Settings())
    out = capsys.readouterr().out
    assert out.splitlines()[0] == "Nov 22 10:00  critical  -        2003    Ten students at once."
    assert "scores show ROOT_ACCOUNT_UUID:USER_ID\n" in out


METRICS = """\
gradewatch_events_total{event_name="grade_change",outcome="record"} 5.0
gradewatch_events_total{event_name="other",outcome="ignored"} 3.0
gradewatch_events_total{event_name="grade_change",outcome="rejected"} 2.0
gradewatch_raw_to_alert_seconds_bucket{le="0.1"} 1.0
gradewatch_raw_to_alert_seconds_bucket{le="0.5"} 2.0
gradewatch_raw_to_alert_seconds_bucket{le="+Inf"} 2.0
"""


def figures(*, sent: int = 10, raw: int = 10, records: int = 5, dead_letters: int = 2) -> Figures:
    derived = Derived(dead_letters=Counter(empty=dead_letters))
    return Figures(sent, 1.0, raw, records, derived, Scrape(METRICS))


def test_figures_that_agree_have_no_problems() -> None:
    assert list(figures().problems()) == []
    assert figures().latency_seconds(0.5) == 0.1
    assert figures().latency_seconds(0.99) == 0.5


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (figures(sent=11), "11 events sent, but 10 messages in the raw topic."),
        (figures(records=6), "5 grade records counted by the worker, but 6 messages in their topic."),
        (figures(dead_letters=1), "2 dead letters counted by the worker, but 1 messages in their topic."),
    ],
)
def test_what_does_not_add_up_is_told(wrong: Figures, sentence: str) -> None:
    assert list(wrong.problems()) == [sentence]
    assert wrong.document()["adds_up"] is False


def test_raw_messages_without_an_outcome_are_told() -> None:
    assert list(figures(sent=12, raw=12).problems()) == [
        "12 raw messages, but 10 grade records, ignored events and dead letters."
    ]
