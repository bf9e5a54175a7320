"""A circuit as a drawing: from operations to columns of boxes, and these as text.

The layout (`layout`, `wrap`) is what the text here and the figure of `fockjax.plotting` share.
"""

import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fockjax.operations import Preparation, Repeat, Step
from fockjax.parameters import Expression, Parameter

# Strawberry Fields' letters; what is not here is written with its name.
SYMBOLS = {
    "beamsplitter": "BS",
    "controlled_x": "CX",
    "controlled_z": "CZ",
    "cross_kerr": "CK",
    "cubic_phase": "V",
    "displacement": "D",
    "fourier": "F",
    "kerr": "K",
    "mach_zehnder": "MZ",
    "p_displacement": "Z",
    "quadratic_phase": "P",
    "rotation": "R",
    "snap": "SNAP",
    "squeezing": "S",
    "symmetric_mach_zehnder": "sMZ",
    "two_mode_squeezing": "S2",
    "unitary": "U",
    "x_displacement": "X",
    "vacuum": "0",
}
_LONGEST = 16  # characters that one parameter may take


@dataclass(frozen=True)
class Box:
    """A rectangle over neighbouring wires.

    Attributes:
        first: its upper wire.
        last: its lower wire.
        label: what is written in it.
    """

    first: int
    last: int
    label: str


@dataclass(frozen=True)
class Mark:
    """What stands in one column for one operation: its boxes, linked where there are several.

    Attributes:
        kind: of a repeated block there are the two brackets.
        boxes: one for each run of neighbouring modes in increasing order. The first bears the
            label; the others tell which of the operation's modes they are, counted from 1.
    """

    kind: Literal["gate", "preparation", "open", "close"]
    boxes: tuple[Box, ...]

    @property
    def boxed(self) -> bool:
        """Whether it is drawn as boxes, not as a bracket."""
        return self.kind in ("gate", "preparation")

    @property
    def first(self) -> int:
        """The uppermost wire."""
        return min(box.first for box in self.boxes)

    @property
    def last(self) -> int:
        """The lowermost wire."""
        return max(box.last for box in self.boxes)


def layout(operations, modes: int, parameters: bool = True) -> list[list[Mark]]:
    """The columns of a drawing, each operation in the first one where its wires are free, those
    between its modes included. A repeated block stands once, between brackets.
    """
    columns: list[list[Mark]] = []
    free = [0] * modes  # the first column where each wire is

    def place(mark: Mark) -> None:
        wires = slice(mark.first, mark.last + 1)
        column = max(free[wires])
        free[wires] = [column + 1] * len(free[wires])
        columns.extend([] for _ in range(column + 1 - len(columns)))
        columns[column].append(mark)

    def place_all(operations) -> None:
        for operation in operations:
            if isinstance(operation, Repeat):
                if wires := _wires(operation):
                    first, last = min(wires), max(wires)
                    place(Mark("open", (Box(first, last, ""),)))
                    place_all(operation.operations)
                    place(Mark("close", (Box(first, last, f" x {operation.times}"),)))
            else:
                kind = "preparation" if isinstance(operation, Preparation) else "gate"
                place(Mark(kind, _boxes(operation.modes, label(operation, parameters))))

    place_all(operations)
    return columns


def _wires(operation) -> set[int]:
    if isinstance(operation, Repeat):
        return set().union(*map(_wires, operation.operations))
    return set(operation.modes)


def _boxes(modes: tuple[int, ...], label: str) -> tuple[Box, ...]:
    starts = [k for k, mode in enumerate(modes) if k == 0 or mode != modes[k - 1] + 1]
    boxes = []
    for start, stop in zip(starts, [*starts[1:], len(modes)], strict=True):
        which = f"{start + 1}" if stop == start + 1 else f"{start + 1}-{stop}"
        boxes.append(Box(modes[start], modes[stop - 1], which if start else label))
    return tuple(boxes)


def wrap(widths: list[float], limit: float) -> list[slice]:
    """The columns that go on each line of a drawing, as many as fit into the limit, at least one.

    >>> wrap([3, 4, 5, 9, 1], 8)
    [slice(0, 2, None), slice(2, 3, None), slice(3, 4, None), slice(4, 5, None)]
    """
    lines, start, used = [], 0, 0.0
    for column, width in enumerate(widths):
        if column > start and used + width > limit:
            lines.append(slice(start, column))
            start, used = column, 0.0
        used += width
    return [*lines, slice(start, len(widths))]


def label(step: Step, parameters: bool = True) -> str:
    """An operation as a drawing shows it: symbol and parameters, a preparation as a ket.

    Left out are parameters and options at their defaults, if none that differs follows, and
    constant arrays.

    >>> import fockjax as fj
    >>> circuit = fj.Circuit(2).displace(fj.Input(0), mode=0).beamsplitter(0.12345, 1.5)
    >>> [label(step) for step in circuit.operations]
    ['D(x[0])', 'BS(0.123, 1.5)']
    """
    prepared, options = isinstance(step, Preparation), dict(step.options)
    symbol = SYMBOLS.get(step.name, step.name)
    if prepared and step.name == "fock":
        symbol = str(options.pop("n"))
    shown = []
    if parameters:
        given, defaults = list(step.parameters.items()), step.spec.defaults
        while given and _same(given[-1][1], defaults.get(given[-1][0])):
            given.pop()
        shown = [_short(value) for _, value in given if not np.ndim(_constant(value))]
        shown += [
            f"{name}={_short(value)}"
            for name, value in options.items()
            if name != "hbar" and value != step.spec.options[name]
        ]
    text = f"{symbol}({', '.join(shown)})" if shown else symbol
    return f"|{text}⟩" if prepared else text


def _constant(value) -> Any:
    return None if isinstance(value, Parameter | str) else value


def _same(value, default) -> bool:
    return np.ndim(_constant(value)) == 0 and _constant(value) is not None and value == default


def _short(value) -> str:
    """A parameter in few characters: of a dotted name the last parts, of what is long the ends."""
    if isinstance(value, bool | str | tuple | Parameter) or value is None:
        text = str(value)[1:-1] if isinstance(value, Expression) else str(value)
    else:
        text = f"{float(value):.3g}"
    while len(text) > _LONGEST and re.search(_PREFIX, text):
        text = re.sub(_PREFIX, "", text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 5]}…{text[-4:]}"


_PREFIX = r"(?<![\w.])[^\W\d]\w*\.(?=[^\W\d])"  # the first part of each dotted name


# as text


@dataclass(frozen=True)
class _Pen:
    wire: str
    link: str
    crossing: str
    corners: str  # of a box: upper left, upper right, lower left, lower right
    ports: str  # where a wire enters and leaves a box
    links: str  # where a link leaves a box below and enters one above
    opening: str  # a bracket: top, between wires, at a wire, bottom
    closing: str
    ket: str
    cut: str


_UNICODE = _Pen("─", "│", "┼", "┌┐└┘", "┤├", "┬┴", "╔║╫╚", "╗║╫╝", "⟩", "…")
_ASCII = _Pen("-", "|", "|", "++++", "||", "++", "[[[[", "]]]]", ">", "~")


def text(operations, modes: int, *, width: int, ascii: bool, parameters: bool) -> str:
    """The drawing as lines of at most ``width`` characters; see `fockjax.Circuit.draw`."""
    if isinstance(width, bool) or not isinstance(width, int | np.integer) or width < 20:
        raise ValueError(f"Argument `width` must be an integer >= 20, got {width!r}.")
    pen = _ASCII if ascii else _UNICODE
    numbers = [str(mode).rjust(len(str(modes - 1))) for mode in range(modes)]
    room = int(width) - len(numbers[0]) - 2
    columns = [
        _column(marks, modes, room, pen) for marks in layout(operations, modes, parameters)
    ] or [_wires_only(modes, 1, pen)]
    lines = []
    for chosen in wrap([len(column[0]) for column in columns], room):
        block = [
            f"{numbers[row // 3]} {''.join(cells)}{pen.wire}"
            if row % 3 == 1
            else f"{' ' * len(numbers[0])} {''.join(cells)}".rstrip()
            for row, cells in enumerate(zip(*columns[chosen], strict=True))
        ]
        lines += [line for line in block if line] + [""]
    return "\n".join(lines[:-1])


def _wires_only(modes: int, width: int, pen: _Pen) -> list[str]:
    return [" " * width, pen.wire * width, " " * width] * modes


def _column(marks: list[Mark], modes: int, room: int, pen: _Pen) -> list[str]:
    """The three lines of each wire in one column: above it, the wire itself, below it. They begin
    with the space between columns.
    """
    labels = [[_fitted(box.label, room - 5, pen) for box in mark.boxes] for mark in marks]
    widths = [
        max(map(len, written)) + (4 if mark.boxed else 1)
        for mark, written in zip(marks, labels, strict=True)
    ]
    width = 1 + max(widths)
    cells = [list(line) for line in _wires_only(modes, width, pen)]
    for mark, written, own in zip(marks, labels, widths, strict=True):
        if mark.boxed:
            left = 1 + (width - 1 - own) // 2
            _draw_boxes(cells, mark, written, left, left + own - 1, pen)
        else:
            _draw_bracket(cells, mark, written[0], pen)
    return ["".join(line) for line in cells]


def _draw_boxes(
    cells: list[list[str]], mark: Mark, labels: list[str], left: int, right: int, pen: _Pen
) -> None:
    inside = right - left - 1
    middle = (left + right) // 2
    for row in range(3 * mark.first + 1, 3 * mark.last + 2):
        cells[row][middle] = pen.crossing if row % 3 == 1 else pen.link
    for box, written in zip(mark.boxes, labels, strict=True):
        top, bottom = 3 * box.first, 3 * box.last + 2
        for row in range(top, bottom + 1):
            content = written.center(inside) if row == (top + bottom) // 2 else " " * inside
            ends = pen.link * 2
            if row in (top, bottom):
                ends = pen.corners[:2] if row == top else pen.corners[2:]
                content = pen.wire * inside
            elif row % 3 == 1 and mark.kind == "preparation":  # what the wire held ends before it
                ends = pen.link + pen.ports[1]
                cells[row][:left] = " " * left
            elif row % 3 == 1:
                ends = pen.ports
            cells[row][left : right + 1] = ends[0] + content + ends[1]
        if box.first > mark.first:
            cells[top][middle] = pen.links[1]
        if box.last < mark.last:
            cells[bottom][middle] = pen.links[0]


def _draw_bracket(cells: list[list[str]], mark: Mark, written: str, pen: _Pen) -> None:
    opens = mark.kind == "open"
    ends, at = (pen.opening, -1) if opens else (pen.closing, 1)  # next to what it embraces
    top, bottom = 3 * mark.first, 3 * mark.last + 2
    for row in range(top, bottom + 1):
        cells[row][at] = ends[2] if row % 3 == 1 else ends[1]
    cells[top][at], cells[bottom][at] = ends[0], ends[3]
    if not opens:
        cells[top][2 : 2 + len(written)] = written


def _fitted(label: str, room: int, pen: _Pen) -> str:
    label = label.replace("⟩", pen.ket).replace("…", pen.cut)
    return label if len(label) <= room else label[: room - 1] + pen.cut
