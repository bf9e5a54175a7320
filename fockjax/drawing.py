"""Draws a circuit: arranges operations as columns of boxes, and writes these as text.

The arrangement (`arrange`, `wrap`, `wires`) is shared with the figures of `fockjax.plotting`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fockjax._given import checked_integer
from fockjax.operations import Measurement, Noise, Preparation, Repeat, Step
from fockjax.parameters import Expression, Outcome, Parameter, leaves

# Strawberry Fields' letters for gates, and those usual in papers for other operations. Operations
# that are not here are written with their names.
SYMBOLS = {
    "additive_noise": "noise",
    "amplifier": "amp",
    "beamsplitter": "BS",
    "controlled_x": "CX",
    "controlled_z": "CZ",
    "cross_kerr": "CK",
    "cubic_phase": "V",
    "density_matrix": "ρ",
    "dephasing": "deph",
    "displacement": "D",
    "fourier": "F",
    "heterodyne": "α",
    "homodyne": "x",
    "kerr": "K",
    "kraus": "Kraus",
    "mach_zehnder": "MZ",
    "mixed_gaussian": "ρ_G",
    "p_displacement": "Z",
    "photons": "n",
    "quadratic_phase": "P",
    "rotation": "R",
    "snap": "SNAP",
    "squeezing": "S",
    "symmetric_mach_zehnder": "sMZ",
    "thermal": "ρ_th",
    "thermal_loss": "th-loss",
    "threshold": "click",
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
    """An operation in one column: its boxes, which are linked if there are several.

    Attributes:
        kind: the kind of operation; "open" and "close" are the brackets of a repeated block.
        boxes: one for each run of neighbouring modes in increasing order. The first bears the
            label; the others tell which of the operation's modes they are, counted from 1.
        fed_by: the wires of the measured modes whose outcomes it depends on, if nothing acted on
            them since.
    """

    kind: Literal["gate", "channel", "preparation", "measurement", "open", "close"]
    boxes: tuple[Box, ...]
    fed_by: tuple[int, ...] = ()

    @property
    def boxed(self) -> bool:
        """Whether it is drawn as boxes, not as a bracket."""
        return self.kind not in ("open", "close")

    @property
    def modes(self) -> set[int]:
        """The wires of the modes it acts on; none for a bracket."""
        boxes = self.boxes if self.boxed else ()
        return {mode for box in boxes for mode in range(box.first, box.last + 1)}

    @property
    def first(self) -> int:
        """The uppermost wire."""
        return min(box.first for box in self.boxes)

    @property
    def last(self) -> int:
        """The lowermost wire."""
        return max(box.last for box in self.boxes)


def arrange(operations, modes: int, parameters: bool = True) -> list[list[Mark]]:
    """Arrange operations in columns.

    Each goes to the first column where its wires, and those between them, are free. A repeated
    block is drawn once, between brackets.
    """
    columns: list[list[Mark]] = []
    free = [0] * modes  # the first column where each wire is free
    measured: dict[str, int] = {}  # the wire of each outcome, until something else acts on it

    def place(mark: Mark) -> None:
        reach = (mark.first, mark.last, *mark.fed_by)
        wires = slice(min(reach), max(reach) + 1)
        column = max(free[wires])
        free[wires] = [column + 1] * len(free[wires])
        columns.extend([] for _ in range(column + 1 - len(columns)))
        columns[column].append(mark)

    def place_all(operations: Sequence[Step | Repeat]) -> None:
        for operation in operations:
            if isinstance(operation, Repeat):
                if wires := _wires(operation):
                    first, last = min(wires), max(wires)
                    place(Mark("open", (Box(first, last, ""),)))
                    place_all(operation.operations)
                    place(Mark("close", (Box(first, last, f" x {operation.times}"),)))
            else:
                names = {
                    leaf.name
                    for leaf in leaves(operation.parameters.values())
                    if isinstance(leaf, Outcome)
                }
                fed_by = sorted({wire for name, wire in measured.items() if name in names})
                boxes = _boxes(operation.modes, label(operation, parameters))
                place(Mark(_kind(operation), boxes, tuple(fed_by)))
                for name in [name for name in measured if measured[name] in operation.modes]:
                    del measured[name]
                if isinstance(operation, Measurement):
                    measured[operation.label] = operation.modes[0]

    place_all(operations)
    return columns


Wire = Literal["mode", "outcome", "vacuum"]
"""What a wire stands for: a mode, the outcome of its measurement on the way to where it is used, or
the vacuum in which a measured mode is left."""


def wires(columns: list[list[Mark]], modes: int) -> list[list[Wire]]:
    """What each wire stands for before each column, and after the last."""
    used = [[False] * modes]  # whether the outcome found on a wire is used from there on
    for marks in reversed(columns):
        before = used[0].copy()
        for mark in marks:
            for wire in mark.modes | set(mark.fed_by):
                before[wire] = wire in mark.fed_by
        used.insert(0, before)
    measured = [False] * modes
    found: list[list[Wire]] = []
    for marks, needed in zip([*columns, []], used, strict=True):
        found.append(
            [
                "mode" if not is_measured else "outcome" if is_used else "vacuum"
                for is_measured, is_used in zip(measured, needed, strict=True)
            ]
        )
        for mark in marks:
            for wire in mark.modes:
                measured[wire] = mark.kind == "measurement"
    return found


def _kind(step: Step) -> Any:
    kinds = {Noise: "channel", Preparation: "preparation", Measurement: "measurement"}
    return kinds.get(type(step), "gate")


def _wires(operation: Step | Repeat) -> set[int]:
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
    """The columns on each line of a drawing: as many as fit within the limit, at least one.

    Example:
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
    """The text of an operation in a drawing.

    It has a symbol and the parameters. A pure preparation is written as a ket, a measurement with
    the name of its outcome or with what is selected. Constant arrays are left out, and so are
    parameters and options at their defaults, unless a parameter that differs follows.

    Example:
        >>> import fockjax as fj
        >>> circuit = fj.Circuit(2).displace(fj.Input(0), mode=0).beamsplitter(0.12345, 1.5)
        >>> [label(step) for step in circuit.operations]
        ['D(x[0])', 'BS(0.123, 1.5)']
        >>> circuit = fj.Circuit(2).measure_homodyne(mode=0)
        >>> circuit = circuit.measure_photons(0.9, modes=1, select=2)
        >>> [label(step) for step in circuit.operations]
        ['x → m0', 'n(0.9) = 2']
    """
    options, values = dict(step.options), dict(step.parameters)
    selected = values.pop("select", None)
    symbol = SYMBOLS.get(step.name, step.name)
    if step.name == "fock":
        symbol = str(options.pop("n"))
    if step.name == "homodyne" and values["angle"] == np.pi / 2:
        symbol, values = "p", {}
    shown = []
    if parameters:
        given, defaults = list(values.items()), step.spec.defaults
        while given and _same(given[-1][1], defaults.get(given[-1][0])):
            given.pop()
        shown = [_short(value) for _, value in given if not np.ndim(_constant(value))]
        shown += [
            f"{name}={_short(value)}"
            for name, value in options.items()
            if name != "hbar" and value != step.spec.options[name]
        ]
    text = f"{symbol}({', '.join(shown)})" if shown else symbol
    if isinstance(step, Measurement):
        return f"{text} = {_short(selected)}" if step.selects else f"{text} → {_short(step.label)}"
    return f"|{text}⟩" if isinstance(step, Preparation) and not step.is_mixed else text


def _constant(value) -> Any:
    return None if isinstance(value, Parameter | str) else value


def _same(value, default) -> bool:
    return np.ndim(_constant(value)) == 0 and _constant(value) is not None and value == default


def _short(value) -> str:
    """A parameter in few characters: the last parts of a dotted name, the ends of long text."""
    if isinstance(value, bool | str | tuple | Parameter) or value is None:
        text = str(value)
        if isinstance(value, Expression) and text.startswith("("):
            text = text[1:-1]
    else:
        text = f"{complex(value) if np.iscomplexobj(value) else float(value):.3g}"
    while len(text) > _LONGEST and re.search(_PREFIX, text):
        text = re.sub(_PREFIX, "", text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 5]}…{text[-4:]}"


_PREFIX = r"(?<![\w.])[^\W\d]\w*\.(?=[^\W\d])"  # the first part of each dotted name


# As text
# -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Pen:
    """The characters of a drawing."""

    wires: dict[str, str]  # by kind
    link: str  # between the boxes of an operation
    crossing: str  # of a link and a wire
    corners: str  # of a box: upper left, upper right, lower left, lower right
    rounded: str  # the same for a detector
    ports: str  # where a wire enters and leaves a box
    detected: str  # the end of a detector, and where an outcome leaves it
    links: str  # where a link leaves a box below and enters one above
    feeds: str  # where an outcome enters a box from below and from above
    feed: str  # an outcome between wires
    crossings: dict[str, str]  # an outcome across a wire
    turns: str  # an outcome's wire where it feeds up, down, both; then where it also goes on
    opening: str  # a bracket: top, between wires, at a wire, bottom
    closing: str  # the same at the end of a block
    letters: dict[str, str]  # what to write in labels instead of some letters


_UNICODE = _Pen(
    wires={"mode": "─", "outcome": "═", "vacuum": "┄"},
    link="│",
    crossing="┼",
    corners="┌┐└┘",
    rounded="┌╮└╯",
    ports="┤├",
    detected="│╞",
    links="┬┴",
    feeds="╥╨",
    feed="║",
    crossings={"mode": "╫", "outcome": "╬", "vacuum": "║"},
    turns="╝╗╣╩╦╬",
    opening="╔║╫╚",
    closing="╗║╫╝",
    letters={},
)
_ASCII = _Pen(
    wires={"mode": "-", "outcome": "=", "vacuum": "."},
    link="|",
    crossing="|",
    corners="++++",
    rounded="+.+'",
    ports="||",
    detected="))",
    links="++",
    feeds="##",
    feed="#",
    crossings={"mode": "#", "outcome": "#", "vacuum": "#"},
    turns="######",
    opening="[[[[",
    closing="]]]]",
    letters={"⟩": ">", "…": "~", "→": "->", "ρ": "rho", "α": "alpha"},
)


def text(operations, modes: int, *, width: int, ascii: bool, parameters: bool) -> str:
    """The drawing in lines of at most ``width`` characters; see `fockjax.Circuit.draw`."""
    width = checked_integer(width, "Argument `width`", 20)
    pen = _ASCII if ascii else _UNICODE
    numbers = [str(mode).rjust(len(str(modes - 1))) for mode in range(modes)]
    room = width - len(numbers[0]) - 2
    marks = arrange(operations, modes, parameters)
    along = wires(marks, modes)
    columns = [
        _column(column, before, after, room, pen)
        for column, before, after in zip(marks, along, along[1:], strict=False)
    ] or [_Cells(1, along[0], along[0], pen)]
    lines = []
    for chosen in wrap([column.width for column in columns], room):
        ends = along[min(chosen.stop, len(along) - 1)]
        rows = zip(*(column.lines() for column in columns[chosen]), strict=True)
        block = [
            f"{numbers[row // 3]} {''.join(cells)}{pen.wires[ends[row // 3]]}"
            if row % 3 == 1
            else f"{' ' * len(numbers[0])} {''.join(cells)}".rstrip()
            for row, cells in enumerate(rows)
        ]
        lines += [line for line in block if line] + [""]
    return "\n".join(lines[:-1])


class _Cells:
    """The characters of one column, which begins with the space between columns.

    There are three rows for each wire: above it, the wire itself, and below it.
    """

    def __init__(self, width: int, before: list[Wire], after: list[Wire], pen: _Pen):
        self.width = width
        self.before, self.after, self.pen = before, after, pen
        self.rows = [[" "] * width for _ in range(3 * len(before))]
        for wire in range(len(before)):
            self.draw_wire(wire, width)

    def draw_wire(self, wire: int, change: int) -> None:
        """Draw a wire whose kind changes at a position."""
        left, right = self.pen.wires[self.before[wire]], self.pen.wires[self.after[wire]]
        self.rows[3 * wire + 1] = list(left * change + right * (self.width - change))

    def lines(self) -> list[str]:
        return ["".join(row) for row in self.rows]


def _column(
    marks: list[Mark], before: list[Wire], after: list[Wire], room: int, pen: _Pen
) -> _Cells:
    labels = [[_fitted(box.label, room - 5, pen) for box in mark.boxes] for mark in marks]
    widths = [
        max(map(len, written)) + (4 if mark.boxed else 1)
        for mark, written in zip(marks, labels, strict=True)
    ]
    width = 1 + max(widths)
    cells = _Cells(width, before, after, pen)
    for mark, written, own in zip(marks, labels, widths, strict=True):
        if mark.boxed:
            left = 1 + (width - 1 - own) // 2
            _draw_boxes(cells, mark, written, left, left + own - 1)
            _draw_feeds(cells, mark, left + (own - 1) // 2)
        else:
            _draw_bracket(cells, mark, written[0])
    return cells


def _draw_boxes(cells: _Cells, mark: Mark, labels: list[str], left: int, right: int) -> None:
    pen, rows = cells.pen, cells.rows
    inside = right - left - 1
    middle = (left + right) // 2
    measures = mark.kind == "measurement"
    corners = pen.rounded if measures else pen.corners
    for row in range(3 * mark.first + 1, 3 * mark.last + 2):
        rows[row][middle] = pen.crossing if row % 3 == 1 else pen.link
    for box, written in zip(mark.boxes, labels, strict=True):
        top, bottom = 3 * box.first, 3 * box.last + 2
        for row in range(top, bottom + 1):
            content = written.center(inside) if row == (top + bottom) // 2 else " " * inside
            ends = pen.link * 2
            if row in (top, bottom):
                ends = corners[:2] if row == top else corners[2:]
                content = pen.wires["mode"] * inside
            elif row % 3 == 1:
                cells.draw_wire(row // 3, right)
                ends = pen.ports
                if mark.kind == "preparation":  # it discards what the wire held
                    ends = pen.link + pen.ports[1]
                    rows[row][:left] = " " * left
                elif measures:
                    ends = pen.ports[0] + pen.detected[cells.after[row // 3] == "outcome"]
            rows[row][left : right + 1] = ends[0] + content + ends[1]
        if box.first > mark.first:
            rows[top][middle] = pen.links[1]
        if box.last < mark.last:
            rows[bottom][middle] = pen.links[0]


def _draw_feeds(cells: _Cells, mark: Mark, middle: int) -> None:
    """Draw outcomes from their wires to the box that they feed."""
    pen, rows = cells.pen, cells.rows
    ends: dict[int, int] = {}  # the row where each outcome enters a box
    for wire in mark.fed_by:
        if wire not in mark.modes:
            above = [box.last for box in mark.boxes if box.last < wire]
            ends[wire] = 3 * max(above) + 2 if above else 3 * mark.first
            cells.draw_wire(wire, middle)
    for wire, end in ends.items():
        at = 3 * wire + 1
        down = at < end
        for row in range(at + 1, end) if down else range(end + 1, at):
            if row % 3 != 1:
                rows[row][middle] = pen.feed
            elif row // 3 not in ends:
                rows[row][middle] = pen.crossings[cells.before[row // 3]]
        rows[end][middle] = pen.feeds[down]
        passed = any(
            other != wire and ends[other] == end and (other < wire) == down for other in ends
        )
        turn = 2 if passed else int(down)
        rows[at][middle] = pen.turns[turn + 3 * (cells.after[wire] == "outcome")]


def _draw_bracket(cells: _Cells, mark: Mark, written: str) -> None:
    opens = mark.kind == "open"
    # At the side of the column that is next to the block.
    ends, at = (cells.pen.opening, -1) if opens else (cells.pen.closing, 1)
    top, bottom = 3 * mark.first, 3 * mark.last + 2
    for row in range(top, bottom + 1):
        cells.rows[row][at] = ends[2] if row % 3 == 1 else ends[1]
    cells.rows[top][at], cells.rows[bottom][at] = ends[0], ends[3]
    if not opens:
        cells.rows[top][2 : 2 + len(written)] = written


def _fitted(label: str, room: int, pen: _Pen) -> str:
    for letter, written in pen.letters.items():
        label = label.replace(letter, written)
    cut = pen.letters.get("…", "…")
    return label if len(label) <= room else label[: room - 1] + cut
