"""The chart that the documentation shows: events per second, one bar for each contender."""

from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from bench.results import Results, Throughput

LABELS: Final = {
    "gradewatch": "Gradewatch",
    "kafka_streams": "Kafka Streams",
    "quix": "Quix Streams",
    "faust_idiomatic": "Faust, idiomatic",
    "limit": "limit: fetch and parse",
}
_TITLES: Final = {"grades": "Grade events only", "firehose": "A school's firehose, one grade in ten events"}

_WIDTH, _LABEL_WIDTH, _FIGURE_WIDTH = 720, 170, 120
_BAR, _GAP, _HEAD = 22, 8, 44
_INK, _FAINT = "#57606a", "#8c959f"  # readable on a light and on a dark page
_COLOURS: Final = {"gradewatch": "#2da44e", "limit": "#8c959f"}
_OTHER_COLOUR: Final = "#54aeff"


def write(path: Path, results: Results) -> None:
    """Write the chart of what was measured; nothing is written when nothing was."""
    panels = [(name, bars) for name in _TITLES if (bars := _bars(getattr(results, name)))]
    if not panels:
        return
    drawn: list[str] = []
    top = 0
    for name, bars in panels:
        drawn += _panel(_TITLES[name], bars, top)
        top += _HEAD + len(bars) * (_BAR + _GAP) + _GAP
    when = (
        f"events per second, one worker of 1 or 2 processes or threads, {results.cores} cores, {results.date}"
    )
    drawn.append(_text(0, top + 14, when, colour=_FAINT, size=12))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top + 24}" width="{_WIDTH}" '
        'font-family="system-ui, sans-serif" role="img" aria-label="Events per second by contender">\n'
        + "\n".join(drawn)
        + "\n</svg>\n"
    )


def _bars(part: Throughput) -> list[tuple[str, float]]:
    found = [(name, eps) for name in LABELS if (eps := getattr(part, name)) is not None]
    return sorted(found, key=lambda bar: (bar[0] == "limit", -bar[1]))


def _panel(title: str, bars: list[tuple[str, float]], top: int) -> list[str]:
    longest = max(eps for _, eps in bars)
    room = _WIDTH - _LABEL_WIDTH - _FIGURE_WIDTH
    drawn = [_text(0, top + 24, title, size=16, weight="600")]
    for row, (name, eps) in enumerate(bars):
        y = top + _HEAD + row * (_BAR + _GAP)
        width = max(1.0, room * eps / longest)
        drawn += [
            _text(0, y + 16, LABELS[name], weight="600" if name == "gradewatch" else "400"),
            f'<rect x="{_LABEL_WIDTH}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="3" '
            f'fill="{_COLOURS.get(name, _OTHER_COLOUR)}"/>',
            _text(_LABEL_WIDTH + width + 8, y + 16, f"{eps:,.0f}"),
        ]
    return drawn


def _text(x: float, y: float, text: str, *, colour: str = _INK, size: int = 14, weight: str = "400") -> str:
    return (
        f'<text x="{x:.1f}" y="{y}" fill="{colour}" font-size="{size}" font-weight="{weight}">'
        f"{escape(text)}</text>"
    )
