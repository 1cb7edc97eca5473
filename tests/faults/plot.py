"""Lines over time as SVG, one panel below the other."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT, _HEAD, _GAP, _LEFT, _RIGHT = 720, 90, 34, 16, 64, 12
_INK, _FAINT, _LINE, _DOT = "#57606a", "#8c959f", "#2da44e", "#cf222e"  # readable on a light and a dark page


class Panel(NamedTuple):
    """One line: seconds and values of the same number, at least one."""

    title: str
    unit: str
    seconds: Sequence[float]
    values: Sequence[float]


def write(path: Path, panels: Sequence[Panel], dots: Sequence[float], caption: str) -> None:
    """Write the panels, each scaled from 0 to its greatest value, with a dot below at each time of `dots`."""
    end_seconds = max(panel.seconds[-1] for panel in panels)
    drawn: list[str] = []
    top = 0
    for panel in panels:
        drawn += _panel(panel, end_seconds, top)
        top += _HEAD + _HEIGHT + _GAP
    drawn += [
        f'<circle cx="{_x(seconds, end_seconds):.1f}" cy="{top}" r="1.5" fill="{_DOT}"/>' for seconds in dots
    ]
    drawn.append(_text(_LEFT, top + 16, "0"))
    drawn.append(_text(_WIDTH - _RIGHT, top + 16, f"{end_seconds / 60:.0f} min", anchor="end"))
    drawn.append(_text(0, top + 38, caption))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top + 48}" width="{_WIDTH}" '
        'font-family="system-ui, sans-serif" role="img" '
        f'aria-label="{escape(caption)}">\n' + "\n".join(drawn) + "\n</svg>\n"
    )


def _panel(panel: Panel, end_seconds: float, top: int) -> list[str]:
    most = max(panel.values) or 1.0
    floor = top + _HEAD + _HEIGHT
    points = " ".join(
        f"{_x(seconds, end_seconds):.1f},{floor - _HEIGHT * value / most:.1f}"
        for seconds, value in zip(panel.seconds, panel.values, strict=True)
    )
    return [
        _text(0, top + 20, panel.title, colour=_INK, size=14),
        _text(_LEFT - 8, top + _HEAD + 8, f"{most:,.0f} {panel.unit}".strip(), anchor="end"),
        _text(_LEFT - 8, floor, "0", anchor="end"),
        f'<line x1="{_LEFT}" y1="{floor}" x2="{_WIDTH - _RIGHT}" y2="{floor}" stroke="{_FAINT}"/>',
        f'<polyline points="{points}" fill="none" stroke="{_LINE}" stroke-width="1.2"/>',
    ]


def _x(seconds: float, end_seconds: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * seconds / end_seconds


def _text(
    x: float, y: float, text: str, *, colour: str = _FAINT, size: int = 12, anchor: str = "start"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" font-size="{size}" text-anchor="{anchor}">'
        f"{escape(text)}</text>"
    )
