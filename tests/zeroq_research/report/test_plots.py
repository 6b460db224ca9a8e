"""Plots: points at their places, correct fronts, nothing taken for markup, the same bytes every time."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

from zeroq_research.report.plots import Axis, Point, Series, draw_plot, pareto_front, plot, plot_style

SVG = "{http://www.w3.org/2000/svg}"


def size(svg: str) -> tuple[float, float]:
    _, _, width, height = map(float, ElementTree.fromstring(svg).attrib["viewBox"].split())
    return width, height


def markers(svg: str) -> list[tuple[float, float]]:
    """The positions of the points, in the order of the series."""
    groups = [group for group in ElementTree.fromstring(svg).iter(f"{SVG}g") if group.get("class") == "marker"]
    uses = [use for group in groups for use in group.iter(f"{SVG}use")]
    return [(float(use.attrib["x"]), float(use.attrib["y"])) for use in uses]


def texts(svg: str, tag: str = "text") -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}{tag}")]


def test_points_are_in_the_order_of_their_values() -> None:
    points = (Point(1, 10), Point(10, 5), Point(100, 1))
    svg = plot("t", Axis("bytes", log=True), Axis("WER %"), [Series("a", points)])
    (x1, y1), (x2, y2), (x3, y3) = markers(svg)
    width, height = size(svg)
    assert 0 < x1 < x2 < x3 < width and 0 < y1 < y2 < y3 < height
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.2)
    assert (y3 - y2) / (y2 - y1) == pytest.approx(4 / 5, abs=0.01)


def test_values_that_cannot_be_drawn_are_omitted() -> None:
    points = (Point(0, 1), Point(1, math.nan), Point(2, 3), Point(4, 5))
    assert len(markers(plot("t", Axis("x", log=True), Axis("y"), [Series("a", points)]))) == 2
    assert markers(plot("empty", Axis("x"), Axis("y", log=True), [])) == []
    assert len(markers(plot("one", Axis("x"), Axis("y"), [Series("a", (Point(3, 3),))]))) == 1


def test_every_text_is_in_the_plot_and_escaped() -> None:
    series = [Series("<a>", (Point(1, 1, "<l>", "<t>"),)), Series("_b & $c$", (Point(2, 2),))]
    svg = plot("<title>& $x$", Axis("<x>"), Axis("<y>"), series)
    assert {"<title>& $x$", "<x>", "<y>", "<a>", "_b & $c$", "<l>"} <= set(texts(svg))
    assert texts(svg, "title") == ["<t>", "_b & $c$"]
    assert "<a>" not in svg and "&lt;a&gt;" in svg and "_b &amp; $c$" in svg


def test_a_faint_series_has_a_line_and_no_markers() -> None:
    points = (Point(1, 2), Point(2, 1))
    figure = Figure()
    draw_plot(figure, "t", (Axis("x"), Axis("y")), [Series("a", points, line=False), Series("f", points, faint=True)])
    lines = [line for line in figure.axes[0].get_lines() if np.size(line.get_xdata()) == 2]
    assert [line.get_linestyle() for line in lines] == ["--"]
    assert [np.asarray(line.get_xydata()).tolist() for line in lines] == [[[1, 2], [2, 1]]]
    assert len(markers(plot("t", Axis("x"), Axis("y"), [Series("f", points, faint=True)]))) == 0


def test_error_bars_reach_from_low_to_high() -> None:
    figure = Figure()
    draw_plot(figure, "t", (Axis("x"), Axis("y")), [Series("a", (Point(1, 2, low=1.5, high=2.75), Point(3, 4)))])
    (bar,) = figure.axes[0].collections
    assert bar.get_segments()[0].tolist() == [[1, 1.5], [1, 2.75]]  # type: ignore[attr-defined]


def test_the_same_input_gives_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    code = (
        "from zeroq_research.report.plots import Axis, Point, Series, plot\n"
        "import sys; points = (Point(1, 2, 'a', 't', 1, 3), Point(2, 1))\n"
        "sys.stdout.write(plot('t', Axis('x'), Axis('y'), [Series('s', points), Series('r', points)]))\n"
    )
    (tmp_path / "matplotlibrc").write_text("font.size: 20\nsvg.hashsalt: other\naxes.grid: False\n")
    root, mine = str(Path(__file__).parents[3]), {"MATPLOTLIBRC": str(tmp_path / "matplotlibrc")}
    found = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": root, "PYTHONHASHSEED": seed, **settings},
            capture_output=True,
            check=True,
        ).stdout
        for seed, settings in (("1", {}), ("2", mine))
    ]
    assert found[0] == found[1] and found[0].startswith(b"<svg")


def test_a_front_holds_the_points_that_no_other_dominates() -> None:
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
    figure = Figure()
    with plot_style():
        draw_plot(figure, "t", (axis, Axis("y")), [Series("a", tuple(Point(value, 1) for value in values))])
        low, high = figure.axes[0].get_xlim()
        ticks = [tick for tick in figure.axes[0].get_xticks() if low <= tick <= high]
    assert ticks == pytest.approx(expected)
