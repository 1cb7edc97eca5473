"""What is shown at the end: tables of medians, spread and ratios, and what moved."""

import sys
from collections.abc import Mapping
from statistics import median
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench.results import MOVED_PERCENT, Results, fastest_peer, moves, ratios
from bench.stats import ratio

#: Floors and goals: Gradewatch's speed as a multiple of the others'.
_AIMS: Final = {
    "grades": {"peer": (1.25, 2.0), "faust_idiomatic": (10.0, 20.0), "limit": (0.18, 0.4)},
    "firehose": {"peer": (1.5, 3.0), "faust_idiomatic": (10.0, 20.0), "limit": (0.5, 0.8)},
}
_WIDTH: Final = 120
_AGAINST: Final = {
    "peer": "the faster of Quix Streams and Kafka Streams",
    "faust_idiomatic": "idiomatic Faust",
    "limit": "the limit",
}


def console() -> Console:
    """Return the screen; what is not a terminal is as wide as the tables."""
    return Console() if sys.stdout.isatty() else Console(width=_WIDTH)


def show(console: Console, results: Results, details: Mapping[str, Any]) -> None:
    """Print everything that this run measured."""
    for topic, part in details.get("throughput", {}).items():
        console.print(_throughput(topic, part))
        console.print(_ratios(topic, results))
    if "latency" in details:
        console.print(_latency("Raw to alert, at a steady rate (ms)", details["latency"]))
    if "restore" in details:
        table = _table("Restore from the changelog", "contender", "keys", "seconds", "keys/s")
        for label, row in details["restore"].items():
            seconds = row["seconds"]
            spread = f"{median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"
            table.add_row(label, f"{row['keys']:,}", spread, f"{row['keys'] / median(seconds):,.0f}")
        console.print(table)
    if "memory" in details:
        row = details["memory"]
        table = _table("Memory of one worker", "student-courses", "MiB at most", "MiB afterwards")
        table.add_row(
            f"{row['student_courses']:,}", f"{row['max_rss_mib']:,.0f}", f"{row['rss_mib_afterwards']:,.0f}"
        )
        console.print(table)
    if "scale" in details:
        table = _table("Scale, Gradewatch", "workers", "partitions", "events/s", "CPU s per million")
        for row in details["scale"]:
            table.add_row(
                str(row["workers"]),
                str(row["partitions"]),
                f"{row['events_per_second']:,.0f}",
                f"{row['cpu_seconds_per_million']:.1f}",
            )
        console.print(table)
    if "catchup" in details:
        _show_catchup(console, details["catchup"])
    for topic, row in details.get("observed", {}).items():
        console.print(f"{topic}: the metrics cost {row['price_percent']:.1f} % of the CPU time.")


def show_moves(console: Console, accepted: Results, now: Results) -> None:
    """Print the ratios beside the accepted ones, and say what moved."""
    table = _table(
        "Ratios against the accepted results", "topic", "Gradewatch /", "accepted", "now", "change"
    )
    found = sorted(moves(accepted, now))
    for move in found:
        colour = "" if not move.moved else "[green]" if move.percent > 0 else "[red]"
        table.add_row(
            move.topic,
            move.other,
            f"{move.accepted:.2f}",
            f"{move.now:.2f}",
            f"{colour}{move.percent:+.0f} %",
        )
    if not found:
        console.print("There are no accepted results to compare with (bench/results.json): run `make bench`.")
        return
    console.print(table)
    moved = [f"{m.topic}: Gradewatch / {m.other} {m.percent:+.0f} %" for m in found if m.moved]
    if moved:
        console.print(f"Moved by more than {MOVED_PERCENT:.0f} %: {'; '.join(moved)}.")
    else:
        console.print(f"Nothing moved by more than {MOVED_PERCENT:.0f} %.")


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    return table


def _throughput(topic: str, part: Mapping[str, Any]) -> Table:
    raw = part["topic"]
    title = f"{topic}: {raw['events']:,} events, {raw['bytes'] / raw['events']:,.0f} bytes each"
    table = _table(
        title, "contender", "events/s (median)", "least", "most", "spread", "CPU s per million", "MiB at most"
    )
    rows = part["contenders"].items()
    for label, row in sorted(rows, key=lambda item: -float(item[1]["events_per_second"]["median"])):
        eps = row["events_per_second"]
        table.add_row(
            label,
            f"{eps['median']:,.0f}",
            f"{eps['low']:,.0f}",
            f"{eps['high']:,.0f}",
            f"{100 * (eps['high'] - eps['low']) / eps['median']:.0f} %",
            f"{row['cpu_seconds_per_million']['median']:.1f}",
            f"{row['max_rss_mib']['median']:,.0f}",
        )
    return table


def _ratios(topic: str, results: Results) -> Table:
    part = getattr(results, topic)
    found: dict[str, float | None] = {**ratios(part), "peer": ratio(part.gradewatch, fastest_peer(part))}
    table = _table(f"{topic}: Gradewatch as a multiple of", "", "ratio", "floor", "goal", "")
    for name, (floor, goal) in _AIMS[topic].items():
        value = found.get(name)
        if value is None:
            continue
        verdict = "goal" if value >= goal else "floor" if value >= floor else "[red]under the floor"
        table.add_row(_AGAINST[name], f"{value:.2f}", f"{floor:g}", f"{goal:g}", verdict)
    return table


def _latency(title: str, rows: Mapping[str, Any]) -> Table:
    table = _table(title, "contender", "p50", "p90", "p99", "most", "alerts")
    for label, row in rows.items():
        figures = (f"{row[name]:,.0f}" for name in ("p50", "p90", "p99", "max"))
        table.add_row(label, *figures, f"{row['alerts']:,}")
    return table


def _show_catchup(console: Console, details: Mapping[str, Any]) -> None:
    table = _table(
        f"Catch-up: a backlog of {details['events']:,} events, scattered", "reading", "late", "events/s"
    )
    for name, share in details["late_share"].items():
        speeds = ", ".join(f"{speed:,.0f}" for speed in details["events_per_second"][name])
        table.add_row(name, f"{100 * share:.3f} %", speeds)
    console.print(table)
    console.print(f"Reading in step costs {details['price_percent']:.1f} % of the throughput.")
    console.print(_latency("Live latency, in step and not (ms)", details["latency_ms"]))
