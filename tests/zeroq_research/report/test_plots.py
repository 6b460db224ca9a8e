"""Plots: points where they belong, fronts that are fronts, nothing taken for markup."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest

from zeroq_research.report.plots import HEIGHT, WIDTH, Axis, Point, Series, pareto_front, plot, ticks


def circles(svg: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', svg)]


def test_points_stand_in_the_order_of_their_values() -> None:
    points = (Point(1, 10), Point(10, 5), Point(100, 1))
    svg = plot("t", Axis("bytes", log=True), Axis("WER %"), [Series("a", points)])
    ElementTree.fromstring(svg)
    (x1, y1), (x2, y2), (x3, y3) = circles(svg)
    assert 0 < x1 < x2 < x3 < WIDTH and 0 < y1 < y2 < y3 < HEIGHT
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.2)


def test_what_cannot_be_drawn_is_left_out() -> None:
    points = (Point(0, 1), Point(1, math.nan), Point(2, 3), Point(4, 5))
    assert len(circles(plot("t", Axis("x", log=True), Axis("y"), [Series("a", points)]))) == 2
    ElementTree.fromstring(plot("empty", Axis("x"), Axis("y"), []))
    ElementTree.fromstring(plot("one", Axis("x"), Axis("y"), [Series("a", (Point(3, 3),))]))


def test_texts_are_escaped() -> None:
    series = [Series("<a>", (Point(1, 1, "<l>", "<t>"),)), Series("&b", (Point(2, 2),))]
    svg = plot("<title>&", Axis("<x>"), Axis("<y>"), series)
    ElementTree.fromstring(svg)
    assert "<a>" not in svg and "&lt;a&gt;" in svg and "&amp;b" in svg


def test_a_front_holds_what_nothing_beats() -> None:
    points = [Point(1, 9), Point(2, 9), Point(2, 4), Point(3, 5), Point(4, 4), Point(5, 1)]
    assert [(p.x, p.y) for p in pareto_front(points)] == [(1, 9), (2, 4), (5, 1)]


@pytest.mark.parametrize(
    ("values", "axis", "expected"),
    [
        ([0, 10], Axis("x"), [0, 5, 10]),
        ([3.9, 4.9], Axis("x"), [4.0, 4.5]),
        ([1, 100], Axis("x", log=True), [1, 2, 5, 10, 20, 50, 100]),
        ([1, 1e6], Axis("x", log=True), [1, 10, 100, 1e3, 1e4, 1e5, 1e6]),
    ],
)
def test_ticks_are_round_numbers(values: list[float], axis: Axis, expected: list[float]) -> None:
    assert ticks(values, axis) == pytest.approx(expected)
