"""Runs a trained model over a file of any length, and continues a run that was interrupted.

The file is read in chunks. The results of each chunk are appended to a journal beside the output,
and when all are there the output is written from the journal.
"""

import contextlib
import hashlib
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from fockjax._advice import UserError
from fockjax._files import remove_leftovers, same_file
from fockjax.inference import Predictor, load_model
from fockjax.journal import Journal, open_journal, stored_identity
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

NOTABLE_LEAKAGE = 0.05  # above which rows are warned of
CHUNK_ROWS, CHUNK_BATCHES = 16384, 128  # the most rows and batches in a chunk
PLAN_ROWS = 65536  # cutoffs are planned for this many rows, the first of the file


def predict(
    model: Path,
    data: Path,
    out: Path,
    *,
    skip_bad: bool = False,
    restart: bool = False,
    overwrite: bool = False,
    memory: int | str | None = None,
    batch_size: int | None = None,
    tolerance: float | None = None,
    maximum_cutoff: int | None = None,
    log: Path | None = None,
    trace: Path | None = None,
    console: Console | None = None,
) -> int:
    """Run a trained model over a file and write its results to `out`.

    `out` appears complete or not at all. If the run is interrupted, finished chunks are kept in a
    journal beside `out`, and the same call continues after them.

    Args:
        model: model folder.
        data: a .csv or .parquet file with at least the model's columns, in any order (others, such
            as the target, are ignored); or a .npy file, a real (rows, columns) array whose columns
            are in the order of the training.
        out: a .csv or .parquet file, or .npy for a structured array. Its columns are prediction,
            leakage, and for classification the probability of the second of two classes or of each
            class; with a tolerance also cutoffs and ok.
        skip_bad: leave the results of unusable rows empty instead of refusing the file.
        restart: discard the journal of an interrupted run and begin anew.
        overwrite: replace `out` if it exists, once the new one is complete.
        memory: what the process may use, such as "8GB"; see docs/runner.md.
        batch_size: the most rows in a batch; by default as many as run fast and fit in memory.
        tolerance: the leakage that a row may have. Cutoffs are planned for the first rows of the
            file, and rows that lose more run again at larger cutoffs.
        maximum_cutoff: the largest of these cutoffs; by default 32. Rows that lose more even there
            are counted and marked.
        log: a file to which the record of the run is appended, for `fockjax report`.
        trace: a folder for the trace of JAX's profiler.
        console: where to report.

    Returns:
        The number of rows.

    Raises:
        UserError: for a file that cannot be used, for an output that exists, for unusable rows
            (listed by number), and for the journal of an interrupted run with another model, other
            data or another tolerance.
        TooLarge, RunError: as a `fockjax.runtime.Runner`; what was finished stays in the journal.
    """
    console = console or Console()
    data, out = Path(data), Path(out)
    check_output(out)
    path = out.with_name(f"{out.name}.journal")
    if same_file(out, data):
        raise UserError(f"the output {out} would replace the data it is made from")
    if log is not None:
        for what, other in (("the data", data), ("the output", out), ("the journal", path)):
            if same_file(Path(log), other):
                raise UserError(f"--log must be a file of its own, {log} is {what}")
    if restart or not path.exists():
        _check_absent(out, overwrite)
    predictor = load_model(model, lambda text: console.print("[yellow]warning:[/]", Text(text)))
    _check_options(predictor, memory, batch_size, tolerance, maximum_cutoff, log, trace)
    table = _open(data, predictor.columns)
    began, before = time.perf_counter(), data.stat()
    identity: dict[str, Any] = {"data": _digest(data), "model": predictor.fingerprint}
    if tolerance is not None:
        maximum = maximum_cutoff or predictor.maximum_cutoff
        identity |= {"tolerance": tolerance, "maximum cutoff": maximum}
        # Planned again it might come out otherwise, as that depends on the memory that is free.
        if stored := {} if restart else stored_identity(path, identity):
            predictor = predictor.replanned(tolerance, *stored["plan"])
        else:
            predictor = _planned(console, predictor, table, tolerance, maximum, memory)
        identity["plan"] = [predictor.cutoffs.tolist(), str(predictor.plan)]
        _show_plan(console, predictor)
    runner = predictor.runner(memory=memory, largest_batch=batch_size, log=log, trace=trace)
    out.parent.mkdir(parents=True, exist_ok=True)
    columns = result_columns(predictor.classes, predictor.labels if predictor.plan else ())
    kind = np.dtype([*columns.descr, ("usable", "?")])
    with open_journal(path, identity, kind, restart=restart) as journal:
        # A run that was stopped after it wrote the output and before its journal went goes on.
        _check_absent(out, overwrite or journal.finished, journal.rows)
        remove_leftovers(out)
        resumed = journal.rows
        if resumed:
            console.print(f"resuming after row {resumed:,}")
        size = _chunk_size(predictor, runner)
        with _progress(console, table.rows, resumed) as show:
            refused = _run(
                predictor,
                runner,
                table,
                journal,
                size,
                skip_bad,
                show,
                lambda: _check_unchanged(data, before),
            )
        _check_finished(data, before, journal, refused)
        _check_absent(out, overwrite or journal.finished, journal.rows)  # it may be there by now
        summary = _deliver(journal, out, columns)
        journal.discard()
    seconds = time.perf_counter() - began
    rows = f"{journal.rows:,} rows" + (f" ({resumed:,} of them before)" if resumed else "")
    console.print(Text(f"{rows} in {seconds:.1f} s -> {out}"), soft_wrap=True)
    _report(console, predictor, summary)
    return journal.rows


def _check_absent(out: Path, may_exist: bool, rows: int = 0) -> None:
    """Raise UserError for an output that exists and may not be replaced.

    If `rows` are finished the name has to stay: their journal goes by it.
    """
    if out.exists() and not may_exist:
        other = "move it away" if rows else "give another name"
        raise UserError(f"{out} exists: {other}, or --overwrite to replace it")


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
            raise UserError("--maximum-cutoff needs --tolerance, above which cutoffs are raised")
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
        return first_reasons(self.shown, self.count)

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
    unchanged: Callable[[], None],
) -> _BadRows:
    """Run all rows of the table and append their results to the journal.

    While one chunk runs, the next is read and the one before is stored. Once a row is refused no
    more chunks are begun; the rest of the table is only searched for more such rows. The chunks
    before it are stored.

    Returns:
        The refused rows.
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

    storing, stream = True, runner.stream(inputs())
    # Closed, so that the record of a run that is interrupted here is complete, and in its log.
    with contextlib.closing(stream), contextlib.closing(ahead(stream)) as coming:
        for results in coming:
            raw, chunk, usable, _ = begun.popleft()
            part = _records(predictor, results, usable, journal.kind)
            reasons = describe_bad(chunk, raw.start, usable, part["usable"])
            if reasons and not skip_bad:
                refused.add(len(reasons), reasons)
                storing = False
            if storing:
                unchanged()
                journal.append(part, reasons[:SHOWN_PROBLEMS])
            show(raw.start + raw.count)
    return refused


def _chunk_size(predictor: Predictor, runner: Runner) -> int:
    """How many rows to read and store at a time."""
    batch = runner.plan(predictor.scaler.features(predictor.scaler.mean[None])).batch
    return max(batch, min(CHUNK_ROWS, CHUNK_BATCHES * batch))


def _check_finished(
    data: Path, before: os.stat_result, journal: Journal, refused: _BadRows
) -> None:
    """Raise UserError if the data changed during the run, had unusable rows, or had no rows.

    The journal stays if it has rows: these may have taken hours.
    """
    _check_unchanged(data, before)
    if refused:
        advice = "Nothing was written; --skip-bad leaves such rows empty"
        if journal.rows:
            advice = (
                f"The first {journal.rows:,} rows are finished; --skip-bad goes on from here and "
                "leaves such rows empty, --restart discards what is finished"
            )
        raise UserError(f"{data}: {refused}. {advice}")
    if journal.rows == 0:
        raise UserError(f"{data} has no rows")


def _check_unchanged(data: Path, before: os.stat_result) -> None:
    after = data.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise UserError(f"{data} was changed while it was read: run again with --restart")


class _Encoded(NamedTuple):
    """Some rows of a file, and the inputs of the model for them."""

    raw: Raw
    chunk: Chunk
    usable: np.ndarray
    inputs: np.ndarray


def _encoded(predictor: Predictor, table: Table, start: int, size: int) -> Iterator[_Encoded]:
    """The rows of a table from `start` on, in chunks of at most `size`, as inputs of the model."""
    names = [column.name for column in predictor.columns]
    for raw in table.chunks(names, start, size):
        chunk = encode(raw, predictor.columns, filled=predictor.scaler.fill is not None)
        usable = predictor.usable(chunk.values) & ~chunk.bad
        # Unusable rows run as the mean row, so that they do not affect the others.
        values = np.where(usable[:, None], chunk.values, predictor.scaler.mean)
        yield _Encoded(raw, chunk, usable, predictor.scaler.features(values))


def _planned(
    console: Console,
    predictor: Predictor,
    table: Table,
    tolerance: float,
    maximum: int,
    memory: int | str | None,
) -> Predictor:
    """The predictor at cutoffs planned for the first rows of the table."""
    first = next(_encoded(predictor, table, 0, PLAN_ROWS), None)
    if first is None:
        raise UserError(f"{table.path} has no rows")
    try:
        with console.status("planning cutoffs"):
            return predictor.planned(first.inputs, tolerance, maximum, memory)
    except PilotTooLarge as error:
        raise UserError(f"--tolerance: {error} Here `maximum` is --maximum-cutoff.") from None


def _show_plan(console: Console, predictor: Predictor) -> None:
    plan = str(predictor.plan)
    console.print(Text(f"planned, rows counted from 0: {plan}"), soft_wrap=True)
    if "`maximum`" in plan:
        console.print("Here `maximum` is --maximum-cutoff.")


def _records(
    predictor: Predictor, results: Results, usable: np.ndarray, kind: np.dtype
) -> np.ndarray:
    """The results of a chunk as rows of `kind`, where "usable" marks those that are valid."""
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


def _deliver(journal: Journal, out: Path, kind: np.dtype) -> "_Summary":
    """Write the output from the journal."""
    summary = _Summary()

    def parts() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for part, reasons in journal.chunks():
            summary.add(part, reasons)
            yield part[list(kind.names or ())], part["usable"]
        journal.finish()  # from here on a file that is there is ours

    write_table(out, kind, journal.rows, parts())
    return summary


class _Summary:
    """What is reported about all rows together."""

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


def _report(console: Console, predictor: Predictor, summary: _Summary) -> None:
    """Print the summary, with warnings. Names of users are `Text`, which has no markup."""
    if summary.bad:
        console.print("[yellow]left empty:[/]", Text(str(summary.bad)), soft_wrap=True)
    if summary.rows:
        mean = max(summary.total / summary.rows, 0)
        console.print(f"leakage: mean {mean:.2%}, most {summary.most:.2%}")
    if summary.cutoffs:
        found = [(each, summary.cutoffs[each]) for each in predictor.labels]
        counts = [f"{count:,} at {cutoffs}" for cutoffs, count in found if count]
        console.print(f"rows by cutoffs: {', '.join(counts)}", soft_wrap=True)
    if summary.over:
        console.print(
            f"[yellow]warning:[/] {summary.over} rows lose more than the tolerance even at the "
            f"cutoffs {predictor.labels[-1]}; see column ok",
            soft_wrap=True,
        )
    elif summary.notable:
        planned = len(predictor.labels) > 1
        cutoff = "cutoffs" if planned else f"cutoff {predictor.config.cutoff}"
        console.print(
            f"[yellow]warning:[/] {summary.notable} rows lose more than {NOTABLE_LEAKAGE:.0%} to "
            f"the {cutoff}; see column leakage"
        )
    if predictor.classes is not None and len(predictor.classes) == 2:
        told = f"probability is that of {predictor.target} = {predictor.classes[1]!r}"
        console.print(Text(told))


def _open(data: Path, columns: tuple[Column, ...]) -> Table:
    """Open the table in a file, and check that it has all columns of the model."""
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


def describe_bad(
    chunk: Chunk, start: int, usable: np.ndarray, good: np.ndarray, most: int | None = None
) -> list[str]:
    """One line for each row that is not good: its first problem.

    Args:
        chunk: the rows.
        start: how many rows come before them.
        usable: which rows the model could take; the others have a value that is too large.
        good: which rows have a finite result.
        most: for at most so many rows, the first ones, which `chunk` must describe.
    """
    first: dict[int, str] = {}
    for problem in chunk.problems:
        first.setdefault(problem.row, str(problem))
    for offset in np.flatnonzero(~good)[:most]:
        row = start + int(offset) + 1
        place = f"row {row} (line {chunk.lines[offset]})" if chunk.lines else f"row {row}"
        what = "the result is not finite" if usable[offset] else "a value is too large"
        first.setdefault(row, f"{place}: {what}")
    return [first[row] for row in sorted(first)[:most]]


def first_reasons(reasons: Sequence[str], count: int) -> str:
    """The first of the reasons why `count` rows cannot be used, for a message."""
    shown = reasons[:SHOWN_PROBLEMS]
    more = count - len(shown)
    return "; ".join(shown) + (f"; and {more} more rows" if more > 0 else "")


def result_columns(classes: tuple | None, cutoffs: Sequence[str] = ()) -> np.dtype:
    """The columns of the output as a structured dtype; more if rows run at one of some cutoffs."""
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
