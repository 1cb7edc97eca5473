"""Samples become shares of the time, and results a chart."""

import re
from pathlib import Path

import pytest

from bench.chart import write
from bench.profile import shares
from bench.results import Results, Throughput

STACKS = [
    "MainThread;run (app/worker.py:10);fold (tables/scores.py:20) 3\n",
    "MainThread;run (app/worker.py:11);fold (tables/scores.py:25) 2\n",
    "MainThread;run (app/worker.py:11) 1\n",
    "Thread-1;fetch (aiokafka/fetcher.py:1) 4\n",
    "MainThread;<module> (app/main.py:1);_find_and_load (<frozen importlib._bootstrap>:2);f (x.py:1) 50\n",
    "\n",
]


def test_samples_are_added_up_by_function_whatever_the_line() -> None:
    found = shares(STACKS)
    assert found.samples == 10
    assert found.own["fold (tables/scores.py)"] == 5
    assert found.with_callees["run (app/worker.py)"] == 6
    assert found.own["run (app/worker.py)"] == 1
    assert found.by_thread == {"MainThread": 6, "Thread-1": 4}


def test_the_chart_has_a_bar_for_each_contender_that_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "images" / "bench.svg"
    write(path, Results(grades=Throughput(gradewatch=60_000, quix=20_000, limit=150_000), cores=2))
    drawing = path.read_text()
    bars = sorted(float(width) for width in re.findall(r'<rect .*?width="([\d.]+)"', drawing))
    assert bars == [pytest.approx(bars[0] * times, abs=0.5) for times in (1, 3, 7.5)]
    assert ">60,000<" in drawing
    assert ">Quix Streams<" in drawing
    assert "firehose" not in drawing


def test_nothing_is_drawn_of_nothing(tmp_path: Path) -> None:
    write(tmp_path / "bench.svg", Results())
    assert not (tmp_path / "bench.svg").exists()
