"""The command ``fockjax validate``: run the rows, compare, print a table, return the exit code."""

import importlib.metadata
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from fockjax._advice import UserError
from fockjax._progress import Steps
from fockjax.arguments import layout_of
from fockjax.interop import oracle
from fockjax.validation import golden, references
from fockjax.validation.cases import (
    CIRCUIT_CUTOFFS,
    NOISY_CUTOFF,
    ReadoutRow,
    Row,
    case_rows,
    cases,
    circuit_rows,
    conserving_row,
    model_row,
    names,
    noisy_row,
    readout_rows,
)
from fockjax.validation.readings import (
    Readings,
    from_dense_gates,
    from_fockjax,
    from_strawberryfields,
)
from fockjax.validation.readouts import READOUTS, SAMPLES, public_readouts

Source = Literal["auto", "sf", "golden"]
DTYPES = np.dtype(np.complex128), np.dtype(np.complex64)


class Deviations(NamedTuple):
    """The largest deviation of each kind.

    Attributes:
        state, observables, gradients: at complex128.
        single: the largest of these three at complex64.
        draws: of means over random draws at either precision, in standard errors.

    It is minus infinity where there is nothing of a kind (a readout has no state).
    """

    state: float
    observables: float
    gradients: float
    single: float
    draws: float


TOLERANCES = Deviations(state=1e-10, observables=1e-9, gradients=1e-6, single=2e-5, draws=5)
WIDTHS = 10, 13, 11, 11, 11  # of the columns of the table


@dataclass(frozen=True)
class Reference:
    """A reference for fockjax: ``view(readings of fockjax)`` must equal ``values(row)``."""

    name: str
    values: Callable[[Any], Readings]
    view: Callable[[Readings], Readings] = lambda readings: readings


@dataclass(frozen=True)
class Check:
    """A line of the table before it is run: the rows and their reference, or why it cannot run."""

    label: str
    rows: Sequence[Row | ReadoutRow] = ()
    reference: Reference | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Line:
    """A line of the table: the largest deviations over some rows, or why there are none."""

    label: str
    deviations: Deviations | None = None
    problem: str | None = None

    @property
    def passed(self) -> bool:
        """Whether every deviation is within its tolerance (a NaN is not)."""
        return self.deviations is not None and all(
            value <= limit for value, limit in zip(self.deviations, TOLERANCES, strict=True)
        )


def run(
    model: Path | None = None,
    *,
    source: Source = "auto",
    only: Sequence[str] | None = None,
    console: Console | None = None,
) -> int:
    """Compare fockjax with Strawberry Fields and print a table of the largest deviations.

    Args:
        model: folder of a trained model; its circuit is compared too.
        source: "sf" runs Strawberry Fields, "golden" reads its stored answers, "auto" takes the
            first where Strawberry Fields can be imported and else the second.
        only: names of operations and readouts: only these; by default all, and random circuits.
        console: where to print.

    Returns:
        Exit code: 0 if everything agrees, 1 if not.

    Raises:
        ImportError: ``source`` is "sf" and Strawberry Fields cannot be imported.
        fockjax.training.UserError: the model folder cannot be used, or there is no such name.

    Example:
        >>> from fockjax import validation
        >>> validation.run(only=["rotation"])  # doctest: +SKIP
        0
    """
    console = console or Console()
    reference = choose_reference(source)
    trained = None if model is None else _trained_row(model, console)
    checks = list(plan(reference, only, trained))
    # SF's programs share a global variable, so the reference runs in this thread only, while others
    # compile.
    pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1))
    try:
        running = [(check, [_submit(pool, row) for row in check.rows]) for check in checks]
        title = f"Largest deviation of fockjax from {escape(reference.name)}"
        console.print(f"[bold]{title}[/]\n{_header()}", soft_wrap=True, highlight=False)
        lines = []
        with Steps(console, "validating", "lines", len(running), transient=True) as steps:
            for check, futures in running:
                lines.append(_line(check, futures))
                console.print(_printed(lines[-1]), soft_wrap=True, highlight=False)
                steps.show(len(lines))
    finally:
        pool.shutdown(cancel_futures=True)
    failed = [line.label for line in lines if not line.passed]
    if failed:
        console.print(f"{len(failed)} of {len(lines)} lines failed", style="bold red")
        return 1
    console.print("every deviation is within its tolerance", style="green")
    return 0


def choose_reference(source: Source) -> Reference:
    """The reference for ``source`` (see `run`)."""
    if source not in ("auto", "sf", "golden"):
        raise ValueError(f"Argument `source` must be 'auto', 'sf' or 'golden', got {source!r}.")
    stored = Reference("golden file", golden.lookup, golden.fingerprints)
    if source == "golden":
        return stored
    try:
        oracle.load()
    except ImportError as error:
        if source == "sf":
            raise
        return replace(stored, name=f"{stored.name} ({error})")
    version = importlib.metadata.version("strawberryfields")
    return Reference(f"Strawberry Fields {version}", from_strawberryfields)


def model_reference(reference: Reference) -> Reference:
    """The reference for a trained model: the golden file cannot know it, dense NumPy can run it."""
    if reference.values is golden.lookup:
        return Reference("dense NumPy contraction of the gates above", from_dense_gates)
    return reference


def plan(reference: Reference, only: Sequence[str] | None, trained: Row | None) -> Iterator[Check]:
    """The checks to make: each operation and readout, random circuits, the trained model."""
    operations, readouts = names(), sorted(public_readouts())
    known = {readout.name: readout for readout in READOUTS + SAMPLES}
    nameable = dict.fromkeys([*(name for _, name in operations), *readouts])
    for wanted in only or ():
        if wanted not in nameable:
            there_are = f"there are {', '.join(nameable)}"
            raise UserError(f"There is no operation or readout {wanted!r}; {there_are}.")
    for kind, name in operations:
        if only is None or name in only:
            found = cases(kind, name)
            if not found:
                where = "CASES in fockjax/validation/cases.py"
                yield Check(name, problem=f"no validation case; add one to {where}")
            for case in found:
                label = f"{case.label}{_apart(references.source(case))}"
                yield Check(label, list(case_rows(case)), reference)
    for name in readouts:
        if only is None or name in only:
            if name in known:
                label = f"readout {name}{_apart(known[name].source)}"
                yield Check(label, list(readout_rows(known[name])), reference)
            else:
                where = "READOUTS in fockjax/validation/readouts.py"
                yield Check(f"readout {name}", problem=f"no validation case; add one to {where}")
    if only is None:
        for modes, cutoff in CIRCUIT_CUTOFFS.items():
            rows = [row for row in circuit_rows() if row.circuit.modes == modes]
            number = sum(len(row.points) for row in rows)
            label = f"{number} random circuits, {modes} modes, cutoff {cutoff}"
            yield Check(label, rows, reference)
        row = noisy_row()
        label = f"{len(row.points)} random circuits with channels and a measurement"
        yield Check(f"{label}, 2 modes, cutoff {NOISY_CUTOFF}", [row], reference)
        row = conserving_row()
        label = f"{len(row.points)} random circuits that add no photons, 3 modes"
        yield Check(f"{label}, {row.truncation}", [row], reference)
    if trained is not None:
        reference = model_reference(reference)
        label = f"trained model, {trained.circuit.modes} modes, cutoff {trained.cutoff}"
        yield Check(f"{label}, against {reference.name}", [trained], reference)


def _apart(source: str) -> str:
    """The end of a label, which names a reference other than that of the table."""
    return "" if source == "Strawberry Fields" else f", against {source}"


def deviations(row: Row | ReadoutRow, reference: Reference, ours: Sequence[Readings]) -> Deviations:
    """Largest deviations of a row.

    Args:
        row: the row.
        reference: what it is compared with.
        ours: fockjax's readings at complex128 and complex64. The latter deviate relative to the
            largest value of an array, if above 1: a variance of 30 rounds 30 times as coarsely.
            What is drawn at random differs by chance in both.
    """
    double, single = ours
    expected = reference.values(row)

    def largest(readings: Readings) -> list[float]:
        views = zip(readings, reference.view(readings), expected, strict=True)
        return [
            _largest(values - correct) if array.size else -np.inf
            for array, values, correct in views
        ]

    *exact, draws = largest(double)
    *rounded, more_draws = largest(single)
    scales = [max(1.0, _largest(array)) for array in single[:-1]]
    return Deviations(
        *exact,
        single=float(np.max(np.divide(rounded, scales))),
        draws=float(np.max([draws, more_draws])),  # Python's max drops a NaN in second place
    )


def _largest(array: np.ndarray) -> float:
    return float(np.abs(array).max(initial=0.0))


def _submit(pool: ThreadPoolExecutor, row: Row | ReadoutRow) -> list[Future[Readings]]:
    return [pool.submit(from_fockjax, row, dtype) for dtype in DTYPES]


def _line(check: Check, futures: Sequence[Sequence[Future[Readings]]]) -> Line:
    if check.reference is None:
        return Line(check.label, problem=check.problem)
    try:
        found = [
            deviations(row, check.reference, [future.result() for future in pair])
            for row, pair in zip(check.rows, futures, strict=True)
        ]
    except golden.NoGoldenRow as error:
        return Line(check.label, problem=str(error))
    except Exception as error:  # one row that cannot run must not hide what the others say
        reason = " ".join(str(error).split())
        return Line(check.label, problem=f"raised {type(error).__name__}: {reason}")
    return Line(check.label, Deviations(*np.max(found, axis=0).tolist()))


def _trained_row(model: Path, console: Console) -> Row:
    from fockjax.inference import load_model  # the training stack, not needed without a model

    trained = load_model(model, lambda text: console.print("[yellow]warning:[/]", Text(text)))
    layer = trained.model.quantum
    assert layer is not None  # which `load_model` builds
    weights = {name: np.asarray(weight[...]) for name, weight in layer.weights.items()}
    cutoffs = layout_of(layer.circuit.modes, layer.cutoff).cutoffs
    cutoff = max(cutoffs)  # Strawberry Fields knows one for all modes
    return model_row(layer.circuit, weights, cutoff, trained.config.alpha_max)


def _header() -> str:
    titles = ["complex64" if kind == "single" else kind for kind in Deviations._fields]
    limits = [f"<= {limit:g} s.e." if limit >= 1 else f"<= {limit:.0e}" for limit in TOLERANCES]
    return f"{_columns(titles)}\n{_columns(limits)}"


def _printed(line: Line) -> str:
    """A line of the table. The label comes last: it may be long."""
    label = escape(line.label)
    if line.deviations is None:
        cells, problem = _columns([""] * len(WIDTHS)), escape(str(line.problem))
        return f"{cells}  [bold red]FAILED[/]  {label}: {problem}"
    pairs = list(zip(line.deviations, TOLERANCES, strict=True))
    cells = _columns([_cell(*pair) for pair in pairs], [value <= limit for value, limit in pairs])
    return f"{cells}  {'[green]ok[/]    ' if line.passed else '[bold red]FAILED[/]'}  {label}"


def _columns(cells: Sequence[str], good: Sequence[bool] = (True,) * len(TOLERANCES)) -> str:
    padded = [f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS, strict=True)]
    return "".join(
        text if fine else f"[bold red]{text}[/]" for text, fine in zip(padded, good, strict=True)
    )


def _cell(value: float, limit: float) -> str:
    if value == -np.inf:
        return "-"
    return f"{value:.1f}" if limit >= 1 else f"{value:.1e}"
