"""Draws bars and lines as SVG, readable on light and on dark pages."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 760
_LABELS: Final = 200
"""Where bars begin."""
_VALUES: Final = 110
"""What is left for the number behind a bar."""
_ROW: Final = 22
_COLORS: Final = ("#2f81f7", "#8b949e", "#d29922", "#3fb950", "#db61a2", "#a371f7", "#e5534b", "#39c5cf")
_STYLE: Final = (
    "text{font:13px system-ui,sans-serif;fill:#24292f}.title{font-weight:600;font-size:15px}.panel{font-weight:600}"
    ".grid{stroke:#8b949e;stroke-opacity:.35}"
    "@media (prefers-color-scheme:dark){text{fill:#e6edf3}}"
)


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars that are compared with each other.

    Attributes:
        title: What they tell.
        values: By their labels; the first is the package's own.
        text: Writes a value.
    """

    title: str
    values: Mapping[str, float]
    text: Callable[[float], str]


def draw_bars(title: str, panels: Sequence[Bars]) -> str:
    """Returns a picture of panels of bars, one below the other."""
    shapes: list[str] = []
    y = 40.0
    for panel in panels:
        y += 14
        shapes.append(_text(0, y, panel.title, "panel"))
        y += 8
        largest = max(panel.values.values())
        for label, value in panel.values.items():
            width = value / largest * (WIDTH - _LABELS - _VALUES)
            color = _COLORS[0] if label.startswith("this package") else _COLORS[1]
            shapes += [
                _text(_LABELS - 8, y + 15, label, anchor="end"),
                _rectangle(_LABELS, y + 3, width, color),
                _text(_LABELS + width + 6, y + 15, panel.text(value)),
            ]
            y += _ROW
        y += 10
    return _document(title, shapes, y)


def draw_stacks(title: str, stacks: Mapping[str, Mapping[str, float]], text: Callable[[float], str]) -> str:
    """Returns a picture of bars that are made of parts, each with a key to its parts below it."""
    shapes: list[str] = []
    y = 40.0
    for label, parts in stacks.items():
        total = sum(parts.values())
        y += 14
        shapes.append(_text(0, y, f"{label}: {text(total)}", "panel"))
        y += 8
        x = 0.0
        for place, (_, value) in enumerate(parts.items()):
            width = value / total * WIDTH
            shapes.append(_rectangle(x, y, width, _COLORS[place % len(_COLORS)], height=26))
            x += width
        y += 34
        for place, (part, value) in enumerate(parts.items()):
            column, row = place % 2, place // 2
            left, top = column * WIDTH / 2, y + row * _ROW
            shapes += [
                f'<rect x="{left:.1f}" y="{top:.1f}" width="12" height="12" fill="{_COLORS[place % len(_COLORS)]}"/>',
                _text(left + 18, top + 11, f"{part}: {text(value)}, {value / total:.0%}"),
            ]
        y += (len(parts) + 1) // 2 * _ROW + 14
    return _document(title, shapes, y)


def draw_lines(
    title: str, axes: tuple[str, str], lines: Mapping[str, Mapping[float, float]], text: Callable[[float], str]
) -> str:
    """Returns a picture of lines over two logarithmic axes, which fit what is drawn in powers of ten.

    Args:
        title: What they tell.
        axes: What is drawn to the right, and what upwards.
        lines: By their labels, the heights over the places.
        text: Writes a height.
    """
    x_axis = _Axis.over([x for line in lines.values() for x in line], (90.0, WIDTH - 200.0))
    y_axis = _Axis.over([y for line in lines.values() for y in line.values()], (340.0, 60.0))
    shapes = [_text(90, 384, axes[0]), _text(0, 44, axes[1])]
    for x in x_axis.ticks():
        shapes.append(f'<line class="grid" x1="{x_axis.at(x):.1f}" x2="{x_axis.at(x):.1f}" y1="60" y2="340"/>')
        shapes.append(_text(x_axis.at(x), 360, f"{x:,.0f}", anchor="middle"))
    for y in y_axis.ticks():
        shapes.append(
            f'<line class="grid" x1="90" x2="{WIDTH - 200}" y1="{y_axis.at(y):.1f}" y2="{y_axis.at(y):.1f}"/>'
        )
        shapes.append(_text(82, y_axis.at(y) + 4, text(y), anchor="end"))
    for place, (label, line) in enumerate(lines.items()):
        color = _COLORS[(0, 2, 3, 4, 5, 6, 7, 1)[place % len(_COLORS)]]
        points = " ".join(f"{x_axis.at(x):.1f},{y_axis.at(y):.1f}" for x, y in line.items())
        shapes.append(f'<polyline fill="none" stroke="{color}" stroke-width="2.5" points="{points}"/>')
        top = 74 + place * _ROW
        shapes.append(f'<rect x="{WIDTH - 185}" y="{top}" width="12" height="12" fill="{color}"/>')
        shapes.append(_text(WIDTH - 167, top + 11, label))
    return _document(title, shapes, 396)


@dataclass(frozen=True, slots=True)
class _Axis:
    """A logarithmic axis between two powers of ten, drawn from one place to another."""

    first: int
    last: int
    places: tuple[float, float]

    @classmethod
    def over(cls, values: Sequence[float], places: tuple[float, float]) -> _Axis:
        """Returns the axis on which all values have room."""
        first = math.floor(math.log10(min(values)))
        return cls(first, max(first + 1, math.ceil(math.log10(max(values)))), places)

    def at(self, value: float) -> float:
        """Returns where a value is drawn."""
        begin, end = self.places
        return begin + (math.log10(value) - self.first) / (self.last - self.first) * (end - begin)

    def ticks(self) -> list[float]:
        """Returns the powers of ten."""
        return [10.0**power for power in range(self.first, self.last + 1)]


def _document(title: str, shapes: Sequence[str], height: float) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-10 0 {WIDTH + 20} {height + 10:.0f}" '
        f'width="{WIDTH + 20}" height="{height + 10:.0f}" role="img" aria-label="{escape(title)}">'
    )
    return "\n".join([head, f"<style>{_STYLE}</style>", _text(0, 22, title, "title"), *shapes, "</svg>\n"])


def _text(x: float, y: float, text: str, style: str = "", *, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}" text-anchor="{anchor}">{escape(text)}</text>'


def _rectangle(x: float, y: float, width: float, color: str, *, height: float = 16) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{height}" rx="2" fill="{color}"/>'
