"""The picture of the dashboards shows the panels that there are, and data is drawn where it belongs."""

import re
from xml.etree import ElementTree as ET

from tests.deploy.drawing import Axis, Line, heat_map, lines, picture
from tests.deploy.grafana import queries
from tests.deploy.pictures import PANELS, PICTURE

AXIS = Axis(0.0, 10.0)


def tops(svg: str, colour_of: str) -> list[float]:
    """Give the y of every point of one polygon or line, by what its colour is set with."""
    (points,) = re.findall(rf'points="([^"]+)" {colour_of}', svg)
    return [float(point.split(",")[1]) for point in points.split()]


def test_the_picture_in_the_docs_is_of_the_dashboards_panels() -> None:
    ET.parse(PICTURE)  # noqa: S314 - our own
    text = PICTURE.read_text()
    titles = {query.panel["title"] for query in queries()}
    for panel in PANELS:
        assert panel in titles
        assert f">{panel}<" in text
    assert text.count("<polyline") + text.count("<polygon") > len(PANELS)
    assert 'fill="#d94801"' in text  # the heat map has observations


def test_lines_are_as_high_as_their_values_and_a_limit_out_of_sight_is_left_out() -> None:
    series = [Line("a", {0.0: 10.0, 10.0: 5.0}), Line("limit", {0.0: 100.0})]
    svg = lines("A & B", AXIS, series, unit="short")
    ET.fromstring(picture("x", [svg]))  # noqa: S314 - our own
    full, half = tops(svg, 'fill="none"')
    assert full == 30.0
    assert half > full
    assert "stroke-dasharray" not in svg
    assert "stroke-dasharray" in lines("A", AXIS, [series[0], Line("limit", {0.0: 8.0})], unit="short")


def test_stacked_series_stand_on_each_other_and_the_sum_is_drawn_first() -> None:
    series = [Line("large", {0.0: 6.0}), Line("small", {0.0: 4.0})]
    svg = lines("A", AXIS, series, unit="short", stacked=True)
    assert tops(svg, 'fill="#4c78a8"')[0] == 30.0  # 6 on top of 4 is the top of the axis
    assert svg.index("#4c78a8") < svg.index("#f58518")


def test_a_heat_map_shows_what_each_bucket_has_more_than_the_one_below() -> None:
    buckets = {0.1: {5.0: 2.0}, 1.0: {5.0: 2.0}, float("inf"): {5.0: 3.0}}
    svg = heat_map("A", AXIS, buckets, unit="s", step=1)
    ET.fromstring(picture("x", [svg]))  # noqa: S314 - our own
    assert svg.count("fill-opacity") == 2
    assert all(label in svg for label in ("100 ms", "1 s", "more"))
