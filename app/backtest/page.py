"""The report as one page of HTML with its charts in it: no script, no other file, no network, no student."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Final

from app.backtest.charts import Mark, Series, lying, upright
from app.backtest.depths import BIN_POINTS, BINS
from app.backtest.report import ALL, Report, RulesReport, week_label
from app.backtest.words import (
    ACCURACY_HEADINGS,
    COMPARISON_HEADINGS,
    RULES_HEADINGS,
    accuracy_rows,
    comparison_rows,
    course_name,
    decimal,
    listed,
    number,
    percent,
    rule_rows,
    sentences,
)
from app.semester.sinks import open_output
from tables.figures import as_text, duration_text

_STYLE: Final = """
:root { color-scheme: light dark; --page: #ffffff; --ink: #1c2733; --soft: #5b6875; --line: #d9dfe5;
  --card: #f5f7f9; --one: #2b6cb0; --two: #d97706; --bad: #c53030; }
@media (prefers-color-scheme: dark) { :root { --page: #14191f; --ink: #e6ebf0; --soft: #9aa7b4;
  --line: #323c46; --card: #1d242c; --one: #63a4e8; --two: #f0a640; --bad: #f07178; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 66rem; padding: 1.5rem; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
p { margin: .3rem 0; max-width: 46rem; } .soft { color: var(--soft); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(7rem, 1fr)); gap: .6rem;
  margin: 1.2rem 0; }
.tile { background: var(--card); border-radius: .5rem; padding: .6rem .75rem; }
.tile b { display: block; font-size: 1.45rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: .85rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); gap: 1rem 1.5rem; }
figure { margin: 0; } figcaption { font-weight: 600; font-size: .9rem; }
figcaption span { color: var(--soft); font-weight: 400; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { fill: var(--soft); font: 11px system-ui, sans-serif; }
.one { fill: var(--one); } .two { fill: var(--two); } .bad { fill: var(--bad); }
.axis { stroke: var(--soft); } .grid { stroke: var(--line); }
.mark { stroke: var(--ink); stroke-dasharray: 4 3; }
.key { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; margin: .4rem 0 .8rem; font-size: .9rem; }
.key i { display: inline-block; width: .8rem; height: .8rem; border-radius: .15rem; margin-right: .4rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem; text-align: right; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 500; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; padding-left: 0; white-space: nowrap; }
tr.all td { font-weight: 600; border-bottom: 0; }
"""


def write_page(report: Report, path: Path) -> None:
    """Write the page to a file; raises OutputError when it can't be written."""
    with open_output(path) as file:
        file.write(page(report).encode(errors="replace"))  # a file may be named in no encoding


def page(report: Report) -> str:
    """Return the page."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">\n"
        f"<title>Gradewatch backtest</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(_body(report))
        + "\n</body>\n</html>\n"
    )


def _body(report: Report) -> Iterator[str]:
    names = " against ".join(escape(of_set.rule_set.name) for of_set in report.sets)
    yield f'<h1>Gradewatch backtest</h1>\n<p class="soft">{names}</p>'
    if report.students:
        yield _tiles(report)
    yield "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences(report))
    if not report.students:
        return
    yield "<h2>Alerts opened or escalated, week by week</h2>"
    yield _key(report)
    yield f'<div class="charts">{"".join(_weekly(report))}</div>'
    yield _depths(report)
    for of_set in report.sets:
        yield f"<h2>Alerts by {escape(of_set.rule_set.name)}</h2>"
        yield _table(RULES_HEADINGS, rule_rows(report, of_set))
    if report.comparison is not None:
        yield _comparison(report)
    for of_set in report.sets:
        if of_set.accuracy:
            yield _accuracy(report, of_set)
    yield _noisiest(report)


def _each(report: Report, figure: Callable[[RulesReport], str]) -> str:
    return " / ".join(map(figure, report.sets))


def _tiles(report: Report) -> str:
    tiles = [
        (f"{report.counts.events:,}", "events"),
        (f"{report.students:,}", "students"),
        (f"{len(report.counts.courses):,}", "courses"),
        (f"{len(report.weeks)}", "weeks"),
        (_each(report, lambda each: f"{each.tally.raised():,}"), "alerts opened or escalated"),
        (_each(report, lambda each: decimal(report.rate(each.tally.raised()))), "per 100 students and week"),
    ]
    if report.labels is not None:
        tiles += [
            (_each(report, lambda each: percent(each.accuracy[ALL].recall)), "of true declines found"),
            (_each(report, lambda each: percent(each.accuracy[ALL].precision)), "of alerts are right"),
        ]
    return (
        '<div class="tiles">'
        + "".join(f'<div class="tile"><b>{figure}</b><span>{what}</span></div>' for figure, what in tiles)
        + "</div>"
    )


def _key(report: Report) -> str:
    if len(report.sets) == 1:
        return ""
    return _legend(
        (style, of_set.rule_set.name) for style, of_set in zip(("one", "two"), report.sets, strict=False)
    )


def _legend(entries: Iterator[tuple[str, str]] | Sequence[tuple[str, str]]) -> str:
    return (
        '<div class="key">'
        + "".join(
            f'<span><i style="background: var(--{style})"></i>{escape(name)}</span>'
            for style, name in entries
        )
        + "</div>"
    )


def _weekly(report: Report) -> Iterator[str]:
    weeks = report.shown_weeks
    labels = [week_label(week) for week in weeks]
    for rule in dict.fromkeys(rule for of_set in report.sets for rule in of_set.rules):
        totals = [of_set.tally.raised(rule) for of_set in report.sets]
        if not any(totals):
            continue
        series = [
            Series(of_set.rule_set.name, style, [of_set.tally.raised_in(week, rule) for week in weeks])
            for style, of_set in zip(("one", "two"), report.sets, strict=False)
        ]
        chart = upright(f"{rule} per week", labels, series, size=(320, 120), every=max(1, len(weeks) // 4))
        yield (
            f"<figure><figcaption>{rule} <span>{' / '.join(f'{total:,}' for total in totals)}</span>"
            f"</figcaption>{chart}</figure>"
        )


def _comparison(report: Report) -> str:
    first, second = (escape(of_set.rule_set.name) for of_set in report.sets)
    return (
        f"<h2>What {second} adds to {first}, and removes</h2>"
        "<p>An alert is the same when rule, status, student, course, subject and event are.</p>"
        f"{_table(COMPARISON_HEADINGS, comparison_rows(report))}"
    )


def _accuracy(report: Report, of_set: RulesReport) -> str:
    return (
        f"<h2>{escape(of_set.rule_set.name)} against the labels</h2>"
        f"<p>{number(of_set.accuracy[ALL].declines, 'student')} in a course truly decline. "
        f"One is found when an alert about it comes within {of_set.within_days:g} days of the beginning.</p>"
        + _table(ACCURACY_HEADINGS, accuracy_rows(report, of_set))
    )


def _depths(report: Report) -> str:
    labels = [as_text(each.least) + ("+" if each.below is None else "") for each in report.depths]
    parameters = report.sets[0].rule_set.book.default.score_drop
    marks = [
        Mark(min(BINS - 1, threshold / BIN_POINTS), f"{name} {as_text(threshold)}")
        for name, threshold in (
            ("min_drop", parameters.min_drop),
            ("critical_drop", parameters.critical_drop),
        )
    ]
    others = Series("students in courses", "one", [each.others for each in report.depths])
    series = [others]
    legend = ""
    if report.labels is not None:
        declining = Series("that truly decline", "bad", [each.declining for each in report.depths])
        series = [declining, others._replace(name="that don't")]
        legend = _legend([("bad", "truly declining"), ("one", "not declining")])
    chart = upright(
        "Deepest drops", labels, series, size=(960, 220), stacked=True, bounds=True, every=2, marks=marks
    )
    return (
        "<h2>How deep scores fall</h2><p>Students in courses by their deepest drop of the posted score, in "
        f"percent points below its peak of the {duration_text(report.depth_window_ms)} before.</p>"
        f"{legend}<figure>{chart}</figure>"
    )


def _noisiest(report: Report) -> str:
    rows = [
        (
            f"course {course_name(report, noise)}",
            noise.alerts,
            f"{noise.students:,} students; {listed(noise.rules)}",
        )
        for noise in report.noisiest()
    ]
    if not rows:
        return ""
    return f"<h2>Courses with the most alerts</h2>{lying('Alerts by course', rows, width=960)}"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{heading}</th>" for heading in headings)
    body = "".join(
        f"<tr{' class=all' if row[0] == ALL else ''}>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
