"""A trained model run over a file of any length, in order, and continued if it was interrupted.

The file is read in chunks. The results of each chunk go to a journal beside the output, and when
all are there the output is written from the journal.
"""

import contextlib
import hashlib
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from fockjax._advice import UserError
from fockjax._files import remove_leftovers
from fockjax.inference import Predictor, load_model
from fockjax.journal import Journal, open_journal
from fockjax.runtime import PilotTooLarge, Results, Runner, parse_size
from fockjax.runtime.ahead import ahead
from fockjax.runtime.run_record import check_log, check_trace
from fockjax.training.reading import SHOWN_PROBLEMS
from fockjax.training.tables import (
    Chunk,
    Column,
    Raw,
    Table,
    check_output,
    encode,
    open_table,
    write_table,
)

NOTABLE_LEAKAGE = 0.05
CHUNK_ROWS, CHUNK_BATCHES = 16384, 128
PLAN_ROWS = 65536  # cutoffs are planned for so many rows, the first of the file


def predict(
    model: Path,
    data: Path,
    out: Path,
    *,
    skip_bad: bool = False,
    restart: bool = False,
    memory: int | str | None = None,
    batch_size: int | None = None,
    tolerance: float | None = None,
    maximum_cutoff: int | None = None,
    log: Path | None = None,
    trace: Path | None = None,
    console: Console | None = None,
) -> int:
    """Run a trained model over a file; ``out`` appears complete or not at all.

    If it is interrupted at any moment, the same call continues after the chunks that were finished,
    from the journal beside ``out``.

    Args:
        model: model folder.
        data: .csv or .parquet with at least the model's columns, in any order (others, such as the
            target, are ignored); or .npy, a real array (rows, columns) with the model's columns in
            order.
        out: .csv, .parquet, or .npy for a structured array. Its columns are prediction, probability
            of the second class or of each (classification only) and leakage; with a tolerance also
            cutoffs and ok.
        skip_bad: leave the results of unusable rows empty instead of refusing the file.
        restart: begin anew instead of continuing from the journal of an interrupted run.
        memory: what the process may use, such as "8GB"; see docs/runner.md.
        batch_size: how many rows run at a time at most; by default as many as are fast, and fit.
        tolerance: the leakage that a row may have. Cutoffs are planned for the rows of the file, or
            the first rows of a long file, and rows that lose more run again at larger ones.
        maximum_cutoff: the largest of these cutoffs; by default 32. Rows that lose more even there
            are counted and marked.
        log: a file to which the record of the run is appended, for `fockjax report`.
        trace: a folder for the trace of JAX's profiler.
        console: where to report.

    Returns:
        The number of rows.

    Raises:
        UserError: a file that cannot be used, unusable rows, listed by number, or the journal of
            an interrupted run of another model, other data or another tolerance.
        TooLarge, RunError: as for a `fockjax.runtime.Runner`; what was finished stays in the
            journal.
    """
    console = console or Console()
    data, out = Path(data), Path(out)
    check_output(out)
    if out.exists() and data.exists() and out.samefile(data):
        raise UserError(f"the output {out} would replace the data it is made from")
    predictor = load_model(model, lambda text: console.print(f"[yellow]warning:[/] {text}"))
    _check_options(predictor, memory, batch_size, tolerance, maximum_cutoff, log, trace)
    table = _open(data, predictor.columns)
    began, before = time.perf_counter(), data.stat()
    identity = {"data": _digest(data), "model": predictor.fingerprint}
    if tolerance is not None:
        with console.status("planning cutoffs"):
            predictor = _planned(predictor, table, tolerance, maximum_cutoff, memory)
        identity["tolerance"] = f"{tolerance!r} at cutoffs {', '.join(predictor.labels)}"
        console.print(f"planned, rows counted from 0: {predictor.plan}", soft_wrap=True)
        if predictor.plan and len(predictor.plan.short):
            console.print("Here `maximum` is --maximum-cutoff.")
    runner = predictor.runner(memory=memory, largest_batch=batch_size, log=log, trace=trace)
    out.parent.mkdir(parents=True, exist_ok=True)
    columns = result_columns(predictor.classes, predictor.labels if predictor.plan else ())
    kind = np.dtype([*columns.descr, ("usable", "?")])
    path = out.with_name(f"{out.name}.journal")
    with open_journal(path, identity, kind, restart=restart) as journal:
        remove_leftovers(out)
        resumed = journal.rows
        if resumed:
            console.print(f"resuming after row {resumed:,}")
        plan = runner.plan(predictor.scaler.features(predictor.scaler.mean[None]))
        size = max(plan.batch, min(CHUNK_ROWS, CHUNK_BATCHES * plan.batch))
        with _progress(console, table.rows, resumed) as show:
            refused = _run(predictor, runner, table, journal, size, skip_bad, show)
        after = data.stat()
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise UserError(f"{data} was changed while it was read: run again with --restart")
        if refused or journal.rows == 0:
            journal.discard()
            raise UserError(
                f"{data}: {refused}. Nothing was written; --skip-bad leaves such rows empty"
                if refused
                else f"{data} has no rows"
            )
        figures = _deliver(journal, out, columns)
        journal.discard()
    seconds = time.perf_counter() - began
    rows = f"{journal.rows:,} rows" + (f" ({resumed:,} of them before)" if resumed else "")
    console.print(f"{rows} in {seconds:.1f} s -> {out}", soft_wrap=True)
    _report(console, predictor, figures)
    return journal.rows


def _check_options(
    predictor: Predictor,
    memory: int | str | None,
    batch_size: int | None,
    tolerance: float | None,
    maximum_cutoff: int | None,
    log: Path | None,
    trace: Path | None,
) -> None:
    """Raise UserError for a value that cannot work, naming its option."""
    if memory is not None:
        try:
            parse_size(memory)
        except ValueError as error:
            raise UserError(f"--memory: {error}") from None
    try:
        if log is not None:
            check_log(log, "--log")
        if trace is not None:
            check_trace(trace, "--trace")
    except ValueError as error:
        raise UserError(str(error)) from None
    if batch_size is not None and batch_size < 1:
        raise UserError(f"--batch-size must be at least 1, got {batch_size}")
    if tolerance is not None and not 0 < tolerance < 1:
        raise UserError(f"--tolerance must lie between 0 and 1, got {tolerance}")
    if maximum_cutoff is not None:
        if tolerance is None:
            raise UserError("--maximum-cutoff needs --tolerance: when is the cutoff to be raised?")
        if maximum_cutoff < predictor.config.cutoff:
            raise UserError(
                f"--maximum-cutoff must be at least {predictor.config.cutoff}, the cutoff of the "
                f"model, got {maximum_cutoff}"
            )


class _BadRows:
    """Rows that cannot be used: their number, and the reasons for the first of them."""

    def __init__(self):
        self.count, self.shown = 0, []

    def add(self, count: int, reasons: list[str]) -> None:
        self.count += count
        self.shown += reasons[: SHOWN_PROBLEMS - len(self.shown)]

    def __str__(self) -> str:
        more = self.count - len(self.shown)
        return "; ".join(self.shown) + (f"; and {more} more rows" if more > 0 else "")

    def __bool__(self) -> bool:
        return self.count > 0


def _run(
    predictor: Predictor,
    runner: Runner,
    table: Table,
    journal: Journal,
    size: int,
    skip_bad: bool,
    show: Callable[[int], None],
) -> _BadRows:
    """Bring the results of all rows of the table into the journal; returns the rows for which the
    file is refused.

    While one chunk runs, the next is read and the one before is stored. Once a row is refused
    nothing more is run, and the rest of the file is only searched for more such rows.
    """
    refused = _BadRows()
    if not skip_bad:
        for part, reasons in journal.chunks():
            refused.add(int((~part["usable"]).sum()), reasons)
    begun: deque[_Encoded] = deque()

    def inputs() -> Iterator[np.ndarray]:
        for each in _encoded(predictor, table, journal.rows, size):
            if skip_bad or (each.usable.all() and not refused):
                begun.append(each)
                yield each.inputs
            else:
                reasons = describe_bad(each.chunk, each.raw.start, each.usable, each.usable)
                refused.add(len(reasons), reasons)
                show(each.raw.start + each.raw.count)

    for results in ahead(runner.stream(inputs())):
        raw, chunk, usable, _ = begun.popleft()
        part = _records(predictor, results, usable, journal.kind)
        reasons = describe_bad(chunk, raw.start, usable, part["usable"])
        if reasons and not skip_bad:
            refused.add(len(reasons), reasons)
        if not refused:
            journal.append(part, reasons[:SHOWN_PROBLEMS])
        show(raw.start + raw.count)
    return refused


class _Encoded(NamedTuple):
    """Some rows of a file, and the inputs of the model for them."""

    raw: Raw
    chunk: Chunk
    usable: np.ndarray
    inputs: np.ndarray


def _encoded(predictor: Predictor, table: Table, start: int, size: int) -> Iterator[_Encoded]:
    names = [column.name for column in predictor.columns]
    for raw in table.chunks(names, start, size):
        chunk = encode(raw, predictor.columns, filled=predictor.scaler.fill is not None)
        usable = predictor.usable(chunk.values)
        usable[[problem.row - raw.start - 1 for problem in chunk.problems]] = False
        # Rows that cannot be used run as the mean row, so that they do not affect the others.
        values = np.where(usable[:, None], chunk.values, predictor.scaler.mean)
        yield _Encoded(raw, chunk, usable, predictor.scaler.features(values))


def _planned(
    predictor: Predictor,
    table: Table,
    tolerance: float,
    maximum: int | None,
    memory: int | str | None,
) -> Predictor:
    """The model at cutoffs that are planned for the first rows of the table."""
    first = next(_encoded(predictor, table, 0, PLAN_ROWS), None)
    if first is None:
        raise UserError(f"{table.path} has no rows")
    try:
        return predictor.planned(first.inputs, tolerance, maximum, memory)
    except PilotTooLarge as error:
        raise UserError(f"--tolerance: {error} Here `maximum` is --maximum-cutoff.") from None


def _records(
    predictor: Predictor, results: Results, usable: np.ndarray, kind: np.dtype
) -> np.ndarray:
    """The answers for a chunk as rows of dtype ``kind``; "usable" tells which of them are valid."""
    result, part = predictor.read(results), np.empty(len(usable), kind)
    part["prediction"], part["leakage"] = result.prediction, result.leakage
    names = kind.names or ()
    if result.probability is not None:
        columns = [name for name in names if name.startswith("probability")]
        for name, column in zip(columns, result.probability.reshape(len(part), -1).T, strict=True):
            part[name] = column
    if "cutoffs" in names:
        part["cutoffs"], part["ok"] = np.array(predictor.labels)[results.level], result.ok
    part["usable"] = usable
    for name in names:
        if kind[name].kind == "f":
            part["usable"] &= np.isfinite(part[name])
    return part


def _deliver(journal: Journal, out: Path, kind: np.dtype) -> "_Figures":
    """Write the output from the journal."""
    figures = _Figures()

    def parts() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for part, reasons in journal.chunks():
            figures.add(part, reasons)
            yield part[list(kind.names or ())], part["usable"]

    write_table(out, kind, journal.rows, parts())
    return figures


class _Figures:
    """The figures that are reported about all rows together."""

    def __init__(self):
        self.bad, self.rows, self.total, self.most, self.notable = _BadRows(), 0, 0.0, 0.0, 0
        self.cutoffs: Counter[str] = Counter()
        self.over = 0

    def add(self, part: np.ndarray, reasons: list[str]) -> None:
        good = part[part["usable"]]
        leakage = good["leakage"]
        self.bad.add(len(part) - len(leakage), reasons)
        self.rows += len(leakage)
        self.total += leakage.sum()
        self.most = max(self.most, leakage.max(initial=0))
        self.notable += int((leakage > NOTABLE_LEAKAGE).sum())
        if "cutoffs" in (part.dtype.names or ()):
            self.cutoffs.update(good["cutoffs"].tolist())
            self.over += int((~good["ok"]).sum())


def _report(console: Console, predictor: Predictor, figures: _Figures) -> None:
    if figures.bad:
        console.print(f"[yellow]left empty:[/] {figures.bad}", soft_wrap=True)
    if figures.rows:
        mean = max(figures.total / figures.rows, 0)
        console.print(f"leakage: mean {mean:.2%}, most {figures.most:.2%}")
    if figures.cutoffs:
        found = [(each, figures.cutoffs[each]) for each in predictor.labels]
        counts = [f"{count:,} at {cutoffs}" for cutoffs, count in found if count]
        console.print(f"rows by cutoffs: {', '.join(counts)}", soft_wrap=True)
    if figures.over:
        console.print(
            f"[yellow]warning:[/] {figures.over} rows lose more than the tolerance even at the "
            f"cutoffs {predictor.labels[-1]}; see column ok",
            soft_wrap=True,
        )
    elif figures.notable:
        console.print(
            f"[yellow]warning:[/] {figures.notable} rows lose more than {NOTABLE_LEAKAGE:.0%} to "
            f"the cutoff {predictor.config.cutoff}; see column leakage"
        )
    if predictor.classes is not None and len(predictor.classes) == 2:
        console.print(f"probability is that of {predictor.target} = {predictor.classes[1]!r}")


def _open(data: Path, columns: tuple[Column, ...]) -> Table:
    """The table in a file, if it has all columns of the model."""
    table = open_table(data)
    if table.names is None:
        texts = [column.name for column in columns if column.categories is not None]
        if texts:
            raise UserError(
                f"{data} holds numbers only, but {', '.join(map(repr, texts))} are categories: "
                "give a .csv or .parquet file"
            )
        return table
    missing = [column.name for column in columns if column.name not in table.names]
    if missing:
        names = ", ".join(map(repr, missing))
        raise UserError(f"{data} lacks {len(missing)} of the model's columns: {names}")
    return table


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe_bad(chunk: Chunk, start: int, usable: np.ndarray, good: np.ndarray) -> list[str]:
    """A line for each row that is not good, with the first problem in it."""
    first: dict[int, str] = {}
    for problem in chunk.problems:
        first.setdefault(problem.row, str(problem))
    for offset in np.flatnonzero(~good):
        row = start + int(offset) + 1
        place = f"row {row} (line {chunk.lines[offset]})" if chunk.lines else f"row {row}"
        what = "the result is not finite" if usable[offset] else "a value is too large"
        first.setdefault(row, f"{place}: {what}")
    return [first[row] for row in sorted(first)]


def result_columns(classes: tuple | None, cutoffs: Sequence[str] = ()) -> np.dtype:
    """The columns of the output, as a structured dtype. ``cutoffs`` are the texts that may stand in
    the column cutoffs; without them there is no such column.
    """
    if classes is None:
        label, probabilities = "<f8", []
    elif len(classes) == 2:
        label, probabilities = np.array(classes).dtype.str, ["probability"]
    else:
        label = np.array(classes).dtype.str
        probabilities = [f"probability_{each}" for each in classes]
    numbers = [(name, "<f8") for name in (*probabilities, "leakage")]
    more = [("cutoffs", np.array(cutoffs).dtype.str), ("ok", "?")] if cutoffs else []
    return np.dtype([("prediction", label), *numbers, *more])


@contextlib.contextmanager
def _progress(console: Console, total: int | None, done: int) -> Iterator[Callable[[int], None]]:
    """A function that shows how many rows are finished."""
    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,} rows"),
        TimeElapsedColumn(),
        console=console,
    )
    with progress:
        task = progress.add_task("predicting", total=total, completed=done)
        yield lambda rows: progress.update(task, completed=rows)
