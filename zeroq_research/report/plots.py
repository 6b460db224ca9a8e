"""Scatter and line plots as SVG, drawn with matplotlib.

The same input gives the same bytes. Text stays text, axes and grid are grey and the background is transparent: the
style sheet of a page (`report.page`) colours the text for a light or a dark background.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from zeroq_research.report.template import Markup

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_SVG = "http://www.w3.org/2000/svg"
_XLINK_HREF = "{http://www.w3.org/1999/xlink}href"
_SIZE_INCHES = (6.4, 4.4)
_COLOURS = ("#2f81f7", "#e5484d", "#2da44e", "#a371f7", "#db6d28", "#1b9aaa", "#d6409f", "#8b949e")
"""Readable on a light and on a dark background; series beyond the last one start again with the first."""
_MARKERS = ("o", "s", "D", "^")
_GREY = "#888888"
_STYLE: dict[Any, object] = {
    "svg.fonttype": "none",  # text as <text>, so that it can be searched and styled
    "svg.hashsalt": "zeroq-asr",  # else the ids of an SVG file are random
    "font.family": ["DejaVu Sans", "sans-serif"],  # the first comes with matplotlib: layout depends on no system font
    "font.size": 9,
    "axes.edgecolor": _GREY,
    "axes.facecolor": "none",
    "axes.formatter.useoffset": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.xmargin": 1 / 12,
    "axes.ymargin": 1 / 12,
    "figure.facecolor": "none",
    "grid.color": _GREY,
    "grid.alpha": 0.3,
    "text.parse_math": False,  # a "$" in a model's name is no formula
    "xtick.color": _GREY,
    "xtick.labelcolor": "black",
    "ytick.color": _GREY,
    "ytick.labelcolor": "black",
}


@dataclass(frozen=True)
class Point:
    """A point of a plot. low, high: ends of an error bar; label: printed beside it; title: shown as a tooltip."""

    x: float
    y: float
    label: str = ""
    title: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Series:
    """Points of one kind. line: join them. faint: only a dashed line without markers, e.g. a Pareto front."""

    name: str
    points: tuple[Point, ...]
    line: bool = True
    faint: bool = False


@dataclass(frozen=True)
class Axis:
    """label: the quantity and its unit. log: logarithmic to base 10, which shows only values above 0."""

    label: str
    log: bool = False


def pareto_front(points: Sequence[Point]) -> tuple[Point, ...]:
    """Return the points that no other point dominates, sorted by x.

    A point dominates another if neither its x nor its y is larger and one of them is smaller.
    """
    front: list[Point] = []
    for point in sorted(points, key=lambda p: (p.x, p.y)):
        if not front or point.y < front[-1].y:
            front.append(point)
    return tuple(front)


def plot(title: str, x: Axis, y: Axis, series: Sequence[Series]) -> Markup:
    """Return the plot as one <svg> element. Points that are not finite, or not above 0 on a log axis, are left out."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with plot_style():
        figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
        FigureCanvasSVG(figure)
        titles = draw_plot(figure, title, (x, y), series)
        stream = io.BytesIO()
        figure.savefig(stream, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    return _to_fragment(stream.getvalue(), title, titles)


@contextmanager
def plot_style() -> Iterator[None]:
    """Use matplotlib's defaults with the style of this module inside, whatever the user's matplotlibrc says."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def draw_plot(figure: Figure, title: str, xy: tuple[Axis, Axis], series: Sequence[Series]) -> dict[str, str]:
    """Draw the plot into `figure`; return the tooltip of every marker by its element id. xy: the two axes."""
    x, y = xy
    axes = figure.subplots()
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel(x.label)
    axes.set_ylabel(y.label)
    axes.set_xscale("log" if x.log else "linear")
    axes.set_yscale("log" if y.log else "linear")
    titles: dict[str, str] = {}
    handles, names = [], []
    for number, one in enumerate(series):
        points = [point for point in one.points if _can_draw(point.x, x) and _can_draw(point.y, y)]
        if one.line or one.faint:
            _draw_line(axes, points, number, one.faint)
        if points and not one.faint:
            for point in points:
                element = f"marker-{len(titles)}"
                titles[element] = point.title or one.name
                drawn = _draw_point(axes, point, y, number, element)
            handles.append(drawn)
            names.append(one.name)
    if len(handles) > 1:
        figure.legend(handles, names, loc="outside lower left", ncols=3, fontsize=8, frameon=False)
    _set_ticks(axes, x, y)
    return titles


def _draw_line(axes: Axes, points: Sequence[Point], number: int, faint: bool) -> None:
    style, alpha = ("--", 0.45) if faint else ("-", 1.0)
    colour = _COLOURS[number % len(_COLOURS)]
    axes.plot([p.x for p in points], [p.y for p in points], style, color=colour, linewidth=1.2, alpha=alpha)


def _draw_point(axes: Axes, point: Point, y: Axis, number: int, element: str) -> Line2D:
    """Draw a point of series `number` with its error bar and label; return its marker, which has the id `element`."""
    colour, marker = _COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)]
    if point.low is not None and point.high is not None and _can_draw(point.low, y) and _can_draw(point.high, y):
        axes.vlines(point.x, point.low, point.high, colors=colour, linewidth=1)
    if point.label:
        axes.annotate(point.label, (point.x, point.y), (5, 4), textcoords="offset points", fontsize=7)
    (drawn,) = axes.plot([point.x], [point.y], marker, color=colour, markersize=5, gid=element, clip_on=False)
    return drawn


def _can_draw(value: float, axis: Axis) -> bool:
    return math.isfinite(value) and (value > 0 or not axis.log)


def _set_ticks(axes: Axes, x: Axis, y: Axis) -> None:
    """Put ticks at 1, 2 or 5 times a power of ten; start a linear axis at 0 where the values come near to it."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    for axis, chosen in ((axes.xaxis, x), (axes.yaxis, y)):
        low, high = axis.get_data_interval()
        if not chosen.log and 0 <= low < 0.4 * high:
            axis.set_view_interval(0, 1.1 * high, ignore=True)
        axis.set_minor_locator(NullLocator())
        if chosen.log:
            low, high = axis.get_view_interval()
            axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 10**2.5 else (1,), numticks=100))
        else:
            axis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
        axis.set_major_formatter(FuncFormatter(lambda value, _: format_tick(value)))
    axes.grid(True)
    axes.set_axisbelow(True)


def format_tick(value: float) -> str:
    """Return a tick's label: "0.5", "20", "1,000,000"."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"


def _to_fragment(svg: bytes, title: str, titles: dict[str, str]) -> Markup:
    """Make an SVG file an element of a page: no prolog, no ids that could occur twice, tooltips added."""
    root = ElementTree.fromstring(svg)
    for element in root.iter():
        name = element.get("id", "")
        if name in titles:
            tooltip = ElementTree.Element(f"{{{_SVG}}}title")
            tooltip.text = titles[name]
            element.insert(0, tooltip)
            element.set("class", "marker")
        if element.tag == f"{{{_SVG}}}g":
            element.attrib.pop("id", None)
        if _XLINK_HREF in element.attrib:
            element.set("href", element.attrib.pop(_XLINK_HREF))
    for name in ("width", "height"):
        root.attrib.pop(name, None)  # the page chooses the size
    root.attrib |= {"class": "plot", "role": "img", "aria-label": title}
    ElementTree.register_namespace("", _SVG)
    return Markup(ElementTree.tostring(root, encoding="unicode") + "\n")
