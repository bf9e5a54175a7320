"""Runs a trained model over a file of any length, and continues a run that was interrupted.

The file is read in chunks. The results of each chunk are appended to a journal beside the output,
and when all are there the output is written from the journal.
"""

import contextlib
import dataclasses
import hashlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import tyro
from rich.console import Console
from rich.text import Text

from fockjax._advice import SHOWN, UserError
from fockjax._files import remove_leftovers, same_file
from fockjax._options import optional, require
from fockjax._progress import Steps
from fockjax.inference import Predictor, load_model, result_columns
from fockjax.journal import Journal, open_journal, stored_identity
from fockjax.runtime import PilotTooLarge, Results, Runner, parse_size
from fockjax.runtime.ahead import ahead
from fockjax.runtime.run_record import check_log, check_trace
from fockjax.summary import BadRows, Summary, report
from fockjax.training.tables import (
    Chunk,
    Column,
    Raw,
    Table,
    check_output,
    describe_bad,
    open_table,
    write_table,
)

CHUNK_ROWS, CHUNK_BATCHES = 16384, 16  # the most rows and batches in a chunk
DIGEST_BLOCK = 2**24  # bytes
PLAN_ROWS = 65536  # cutoffs are planned for this many rows, the first of the file


@dataclasses.dataclass(frozen=True)
class PredictConfig:
    """Options of `fockjax predict`."""

    model: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="MODEL")]
    """Model folder, from fockjax train."""
    data: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DATA")]
    """CSV or Parquet file with the model's columns, in any order; or .npy (rows, columns)."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE")]
    """Where to write prediction, probabilities and leakage: .csv, .parquet or .npy."""
    skip_bad: bool = False
    """Leave the results of unusable rows empty instead of refusing the file."""
    restart: bool = False
    """Discard the journal of an interrupted run and begin anew."""
    overwrite: bool = False
    """Replace FILE if it exists, once the new one is complete."""
    memory: Annotated[str | None, optional("SIZE")] = None
    """Memory to use, such as 8GB; by default what JAX may use of a GPU, or half of what is free."""
    batch_size: Annotated[int | None, optional("INT")] = None
    """Most rows in a batch; by default as many as run fast and fit in memory."""
    tolerance: Annotated[float | None, optional("FLOAT")] = None
    """Leakage a row may have: cutoffs are planned for it. Adds the columns cutoffs and ok."""
    maximum_cutoff: Annotated[int | None, optional("INT")] = None
    """The largest of these cutoffs; by default 32, or that of the training if it is larger."""
    log: Annotated[Path | None, optional("FILE")] = None
    """Append the record of the run to this file, as JSON, for fockjax report."""
    trace: Annotated[Path | None, optional("FOLDER")] = None
    """Write the trace of JAX's profiler to this folder."""

    @property
    def journal(self) -> Path:
        """Where finished chunks are kept until all are there."""
        out = Path(self.out)
        return out.with_name(f"{out.name}.journal")

    def check(self) -> None:
        """Raise UserError for a value that cannot work, naming its option."""
        out = Path(self.out)
        check_output(out)
        if same_file(out, Path(self.data)):
            raise UserError(f"the output {out} would replace the data it is made from")
        if self.log is not None:
            taken = (("the data", self.data), ("the output", out), ("the journal", self.journal))
            for what, other in taken:
                if same_file(Path(self.log), Path(other)):
                    raise UserError(f"--log must be a file of its own, {self.log} is {what}")
        try:
            if self.log is not None:
                check_log(self.log, "--log")
            if self.trace is not None:
                check_trace(self.trace, "--trace")
        except ValueError as error:
            raise UserError(str(error)) from None
        if self.memory is not None:
            try:
                parse_size(self.memory)
            except ValueError as error:
                raise UserError(f"--memory: {error}") from None
        if self.batch_size is not None:
            require(self, ("batch_size",), lambda n: n >= 1, "be at least 1")
        if self.tolerance is not None:
            require(
                self, ("tolerance",), lambda x: 1e-6 <= x < 1, "lie between 1e-6 (rounding) and 1"
            )
        if self.maximum_cutoff is not None and self.tolerance is None:
            raise UserError("--maximum-cutoff needs --tolerance, above which cutoffs are raised")


def predict(config: PredictConfig, console: Console | None = None) -> int:
    """Run a trained model over a file and write its results to `config.out`.

    The output appears complete or not at all. If the run is interrupted, finished chunks are kept
    in a journal beside it, and the same call continues after them.

    Args:
        config: the options. The data are a .csv or .parquet file with at least the model's columns,
            in any order (others, such as the target, are ignored); or a .npy file, a real (rows,
            columns) array whose columns are in the order of the training. The output is a .csv or
            .parquet file, or .npy for a structured array. Its columns are prediction, leakage, and
            for classification the probability of the second of two classes or of each class; with a
            tolerance also cutoffs and ok.
        console: where to report; by default the standard output.

    Returns:
        The number of rows.

    Raises:
        UserError: for options or a file that cannot be used, for an output that exists, for
            unusable rows (listed by number), and for the journal of an interrupted run with another
            model, other data or another tolerance.
        TooLarge, RunError: as a `fockjax.runtime.Runner`; what was finished stays in the journal.

    Example:
        >>> from fockjax.prediction import PredictConfig, predict
        >>> predict(PredictConfig("runs/flowers", "new.csv", "out.csv"))  # doctest: +SKIP
        150
    """
    config.check()
    console = console or Console()
    data, out = Path(config.data), Path(config.out)
    if config.restart or not config.journal.exists():
        _check_absent(out, config.overwrite)
    predictor = load_model(
        config.model, lambda text: console.print("[yellow]warning:[/]", Text(text))
    )
    table = _open(data, predictor.columns)
    began, before = time.perf_counter(), data.stat()
    predictor, identity = _planned(config, predictor, table, console)
    out.parent.mkdir(parents=True, exist_ok=True)
    columns = result_columns(predictor.classes, predictor.labels if predictor.plan else ())
    kind = np.dtype([*columns.descr, ("usable", "?")])
    with open_journal(config.journal, identity, kind, restart=config.restart) as journal:
        # A run that was stopped after it wrote the output and before its journal went goes on.
        _check_absent(out, config.overwrite or journal.finished, journal.rows)
        remove_leftovers(out)
        resumed = journal.rows
        if resumed:
            console.print(f"resuming after row {resumed:,}")
        refused = _run(
            config, predictor, table, journal, console, lambda: _check_unchanged(data, before)
        )
        _check_finished(data, before, journal, refused, config.restart)
        # It may be there by now.
        _check_absent(out, config.overwrite or journal.finished, journal.rows)
        summary = _deliver(journal, out, columns, console)
        journal.discard()
    seconds = time.perf_counter() - began
    rows = f"{journal.rows:,} rows" + (f" ({resumed:,} of them before)" if resumed else "")
    console.print(Text(f"{rows} in {seconds:.1f} s -> {out}"), soft_wrap=True)
    report(console, predictor, summary)
    return journal.rows


def _check_absent(out: Path, may_exist: bool, rows: int = 0) -> None:
    """Raise UserError for an output that exists and may not be replaced.

    If `rows` are finished the name has to stay: their journal goes by it.
    """
    if out.exists() and not may_exist:
        other = "move it away" if rows else "give another name"
        raise UserError(f"{out} exists: {other}, or --overwrite to replace it")


def _run(
    config: PredictConfig,
    predictor: Predictor,
    table: Table,
    journal: Journal,
    console: Console,
    unchanged: Callable[[], None],
) -> BadRows:
    """Run all rows of the table and append their results to the journal.

    While one chunk runs, the next is read and the one before is stored. Once a row is refused no
    more chunks are begun; the rest of the table is only searched for more such rows. The chunks
    before it are stored.

    Returns:
        The refused rows.
    """
    runner = predictor.runner(
        memory=config.memory,
        largest_batch=config.batch_size,
        log=config.log,
        trace=config.trace,
    )
    size = _chunk_size(predictor, runner)
    refused = BadRows()
    if not config.skip_bad:
        for part, reasons in journal.chunks():
            refused.add(int((~part["usable"]).sum()), reasons)
    begun: deque[_Encoded] = deque()

    def inputs() -> Iterator[np.ndarray]:
        for each in _encoded(predictor, table, journal.rows, size):
            if config.skip_bad or (each.usable.all() and not refused):
                begun.append(each)
                yield each.inputs
            else:
                reasons = describe_bad(each.chunk, each.raw.start, each.usable, each.usable)
                refused.add(len(reasons), reasons)
                steps.show(each.raw.start + each.raw.count)

    storing, stream = True, runner.stream(inputs())
    with (
        Steps(console, "predicting", "rows", table.rows, journal.rows) as steps,
        # Closed, so that the record of a run that is interrupted here is complete, and in its log.
        contextlib.closing(stream),
        contextlib.closing(ahead(stream)) as coming,
        _told_of_stopping(console),
    ):
        for results in coming:
            raw, chunk, usable, _ = begun.popleft()
            part = _records(predictor, results, usable, journal.kind)
            reasons = describe_bad(chunk, raw.start, usable, part["usable"])
            if reasons and not config.skip_bad:
                refused.add(len(reasons), reasons)
                storing = False
            if storing:
                unchanged()
                journal.append(part, reasons[:SHOWN])
            steps.show(raw.start + raw.count)
    return refused


@contextlib.contextmanager
def _told_of_stopping(console: Console) -> Iterator[None]:
    """Say at Ctrl-C that the chunk that runs ends first."""
    try:
        yield
    except KeyboardInterrupt:
        console.print("stopping after this chunk")
        raise


def _chunk_size(predictor: Predictor, runner: Runner) -> int:
    """How many rows to read and store at a time."""
    batch = runner.plan(predictor.scaler.features(predictor.scaler.mean[None])).batch
    return max(batch, min(CHUNK_ROWS, CHUNK_BATCHES * batch))


def _check_finished(
    data: Path, before: os.stat_result, journal: Journal, refused: BadRows, restarted: bool
) -> None:
    """Raise UserError if the data changed during the run, had unusable rows, or had no rows.

    The journal stays if it has rows: these may have taken hours.
    """
    _check_unchanged(data, before)
    if refused:
        advice = "Nothing was written; --skip-bad leaves such rows empty"
        if journal.rows:
            how = "--skip-bad without --restart" if restarted else "--skip-bad"
            advice = (
                f"The first {journal.rows:,} rows are finished; {how} goes on from here and "
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
        chunk, inputs, usable = predictor.inputs(raw)
        yield _Encoded(raw, chunk, usable, inputs)


def _planned(
    config: PredictConfig, predictor: Predictor, table: Table, console: Console
) -> tuple[Predictor, dict[str, Any]]:
    """The predictor, with a tolerance at cutoffs planned for the first rows of the table; and what
    identifies the run. The plan of an interrupted run is taken from its journal.
    """
    maximum, least = config.maximum_cutoff, predictor.config.cutoff
    if maximum is not None and maximum < least:
        raise UserError(
            f"--maximum-cutoff must be at least {least}, the cutoff of the model, got {maximum}"
        )
    identity: dict[str, Any] = {
        "data": _digest(table.path, console),
        "model": predictor.fingerprint,
        "version of fockjax": version("fockjax"),
    }
    if config.tolerance is None:
        return predictor, identity
    maximum = maximum or predictor.maximum_cutoff
    identity |= {"tolerance": config.tolerance, "maximum cutoff": maximum}
    # Planned again it might come out otherwise, as that depends on the memory that is free.
    if stored := {} if config.restart else stored_identity(config.journal, identity):
        predictor = predictor.replanned(config.tolerance, *stored["plan"])
    else:
        first = next(_encoded(predictor, table, 0, PLAN_ROWS), None)
        if first is None:
            raise UserError(f"{table.path} has no rows")
        try:
            with console.status("planning cutoffs"):
                predictor = predictor.planned(
                    first.inputs, config.tolerance, maximum, config.memory
                )
        except PilotTooLarge as error:
            raise UserError(
                f"{error.fact}. Raise --memory or --tolerance, or lower --maximum-cutoff"
            ) from None
    plan = str(predictor.plan)
    console.print(Text(f"planned, rows counted from 0: {plan}"), soft_wrap=True)
    if "`maximum`" in plan:
        console.print("Here `maximum` is --maximum-cutoff.")
    return predictor, identity | {"plan": [predictor.cutoffs.tolist(), plan]}


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


def _deliver(journal: Journal, out: Path, kind: np.dtype, console: Console) -> Summary:
    """Write the output from the journal."""
    summary, written = Summary(), 0

    def parts() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        nonlocal written
        for part, reasons in journal.chunks():
            summary.add(part, reasons)
            yield part[list(kind.names or ())], part["usable"]
            written += len(part)
            steps.show(written)
        journal.finish()  # from here on a file that is there is ours

    with Steps(console, "writing", "rows", journal.rows, transient=True) as steps:
        write_table(out, kind, journal.rows, parts())
    return summary


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


def _digest(path: Path, console: Console) -> str:
    """SHA-256 of a file."""
    digest, done, size = hashlib.sha256(), 0, path.stat().st_size // 10**6
    with open(path, "rb") as file, Steps(console, "reading", "MB", size, transient=True) as steps:
        while block := file.read(DIGEST_BLOCK):
            digest.update(block)
            done += len(block)
            steps.show(done // 10**6)
    return digest.hexdigest()
