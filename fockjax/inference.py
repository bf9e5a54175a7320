"""Batched inference: a trained model over a CSV or .npy file of any length, in order."""

import contextlib
import csv
import dataclasses
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from fockjax.runtime import Checked, Runner, functional
from fockjax.training import checkpoint, folder
from fockjax.training.config import TrainConfig, identity_hash
from fockjax.training.csvfile import CHUNK_ROWS, Chunk, Problem, read_chunks, read_header
from fockjax.training.data import SHOWN_PROBLEMS, Scaler
from fockjax.training.errors import UserError
from fockjax.training.files import atomic_writer
from fockjax.training.metrics import sigmoid
from fockjax.training.model import HybridModel, build_model, comfortable_batch

NOTABLE_LEAKAGE = 0.05
SUFFIXES = (".csv", ".npy")
COLUMNS = ("prediction", "probability", "leakage")


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Results in the order of the rows.

    Attributes:
        prediction: class label, or value in the units of the training target; (rows,).
        probability: probability of the second class (rows,); None for regression.
        leakage: probability that the cutoff lost, 1 - norm^2; (rows,).
    """

    prediction: np.ndarray
    probability: np.ndarray | None
    leakage: np.ndarray


class Predictor:
    """A trained model that answers for rows of raw features; from `load_model`.

    Attributes:
        model: the Flax module, with its best weights; `model.quantum` is the `QuantumLayer`.
        config: how it was trained.
        columns: names of the features, in the order of the columns expected.
        target: name of what is predicted.
        classes: the two labels, or None for regression.
        scaler: raw features to what the module takes, and back for a regression target.
    """

    def __init__(self, model: HybridModel, config: TrainConfig, data: dict, scaler: Scaler):
        self.model, self.config, self.scaler = model, config, scaler
        self.columns = tuple(data["columns"])
        self.target: str = data["target"]
        self.classes: tuple | None = None if data["classes"] is None else tuple(data["classes"])
        self._function, self._params = functional(model)
        self._runners: dict[int, Runner] = {}

    def __call__(self, features: np.ndarray, batch_size: int | None = None) -> Predictions:
        """Predict for `features` (rows, columns), raw and finite, in the order of `columns`."""
        batch_size = batch_size or comfortable_batch(self.config)
        features = np.asarray(features, np.float64)
        if features.ndim != 2 or features.shape[1] != len(self.columns):
            raise UserError(
                f"features must have shape (rows, {len(self.columns)}), got {features.shape}"
            )
        bad = np.flatnonzero(~self.usable(features))
        if bad.size:
            shown = ", ".join(map(str, bad[:SHOWN_PROBLEMS] + 1))
            raise UserError(f"{bad.size} rows are not finite or far too large; from 1: {shown}")
        return self.predict_usable(features, batch_size)

    def usable(self, features: np.ndarray) -> np.ndarray:
        """Which rows of raw features the model can take: finite, also once standardised."""
        return np.all(np.isfinite(self.scaler.features(features)), axis=1)

    def predict_usable(self, features: np.ndarray, batch_size: int) -> Predictions:
        """Predict for usable rows, at most `batch_size` at a time on each device."""
        if batch_size not in self._runners:
            self._runners[batch_size] = Runner(
                lambda params, x: Checked(*self._function(params, x)),
                self._params,
                largest_batch=batch_size,
            )
        results = self._runners[batch_size](self.scaler.features(features))
        output, leakage = (
            np.asarray(part, np.float64) for part in (results.values, results.leakage)
        )
        if self.classes is None:
            value = output * self.scaler.target_scale + self.scaler.target_mean
            return Predictions(value, None, leakage)
        probability = sigmoid(output)
        labels = np.array(self.classes)[(probability > 0.5).astype(int)]
        return Predictions(labels, probability, leakage)


def load_model(path: Path | str, warn: Callable[[str], object] | None = None) -> Predictor:
    """Load a model folder written by `fockjax train`.

    Args:
        path: the folder.
        warn: called with a message if the newest checkpoint is damaged and the one before it is
            used, or if the training is not finished; default `warnings.warn`.

    Returns:
        A `Predictor` with the weights of the best epoch.

    Raises:
        UserError: not a model folder, or one that cannot be used.

    Example:
        >>> predictor = load_model("runs/breast_cancer")  # doctest: +SKIP
        >>> predictor(features).probability               # doctest: +SKIP
    """
    path = Path(path)
    warn = warn or (lambda message: warnings.warn(message, RuntimeWarning, stacklevel=3))
    description = folder.read_config(path)
    if "scaler" not in description:
        raise UserError(
            f"{path} is a cross-validation: name one of its folds, as {path / 'fold_0'}"
        )
    try:
        identity = description["identity"]
        names = {field.name for field in dataclasses.fields(TrainConfig)}
        config = TrainConfig(**{key: value for key, value in identity.items() if key in names})
        data, scaler = description["data"], Scaler.from_json(description["scaler"])
        columns = len(data["columns"])
        model = nnx.eval_shape(lambda: build_model(columns, config))
        predictor_data = {key: data[key] for key in ("columns", "target", "classes")}
    except (KeyError, TypeError) as error:
        raise UserError(f"{path / folder.CONFIG} is incomplete: {error!r}") from None
    stored = checkpoint.latest(path / folder.CHECKPOINTS, warn)
    if stored is None:
        raise UserError(f"{path} has no checkpoint yet: let `fockjax train --resume` finish it")
    if stored[0] != identity_hash(identity):
        raise UserError(f"the checkpoints in {path} do not belong to its {folder.CONFIG}")
    if not (path / folder.RESULTS).exists():
        warn(f"the training in {path} is not finished: using its best weights so far")
    params = nnx.state(model, nnx.Param)
    best = checkpoint.restore(params, stored[1], prefix=".best_params")
    nnx.update(model, jax.tree.map(jnp.asarray, best))
    return Predictor(model, config, predictor_data, scaler)


def predict(
    model: Path,
    data: Path,
    out: Path,
    *,
    skip_bad: bool = False,
    batch_size: int | None = None,
    console: Console | None = None,
) -> int:
    """Run a trained model over a file; `out` appears complete or not at all.

    Args:
        model: model folder.
        data: .csv with a header that names at least the model's features, in any order (others,
            as the target, are ignored); or .npy, a real (rows, features) array in their order.
        out: .csv, or .npy for a structured array; columns prediction, probability of the second
            class (classification only) and leakage.
        skip_bad: leave the results of unusable rows empty instead of refusing the file.
        batch_size: rows per call of the model; by default as fits in memory, at most 1024.
        console: where to report.

    Returns:
        The number of rows.

    Raises:
        UserError: a file that cannot be used, or unusable rows, listed by number.
    """
    console = console or Console()
    data, out = Path(data), Path(out)
    if batch_size is not None and batch_size < 1:
        raise UserError(f"--batch-size must be at least 1, got {batch_size}")
    if out.suffix.lower() not in SUFFIXES:
        raise UserError(f"the output must end in .csv or .npy, got {out}")
    if out.exists() and data.exists() and out.samefile(data):
        raise UserError(f"the output {out} would replace the data it is made from")
    predictor = load_model(model, lambda text: console.print(f"[yellow]warning:[/] {text}"))
    batch_size = batch_size or comfortable_batch(predictor.config)
    chunks, total = _open(data, predictor.columns)
    out.parent.mkdir(parents=True, exist_ok=True)

    began, rows, leakages = time.perf_counter(), 0, []
    bad: list[str] = []
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(_progress(console))
        shown = progress.add_task("predicting", total=total)
        write = stack.enter_context(_writer(out, predictor.classes))
        for chunk in chunks:
            usable = predictor.usable(chunk.values)
            # Rows that cannot be used are run as the mean row: others must not feel them.
            values = np.where(usable[:, None], chunk.values, predictor.scaler.mean)
            result = predictor.predict_usable(values, batch_size)
            finite = np.isfinite(result.leakage) & np.isfinite(_number(result))
            bad += _describe_bad(chunk, rows, usable, finite)
            write(result, usable & finite)
            leakages.append(result.leakage[usable & finite])
            rows += len(usable)
            progress.update(shown, completed=rows)
        if rows == 0:
            raise UserError(f"{data} has no rows")
        if bad and not skip_bad:
            raise UserError(
                f"{data}: {_listed(bad)}. Nothing was written; --skip-bad leaves such rows empty"
            )
    seconds = time.perf_counter() - began
    console.print(f"{rows:,} rows in {seconds:.1f} s -> {out}", soft_wrap=True)
    if bad:
        console.print(f"[yellow]left empty:[/] {_listed(bad)}", soft_wrap=True)
    leakage = np.concatenate(leakages)
    if leakage.size:
        console.print(f"leakage: mean {max(leakage.mean(), 0):.2%}, most {leakage.max():.2%}")
    if (leakage > NOTABLE_LEAKAGE).any():
        console.print(
            f"[yellow]warning:[/] {(leakage > NOTABLE_LEAKAGE).sum()} rows lose more than "
            f"{NOTABLE_LEAKAGE:.0%} to the cutoff {predictor.config.cutoff}; see column leakage"
        )
    if predictor.classes is not None:
        console.print(f"probability is that of {predictor.target} = {predictor.classes[1]!r}")
    return rows


def _open(data: Path, columns: tuple[str, ...]) -> tuple[Iterator[Chunk], int | None]:
    """Chunks of a file's rows, and their number where it is known beforehand."""
    if data.suffix.lower() == ".npy":
        return _npy_chunks(data, columns)
    if data.suffix.lower() != ".csv":
        raise UserError(f"the data must end in .csv or .npy, got {data}")
    missing = [name for name in columns if name not in read_header(data)]
    if missing:
        names = ", ".join(map(repr, missing))
        raise UserError(f"{data} lacks {len(missing)} of the model's columns: {names}")
    return read_chunks(data, columns), None


def _npy_chunks(data: Path, columns: tuple[str, ...]) -> tuple[Iterator[Chunk], int]:
    try:
        array = np.load(data, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise UserError(f"{data} does not exist") from None
    except (ValueError, EOFError, OSError) as error:
        raise UserError(f"{data} cannot be read: {error}") from None
    if array.ndim != 2 or array.shape[1] != len(columns) or array.dtype.kind not in "fiub":
        raise UserError(
            f"{data} must hold real numbers of shape (rows, {len(columns)}), the columns in the "
            f"order of the training data; it holds {array.dtype} of shape {array.shape}"
        )

    def chunks() -> Iterator[Chunk]:
        for start in range(0, len(array), CHUNK_ROWS):
            values = np.asarray(array[start : start + CHUNK_ROWS], np.float64)
            problems = [
                Problem(start + int(row) + 1, None, columns[column], f"{values[row, column]}")
                for row, column in np.argwhere(~np.isfinite(values))
            ]
            yield Chunk(values, [], [], problems)

    return chunks(), len(array)


def _describe_bad(chunk: Chunk, start: int, usable: np.ndarray, finite: np.ndarray) -> list[str]:
    """One line for each row that cannot be used: its first problem."""
    first: dict[int, str] = {}
    for problem in chunk.problems:
        first.setdefault(problem.row, str(problem))
    for offset in np.flatnonzero(~(usable & finite)):
        row = start + int(offset) + 1
        place = f"row {row} (line {chunk.lines[offset]})" if chunk.lines else f"row {row}"
        what = "the result is not finite" if usable[offset] else "a value is too large"
        first.setdefault(row, f"{place}: {what}")
    return [first[row] for row in sorted(first)]


def _listed(bad: list[str]) -> str:
    shown, more = "; ".join(bad[:SHOWN_PROBLEMS]), len(bad) - SHOWN_PROBLEMS
    return shown + (f"; and {more} more rows" if more > 0 else "")


def _number(result: Predictions) -> np.ndarray:
    return result.prediction if result.probability is None else result.probability


@contextlib.contextmanager
def _writer(
    out: Path, classes: tuple | None
) -> Iterator[Callable[[Predictions, np.ndarray], None]]:
    """A function that takes results chunk by chunk; the file appears when the block ends well."""
    columns = ["prediction", "leakage"] if classes is None else list(COLUMNS)
    if out.suffix.lower() == ".csv":
        with atomic_writer(out, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(columns)

            def write_rows(result: Predictions, usable: np.ndarray) -> None:
                cells = zip(*(getattr(result, name).tolist() for name in columns), strict=True)
                empty = [""] * len(columns)
                writer.writerows(
                    row if good else empty for row, good in zip(cells, usable, strict=True)
                )

            yield write_rows
        return

    label = "f8"
    if classes is not None and isinstance(classes[0], str):
        label = f"U{max(map(len, classes))}"
    parts: list[np.ndarray] = []

    def keep(result: Predictions, usable: np.ndarray) -> None:
        kinds = [(name, label if name == "prediction" else "f8") for name in columns]
        part = np.empty(len(usable), kinds)
        for name in columns:
            part[name] = getattr(result, name)
            part[name][~usable] = "" if part[name].dtype.kind == "U" else np.nan
        parts.append(part)

    with atomic_writer(out) as file:
        yield keep
        np.save(file, np.concatenate(parts), allow_pickle=False)


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,} rows"),
        TimeElapsedColumn(),
        console=console,
    )
