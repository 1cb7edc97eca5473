"""Charts as inline SVG: bars upright, side by side or stacked, and bars that lie beside their names.

Colours and type come from the page's style sheet, by class, so that a chart follows the reader's light or
dark theme. Every bar says its figures when it is pointed at.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

_LEFT, _RIGHT, _TOP, _BOTTOM = 34.0, 14.0, 12.0, 20.0
"""Room for the axes' labels, in the chart's own units: about one pixel each."""
_GAP: Final = 0.2
"""Share of a bar's place that is left free."""


class Series(NamedTuple):
    """Counts of one kind, one per bar."""

    name: str
    style: str
    """Class of its bars."""
    counts: Sequence[int]


class Mark(NamedTuple):
    """An upright line across a chart."""

    at: float
    """In bars from the left: 1.5 is the middle of the second bar."""
    text: str


def upright(
    title: str,
    labels: Sequence[str],
    series: Sequence[Series],
    *,
    size: tuple[int, int],
    stacked: bool = False,
    bounds: bool = False,
    every: int = 1,
    marks: Sequence[Mark] = (),
) -> str:
    """Return a chart with a bar per label, or one per label and series; every so many labels are written.

    Labels stand below the middle of their bars or, as `bounds`, below where these begin.
    """
    width, height = size
    inner_width, inner_height = width - _LEFT - _RIGHT, height - _TOP - _BOTTOM
    columns = list(zip(*(each.counts for each in series), strict=True))
    most = _round_up(max((sum(column) if stacked else max(column) for column in columns), default=0))
    step = inner_width / max(1, len(labels))
    parts = [_axis(most, width, inner_height)]
    for place, (label, column) in enumerate(zip(labels, columns, strict=True)):
        left = _LEFT + step * (place + _GAP / 2)
        bar_width = step * (1 - _GAP) / (1 if stacked else len(series))
        below = 0.0
        for nth, (each, count) in enumerate(zip(series, column, strict=True)):
            bar_height = inner_height * count / most
            x = left if stacked else left + nth * bar_width
            y = _TOP + inner_height - below - bar_height
            below += bar_height if stacked else 0.0
            if count:
                parts.append(_bar(each.style, x, y, bar_width, bar_height, f"{label}: {count:,} {each.name}"))
        if place % every == 0:
            x = _LEFT + step * (place + (0.0 if bounds else 0.5))
            parts.append(_text(x, height - 5, label, "middle"))
    for mark in marks:
        x = _LEFT + step * mark.at
        parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{_TOP + inner_height:.1f}"/>')
        parts.append(_text(x + 4, 9, mark.text, "start"))
    return _svg(title, width, height, parts)


def lying(title: str, rows: Sequence[tuple[str, int, str]], *, width: int) -> str:
    """Return a chart with a bar per row: its name, its count and what is said when it is pointed at."""
    row_height, names_width, counts_width = 24.0, 110.0, 50.0
    most = max((count for _, count, _ in rows), default=0) or 1
    parts = []
    for place, (name, count, hint) in enumerate(rows):
        y = place * row_height
        bar_width = (width - names_width - counts_width) * count / most
        parts.append(_text(names_width - 8, y + 16, name, "end"))
        parts.append(_bar("one", names_width, y + 4, bar_width, row_height - 8, hint))
        parts.append(_text(names_width + bar_width + 6, y + 16, f"{count:,}", "start"))
    return _svg(title, width, round(row_height * len(rows)), parts)


def _axis(most: int, width: float, inner_height: float) -> str:
    parts = []
    for share in (0.0, 0.5, 1.0) if most > 1 else (0.0, 1.0):
        y = _TOP + inner_height * (1 - share)
        style = "grid" if share else "axis"
        parts.append(f'<line class="{style}" x1="{_LEFT}" x2="{width - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(_LEFT - 5, y + 4, f"{most * share:,g}", "end"))
    return "".join(parts)


def _bar(style: str, x: float, y: float, width: float, height: float, hint: str) -> str:
    return (
        f'<rect class="{style}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}">'
        f"<title>{escape(hint)}</title></rect>"
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(title: str, width: int, height: int, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )


def _round_up(most: int) -> int:
    """Return the least round number to end an axis at: 1, 2, 4, 6, 8, 10, 12, 16, 20 and so on."""
    scale = 1
    while True:
        for step in (1, 2, 4, 6, 8) if scale == 1 else (1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8):
            if most <= step * scale:
                return round(step * scale)
        scale *= 10
