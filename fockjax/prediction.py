"""A trained model over a file of any length, in order, taken up again if it was interrupted.

The file is read in chunks; the results of each go to a journal beside the output, and the output is
written from the journal when all are there.
"""

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from fockjax.inference import Predictor, load_model
from fockjax.journal import Journal, open_journal
from fockjax.training.errors import UserError
from fockjax.training.files import remove_leftovers
from fockjax.training.model import comfortable_batch
from fockjax.training.reading import SHOWN_PROBLEMS
from fockjax.training.tables import (
    Chunk,
    Column,
    Table,
    check_output,
    encode,
    open_table,
    write_table,
)

NOTABLE_LEAKAGE = 0.05
CHUNK_ROWS, CHUNK_BATCHES = 16384, 16


def predict(
    model: Path,
    data: Path,
    out: Path,
    *,
    skip_bad: bool = False,
    restart: bool = False,
    batch_size: int | None = None,
    console: Console | None = None,
) -> int:
    """Run a trained model over a file; `out` appears complete or not at all.

    Interrupted at any moment, the same call goes on after the chunks that were finished, from the
    journal beside `out`.

    Args:
        model: model folder.
        data: .csv or .parquet that names at least the model's columns, in any order (others, as
            the target, are ignored); or .npy, a real (rows, columns) array in their order.
        out: .csv, .parquet, or .npy for a structured array; columns prediction, probability of the
            second class or of each (classification only) and leakage.
        skip_bad: leave the results of unusable rows empty instead of refusing the file.
        restart: do not go on from the journal of an interrupted run, begin anew.
        batch_size: rows per call of the model; by default as fits in memory, at most 1024.
        console: where to report.

    Returns:
        The number of rows.

    Raises:
        UserError: a file that cannot be used, unusable rows, listed by number, or the journal of
            an interrupted run of another model or other data.
    """
    console = console or Console()
    data, out = Path(data), Path(out)
    if batch_size is not None and batch_size < 1:
        raise UserError(f"--batch-size must be at least 1, got {batch_size}")
    check_output(out)
    if out.exists() and data.exists() and out.samefile(data):
        raise UserError(f"the output {out} would replace the data it is made from")
    predictor = load_model(model, lambda text: console.print(f"[yellow]warning:[/] {text}"))
    table = _open(data, predictor.columns)
    out.parent.mkdir(parents=True, exist_ok=True)

    began, before = time.perf_counter(), data.stat()
    identity = {"data": _digest(data), "model": predictor.fingerprint}
    columns = result_columns(predictor.classes)
    kind = np.dtype([*columns.descr, ("usable", "?")])
    path = out.with_name(f"{out.name}.journal")
    with open_journal(path, identity, kind, restart=restart) as journal:
        remove_leftovers(out)
        resumed = journal.rows
        if resumed:
            console.print(f"resuming after row {resumed:,}")
        batch_size = batch_size or comfortable_batch(predictor.config)
        with _progress(console, table.rows, resumed) as show:
            refused = _run(predictor, table, journal, batch_size, skip_bad, show)
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


class _BadRows:
    """Rows that cannot be used: how many, and why the first of them."""

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
    table: Table,
    journal: Journal,
    batch_size: int,
    skip_bad: bool,
    show: Callable[[int], None],
) -> "_BadRows":
    """Bring all rows of the table into the journal; returns those for which that is refused.

    Once a row is refused nothing more is computed, only the other such rows are looked for.
    """
    refused = _BadRows()
    if not skip_bad:
        for part, reasons in journal.chunks():
            refused.add(int((~part["usable"]).sum()), reasons)
    size = max(batch_size, min(CHUNK_ROWS, CHUNK_BATCHES * batch_size))
    names = [column.name for column in predictor.columns]
    for raw in table.chunks(names, journal.rows, size):
        chunk = encode(raw, predictor.columns, filled=predictor.scaler.fill is not None)
        usable = predictor.usable(chunk.values)
        usable[[problem.row - raw.start - 1 for problem in chunk.problems]] = False
        part, good = None, usable
        if skip_bad or (usable.all() and not refused):
            part = _answer(predictor, chunk, usable, journal.kind, batch_size)
            good = part["usable"]
        reasons = describe_bad(chunk, raw.start, usable, good)
        if part is not None and (skip_bad or not reasons):
            journal.append(part, reasons[:SHOWN_PROBLEMS])
        else:
            refused.add(len(reasons), reasons)
        show(raw.start + raw.count)
    return refused


def _answer(
    predictor: Predictor, chunk: Chunk, usable: np.ndarray, kind: np.dtype, batch_size: int
) -> np.ndarray:
    """The answers for a chunk as rows of `kind`; its "usable" says which of them are some."""
    # Rows that cannot be used are run as the mean row: others must not feel them.
    values = np.where(usable[:, None], chunk.values, predictor.scaler.mean)
    result = predictor.predict_usable(values, batch_size)
    part = np.empty(len(values), kind)
    part["prediction"], part["leakage"] = result.prediction, result.leakage
    if result.probability is not None:
        names = [name for name in kind.names or () if name.startswith("probability")]
        for name, column in zip(names, result.probability.reshape(len(part), -1).T, strict=True):
            part[name] = column
    part["usable"] = usable
    for name in kind.names or ():
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
    """What is reported of all rows together."""

    def __init__(self):
        self.bad, self.rows, self.total, self.most, self.notable = _BadRows(), 0, 0.0, 0.0, 0

    def add(self, part: np.ndarray, reasons: list[str]) -> None:
        leakage = part["leakage"][part["usable"]]
        self.bad.add(len(part) - len(leakage), reasons)
        self.rows += len(leakage)
        self.total += leakage.sum()
        self.most = max(self.most, leakage.max(initial=0))
        self.notable += int((leakage > NOTABLE_LEAKAGE).sum())


def _report(console: Console, predictor: Predictor, figures: _Figures) -> None:
    if figures.bad:
        console.print(f"[yellow]left empty:[/] {figures.bad}", soft_wrap=True)
    if figures.rows:
        mean = max(figures.total / figures.rows, 0)
        console.print(f"leakage: mean {mean:.2%}, most {figures.most:.2%}")
    if figures.notable:
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
    """One line for each row that is not good: its first problem."""
    first: dict[int, str] = {}
    for problem in chunk.problems:
        first.setdefault(problem.row, str(problem))
    for offset in np.flatnonzero(~good):
        row = start + int(offset) + 1
        place = f"row {row} (line {chunk.lines[offset]})" if chunk.lines else f"row {row}"
        what = "the result is not finite" if usable[offset] else "a value is too large"
        first.setdefault(row, f"{place}: {what}")
    return [first[row] for row in sorted(first)]


def result_columns(classes: tuple | None) -> np.dtype:
    """The columns of the output, as a structured dtype."""
    if classes is None:
        label, probabilities = "<f8", []
    elif len(classes) == 2:
        label, probabilities = np.array(classes).dtype.str, ["probability"]
    else:
        label = np.array(classes).dtype.str
        probabilities = [f"probability_{each}" for each in classes]
    return np.dtype([("prediction", label), *((n, "<f8") for n in (*probabilities, "leakage"))])


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
