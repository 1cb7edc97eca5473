"""Draws a panel's data as SVG: lines, stacked areas and heat maps, much as Grafana would."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 560, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 30, 62
_PLOT_WIDTH, _PLOT_HEIGHT = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
_COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2", "#9d755d", "#bab0ac")
_LIMIT_COLOUR = "#c00"
_LEGEND_COLUMNS, _LEGEND_ROWS = 3, 3

Points = Mapping[float, float]
"""Values by time in seconds; a time without a value is a gap."""


class Line(NamedTuple):
    """One series and what it's called."""

    name: str
    points: Points


class Axis(NamedTuple):
    """The range of times of all panels, in seconds."""

    start: float
    end: float

    def x(self, time: float) -> float:
        """Return where a time lies."""
        return _LEFT + _PLOT_WIDTH * (time - self.start) / (self.end - self.start)


def picture(title: str, panels: Sequence[str], columns: int = 2) -> str:
    """Put panels side by side into one SVG document."""
    rows = math.ceil(len(panels) / columns)
    width, height = columns * WIDTH, rows * HEIGHT
    placed = "".join(
        f'<g transform="translate({index % columns * WIDTH},{index // columns * HEIGHT})">{panel}</g>\n'
        for index, panel in enumerate(panels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'font-family="sans-serif" font-size="11" fill="#333">\n<title>{escape(title)}</title>\n'
        f'<rect width="{width}" height="{height}" fill="#fff"/>\n{placed}</svg>\n'
    )


def lines(title: str, axis: Axis, series: Sequence[Line], *, unit: str, stacked: bool = False) -> str:
    """Draw lines over time, those that are largest named first; a line called limit is dashed."""
    series = sorted(series, key=lambda line: -max(line.points.values(), default=0.0))
    limits = [line for line in series if line.name == "limit"]
    drawn = [line for line in series if line.name != "limit"]
    if stacked:
        drawn = _stacked(drawn)
    top = _round_up(max((value for line in drawn for value in line.points.values()), default=0.0))
    parts = [_frame(title, axis, [(top * part / 4, _number(top * part / 4, unit)) for part in range(5)], top)]
    # Stacked: the sum of all first, to be covered by the sums of fewer. Lines: the largest on top.
    for index, line in list(enumerate(drawn))[:: 1 if stacked else -1]:
        colour = _COLOURS[index % len(_COLOURS)]
        place = [(axis.x(time), _y(value, top)) for time, value in sorted(line.points.items())]
        if not place:
            continue
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in place)
        if stacked:
            ground = f"{place[-1][0]:.1f},{_y(0, top):.1f} {place[0][0]:.1f},{_y(0, top):.1f}"
            parts.append(f'<polygon points="{path} {ground}" fill="{colour}"/>')
        else:
            parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    for line in limits:
        value = max(line.points.values())
        if value <= top:  # else there's nothing to fear
            y = _y(value, top)
            parts.append(
                f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" '
                f'stroke="{_LIMIT_COLOUR}" stroke-dasharray="6 4"/>'
            )
    return "\n".join([*parts, _legend([line.name for line in drawn])])


def heat_map(title: str, axis: Axis, buckets: Mapping[float, Points], *, unit: str, step: float) -> str:
    """Draw how many observations fell into each bucket; `buckets` has cumulative counts by upper bound."""
    bounds = sorted(buckets)
    counts: dict[tuple[int, float], float] = {}
    for row, bound in enumerate(bounds):
        below = buckets[bounds[row - 1]] if row else {}
        for time, count in buckets[bound].items():
            counts[row, time] = max(0.0, count - below.get(time, 0.0))
    seen = [row for (row, _), count in counts.items() if count > 0]
    first, last = (min(seen), max(seen)) if seen else (0, len(bounds) - 1)
    rows = last - first + 1
    most = max(counts.values(), default=1.0) or 1.0
    ticks = [(row - first + 1, _number(bounds[row], unit)) for row in range(first, last + 1)]
    parts = [_frame(title, axis, ticks, rows)]
    width = _PLOT_WIDTH * step / (axis.end - axis.start)
    for (row, time), count in sorted(counts.items()):
        if count > 0:
            y = _y(row - first + 1, rows)
            opacity = 0.15 + 0.85 * math.log1p(count) / math.log1p(most)
            parts.append(
                f'<rect x="{axis.x(time) - width:.1f}" y="{y:.1f}" width="{width:.1f}" '
                f'height="{_PLOT_HEIGHT / rows:.1f}" fill="#d94801" fill-opacity="{opacity:.2f}"/>'
            )
    parts.append(f'<text x="{_LEFT}" y="{HEIGHT - 22}">darker: more; most in one field: {most:.0f}</text>')
    return "\n".join(parts)


def _stacked(series: Sequence[Line]) -> list[Line]:
    """Put each line on top of those after it, so that the first is the sum."""
    total: dict[float, float] = {}
    piled = []
    for line in reversed(series):
        for time, value in line.points.items():
            total[time] = total.get(time, 0.0) + value
        piled.append(Line(line.name, dict(total)))
    return piled[::-1]


def _frame(title: str, axis: Axis, ticks: Sequence[tuple[float, str]], top: float) -> str:
    parts = [f'<text x="{_LEFT}" y="18" font-size="13" font-weight="bold">{escape(title)}</text>']
    for value, text in ticks:
        y = _y(value, top)
        parts.append(f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{escape(text)}</text>')
    seconds = axis.end - axis.start
    for part in range(5):
        x = _LEFT + _PLOT_WIDTH * part / 4
        text = f"{seconds * part / 4:.0f} s"
        anchor = "middle" if part < 4 else "end"
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - _BOTTOM + 15}" text-anchor="{anchor}">{text}</text>')
    return "\n".join(parts)


def _legend(names: Sequence[str]) -> str:
    parts = []
    for index, name in enumerate(names[: _LEGEND_COLUMNS * _LEGEND_ROWS]):
        x = _LEFT + index % _LEGEND_COLUMNS * _PLOT_WIDTH / _LEGEND_COLUMNS
        y = HEIGHT - _BOTTOM + 30 + index // _LEGEND_COLUMNS * 13
        colour = _COLOURS[index % len(_COLOURS)]
        parts.append(f'<rect x="{x:.1f}" y="{y - 8}" width="8" height="8" fill="{colour}"/>')
        parts.append(f'<text x="{x + 12:.1f}" y="{y}" font-size="10">{escape(name)}</text>')
    return "\n".join(parts)


def _y(value: float, top: float) -> float:
    return _TOP + _PLOT_HEIGHT * (1 - value / top)


def _round_up(value: float) -> float:
    """Return the next of 1, 2, 4, 10 times a power of ten, which divides by four well enough."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1.0, 2.0, 4.0, 10.0) if step * power >= value * 0.999)


def _number(value: float, unit: str) -> str:
    if math.isinf(value):
        return "more"
    if unit == "s":
        return f"{value * 1000:g} ms" if value < 1 else f"{value:g} s"
    return f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:g}"
