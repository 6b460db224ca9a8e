"""Plots as SVG text: small, sharp, the same bytes every time, readable on a light and on a dark page.

Colours and lines are classes that the page's style sheet paints (`report.page`); alone in a file they are black.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 640, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 16, 34, 48
COLOURS = 8
"""Series beyond this many begin again with the first colour."""
_TO_THE_LEFT = ' text-anchor="end"'
_SHAPES = ("circle", "square", "diamond", "triangle")


@dataclass(frozen=True)
class Point:
    """A place in a plot. low, high: ends of an error bar; label: shown beside it; title: shown when pointed at."""

    x: float
    y: float
    label: str = ""
    title: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Series:
    """Points of one kind, joined by a line if asked. A faint series is a line without marks: a border, a front."""

    name: str
    points: tuple[Point, ...]
    line: bool = True
    faint: bool = False


@dataclass(frozen=True)
class Axis:
    """label: what it measures, with unit. log: base 10, for numbers above 0."""

    label: str
    log: bool = False


def pareto_front(points: Sequence[Point]) -> tuple[Point, ...]:
    """The points that no other one beats: none is as small in x and in y, and smaller in one. Sorted by x."""
    front: list[Point] = []
    for point in sorted(points, key=lambda p: (p.x, p.y)):
        if not front or point.y < front[-1].y:
            front.append(point)
    return tuple(front)


def plot(title: str, x: Axis, y: Axis, series: Sequence[Series]) -> str:
    """Return the plot as one <svg>. Points that are not finite (or not above 0 on a log axis) are left out."""
    kept = [(s, [p for p in s.points if _drawable(p.x, x) and _drawable(p.y, y)]) for s in series]
    xs = [p.x for _, points in kept for p in points]
    ys = [v for _, points in kept for p in points for v in (p.y, p.low, p.high) if v is not None and _drawable(v, y)]
    legend, top = _legend([s for s, points in kept if points and not s.faint], [s for s, _ in kept])
    place_x = _scale(xs, x, _LEFT, WIDTH - _RIGHT)
    place_y = _scale(ys, y, HEIGHT - _BOTTOM, top)
    parts = [
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(title)}" '
        'xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="12">',
        f'<text class="title" x="{_LEFT}" y="18" font-size="14">{html.escape(title)}</text>',
        *legend,
        *_grid(x, y, xs, ys, place_x, place_y, top),
    ]
    for number, (one, points) in enumerate(kept):
        parts += _draw(one, points, number, place_x, place_y)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _drawable(value: float, axis: Axis) -> bool:
    return math.isfinite(value) and (value > 0 or not axis.log)


def _limits(values: Sequence[float], axis: Axis) -> tuple[float, float]:
    """The ends of an axis, in log10 where it is one: a twelfth of the span around the values."""
    numbers = [math.log10(v) for v in values] if axis.log else list(values)
    low, high = (min(numbers), max(numbers)) if numbers else (0.0, 1.0)
    if not axis.log and 0 <= low < 0.4 * high:
        return 0.0, high * 1.1
    room = (high - low) / 12 or (abs(high) or 1.0) / 4
    return low - room, high + room


def _scale(values: Sequence[float], axis: Axis, start: float, end: float) -> Callable[[float], float]:
    low, high = _limits(values, axis)

    def place(value: float) -> float:
        number = math.log10(value) if axis.log else value
        return start + (number - low) / (high - low) * (end - start)

    return place


def ticks(values: Sequence[float], axis: Axis) -> list[float]:
    """Round numbers inside the axis: 1, 2, 5 times a power of ten."""
    low, high = _limits(values, axis)
    if axis.log:
        steps = (1, 2, 5) if high - low < 2.5 else (1,)
        every = [s * 10.0**e for e in range(math.floor(low), math.ceil(high) + 1) for s in steps]
        return [tick for tick in every if low <= math.log10(tick) <= high]
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= raw)
    first = math.ceil(low / step)
    return [n * step for n in range(first, math.floor(high / step) + 1)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"


def _grid(
    x: Axis,
    y: Axis,
    xs: Sequence[float],
    ys: Sequence[float],
    place_x: Callable[[float], float],
    place_y: Callable[[float], float],
    top: float,
) -> list[str]:
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    parts = []
    for tick in ticks(xs, x):
        at = place_x(tick)
        parts.append(f'<line class="grid" x1="{at:.1f}" y1="{top}" x2="{at:.1f}" y2="{bottom}" stroke="#8884"/>')
        parts.append(f'<text x="{at:.1f}" y="{bottom + 16}" text-anchor="middle">{_number(tick)}</text>')
    for tick in ticks(ys, y):
        at = place_y(tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{at:.1f}" x2="{right}" y2="{at:.1f}" stroke="#8884"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{_number(tick)}</text>')
    middle_x, middle_y = (_LEFT + right) / 2, (top + bottom) / 2
    parts.append(f'<text x="{middle_x:.0f}" y="{HEIGHT - 10}" text-anchor="middle">{html.escape(x.label)}</text>')
    parts.append(
        f'<text transform="translate(14 {middle_y:.0f}) rotate(-90)" text-anchor="middle">{html.escape(y.label)}</text>'
    )
    return parts


def _draw(
    one: Series,
    points: Sequence[Point],
    number: int,
    place_x: Callable[[float], float],
    place_y: Callable[[float], float],
) -> list[str]:
    parts = [f'<g class="s{number % COLOURS}{" faint" if one.faint else ""}">']
    if one.line and len(points) > 1:
        path = " ".join(f"{place_x(p.x):.1f},{place_y(p.y):.1f}" for p in points)
        dashes = ' stroke-dasharray="6 4"' if one.faint else ""
        parts.append(f'<polyline points="{path}" fill="none" stroke="currentColor" stroke-width="1.5"{dashes}/>')
    for point in () if one.faint else points:
        at_x, at_y = place_x(point.x), place_y(point.y)
        parts.append(f"<g><title>{html.escape(point.title or one.name)}</title>")
        if point.low is not None and point.high is not None:
            ends = f'y1="{place_y(point.low):.1f}" y2="{place_y(point.high):.1f}"'
            parts.append(f'<line x1="{at_x:.1f}" x2="{at_x:.1f}" {ends} stroke="currentColor"/>')
        parts.append(_mark(_SHAPES[number % len(_SHAPES)], at_x, at_y))
        if point.label:
            parts.append(
                f'<text x="{at_x + 7:.1f}" y="{at_y - 6:.1f}" font-size="10">{html.escape(point.label)}</text>'
            )
        parts.append("</g>")
    return [*parts, "</g>"]


def _mark(shape: str, x: float, y: float) -> str:
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="currentColor"/>'
    if shape == "square":
        return f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="currentColor"/>'
    corners = ((0, -6), (6, 0), (0, 6), (-6, 0)) if shape == "diamond" else ((0, -5.5), (5.5, 4.5), (-5.5, 4.5))
    path = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return f'<polygon points="{path}" fill="currentColor"/>'


def _legend(shown: Sequence[Series], every: Sequence[Series]) -> tuple[list[str], int]:
    """Names and marks below the title, in as many lines as they need (none for one series); where the plot begins."""
    if len(shown) < 2:
        return [], _TOP
    left, y = float(_LEFT), _TOP + 4
    parts = ['<g class="legend" font-size="11">']
    for one in shown:
        width = 26 + 6.2 * len(one.name)
        if left > _LEFT and left + width > WIDTH - _RIGHT:
            left, y = float(_LEFT), y + 17
        number = every.index(one)
        mark = _mark(_SHAPES[number % len(_SHAPES)], left + 5, y - 4)
        words = f'<text x="{left + 14:.1f}" y="{y}">{html.escape(one.name)}</text>'
        parts.append(f'<g class="s{number % COLOURS}">{mark}</g>{words}')
        left += width
    return [*parts, "</g>"], y + 12
