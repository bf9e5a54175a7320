"""Circuits as diagrams: `fockjax.plotting.circuit`."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from fockjax import drawing
from fockjax._figures import BLUE, COLOURS, GREY, ORANGE, axes_of, verbatim
from fockjax.circuit import Circuit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Lengths in a drawing of a circuit, in inches where it is not scaled.
_WIRE, _BOX, _GAP, _MARGIN, _LINE_GAP = 0.5, 0.34, 0.2, 0.3, 0.3
_DOUBLE = 0.016  # half the distance of the two lines of an outcome
_SIZE = 10  # of letters, in points
_SHADES = {  # inside and edge of boxes
    "gate": ("#e8f0fa", BLUE),
    "channel": ("#fbeee3", ORANGE),
    "preparation": ("#f1f2f4", GREY),
    "measurement": ("#e9f4eb", COLOURS[2]),
}


def circuit(
    circuit: Circuit, ax: "Axes | None" = None, *, width: float = 10.0, parameters: bool = True
) -> "Axes":
    """A circuit as a diagram, a wire for each mode, time running to the right.

    It has the same symbols in the same order as `fockjax.Circuit.draw`: gates are blue, channels
    orange, detectors green with a round end. Given axes, it is scaled as a whole, including its
    letters.

    Args:
        circuit: what to draw.
        ax: where to draw; by default a new figure of the size needed.
        width: the width in inches before scaling; longer circuits continue below.
        parameters: whether to write the parameters of the gates.

    Example:
        >>> import fockjax as fj
        >>> ax = fj.plotting.circuit(fj.Circuit(2).squeeze(0.3, mode=0).beamsplitter())
        >>> ax.figure.savefig("circuit.png")  # doctest: +SKIP
    """
    if not isinstance(circuit, Circuit):
        raise TypeError(f"Argument `circuit` must be a Circuit, got {type(circuit).__name__}.")
    if not 1 <= width < np.inf:
        raise ValueError(f"Argument `width` must be at least 1 inch, got {width!r}.")
    columns = drawing.arrange(circuit.operations, circuit.modes, parameters) or [[]]
    widths = [max(map(_width, marks), default=_BOX) + _GAP for marks in columns]
    lines = drawing.wrap(widths, width - 2 * _MARGIN)
    along = drawing.wires(columns, circuit.modes)
    line_height = (circuit.modes - 1) * _WIRE + _BOX + _LINE_GAP
    extent = (
        2 * _MARGIN + _GAP + max(sum(widths[line]) for line in lines),
        len(lines) * line_height - _LINE_GAP + 0.3,
    )
    ax = axes_of(ax, extent)
    for number, line in enumerate(lines):
        top = -number * line_height
        heights = [top - mode * _WIRE for mode in range(circuit.modes)]
        x = _MARGIN
        for mode, height in enumerate(heights):
            _write(ax, x - 0.08, height, str(mode), GREY, align="right")
        starts = [x] * circuit.modes  # where the wire to be drawn next begins
        for marks, column_width, before in zip(
            columns[line], widths[line], along[line], strict=False
        ):
            middle = x + (column_width + _GAP) / 2
            for mark in marks:
                if not mark.boxed:
                    _draw_bracket(ax, mark, heights, x + _GAP, x + column_width)
                    continue
                _draw_boxes(ax, mark, heights, middle)
                for mode in mark.modes | set(mark.fed_by):  # where the kind of wire may change
                    # A preparation discards what its wire held, so the wire ends before it.
                    prepared = mark.kind == "preparation" and mode in mark.modes
                    _draw_wire(
                        ax, starts[mode], x if prepared else middle, heights[mode], before[mode]
                    )
                    starts[mode] = middle
            x += column_width
        ends = along[min(line.stop, len(along) - 1)]
        for start, height, kind in zip(starts, heights, ends, strict=True):
            _draw_wire(ax, start, x + _GAP, height, kind)
    ax.set(xlim=(0, extent[0]), ylim=(_BOX / 2 + 0.15 - extent[1], _BOX / 2 + 0.15))
    ax.set_aspect("equal")
    ax.axis("off")
    return ax


def _width(mark: drawing.Mark) -> float:
    written = max(_letters(box.label)[1] if box.label else 0 for box in mark.boxes)
    round_end = _BOX / 4 if mark.kind == "measurement" else 0
    return max(_BOX, written + 0.18) + round_end if mark.boxed else written + 0.1


def _draw_boxes(ax: "Axes", mark: drawing.Mark, heights: list[float], middle: float) -> None:
    from matplotlib.patches import Circle, FancyBboxPatch

    face, edge = _SHADES[mark.kind]
    measures = mark.kind == "measurement"
    style: Any = _half_round if measures else "round,pad=0,rounding_size=0.04"
    if len(mark.boxes) > 1:
        _stroke(ax, [middle] * 2, [heights[mark.first], heights[mark.last]], edge)
    for wire in set(mark.fed_by) - mark.modes:  # to the first box, or the one above
        box = max((box.last for box in mark.boxes if box.last < wire), default=mark.first)
        for offset in (-_DOUBLE, _DOUBLE):
            _stroke(ax, [middle + offset] * 2, [heights[wire], heights[box]])
        ax.add_artist(Circle((middle, heights[wire]), 2 * _DOUBLE, color="black", linewidth=0))
    for box in mark.boxes:
        half, bottom = _width(mark) / 2, heights[box.last] - _BOX / 2
        ax.add_artist(
            FancyBboxPatch(
                (middle - half, bottom),
                2 * half,
                heights[box.first] + _BOX / 2 - bottom,
                boxstyle=style,
                facecolor=face,
                edgecolor=edge,
                linewidth=1.0,
                zorder=3,
            )
        )
        centre = middle - (_BOX / 8 if measures else 0)
        _write(ax, centre, (heights[box.first] + heights[box.last]) / 2, box.label)


def _half_round(x, y, width, height, mutation_size):
    """The outline of a detector: round at its right end."""
    from matplotlib.path import Path

    right, top, bulge = x + width - height / 2, y + height, height * 2 / 3
    corners = [(x, y), (right, y), (right + bulge, y), (right + bulge, top), (right, top)]
    codes = [Path.MOVETO, Path.LINETO, *[Path.CURVE4] * 3, Path.LINETO, Path.CLOSEPOLY]
    return Path([*corners, (x, top), (x, y)], codes)


def _draw_bracket(
    ax: "Axes", mark: drawing.Mark, heights: list[float], left: float, right: float
) -> None:
    opens = mark.kind == "open"  # drawn at the side next to the block
    at, inwards = (right, 0.07) if opens else (left, -0.07)
    upper, lower = heights[mark.first] + _BOX / 2, heights[mark.last] - _BOX / 2
    _stroke(ax, [at + inwards, at, at, at + inwards], [upper, upper, lower, lower])
    if not opens:
        _write(ax, at + 0.07, upper, mark.boxes[0].label, align="left")


def _draw_wire(ax: "Axes", start: float, end: float, height: float, kind: drawing.Wire) -> None:
    if end <= start:
        return
    if kind == "outcome":
        for offset in (-_DOUBLE, _DOUBLE):
            _stroke(ax, [start, end], [height + offset] * 2)
    elif kind == "vacuum":
        _stroke(ax, [start, end], [height] * 2, GREY, ":")
    else:
        _stroke(ax, [start, end], [height] * 2)


def _stroke(ax: "Axes", x, y, colour="black", dashes: Any = "-") -> None:
    from matplotlib.lines import Line2D

    ax.add_line(Line2D(x, y, color=colour, linewidth=1.0, linestyle=dashes, zorder=1))


def _write(ax: "Axes", x: float, y: float, text: str, colour="black", align="center") -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.transforms import Affine2D

    path, width = _letters(text)
    x -= {"left": 0, "center": width / 2, "right": width}[align]
    moved = path.transformed(Affine2D().translate(x, y - 0.73 * _SIZE / 72 / 2))  # capitals' height
    # Snapped to pixels, letters of straight lines alone (F) would lose some.
    ax.add_artist(PathPatch(moved, color=colour, linewidth=0, zorder=4, snap=False))


@lru_cache(maxsize=1024)
def _letters(text: str):
    """Letters as outlines in inches, and their width. Unlike text they scale with the drawing."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath
    from matplotlib.transforms import Affine2D

    font = FontProperties(family="DejaVu Sans")
    path = TextPath((0, 0), verbatim(text), size=_SIZE, prop=font)
    path = path.transformed(Affine2D().scale(1 / 72))
    return path, float(np.asarray(path.vertices)[:, 0].max())
