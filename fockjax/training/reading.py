"""Reads a file as a data set: finds categories and the task, and reports what cannot be used."""

from pathlib import Path

import numpy as np

from fockjax._advice import UserError
from fockjax.training.config import TrainConfig
from fockjax.training.data import MINIMUM_ROWS, Dataset, breast_cancer
from fockjax.training.tables import (
    Problem,
    as_text,
    encode,
    is_missing,
    missing_reason,
    open_table,
    plain,
    quoted,
    survey,
)

SHOWN_PROBLEMS = 10


def load_dataset(config: TrainConfig) -> Dataset:
    """The data of a run: the user's file, or the bundled breast-cancer data."""
    if config.data is None:
        if config.task == "regression":
            raise UserError("--task regression needs --data: the bundled data are for two classes")
        return breast_cancer()
    assert config.target is not None  # TrainConfig.check
    return read_table(
        config.data,
        config.target,
        drop=config.drop,
        task=config.task,
        categorical=config.categorical,
        missing_allowed=config.impute is not None,
    )


def read_table(
    path: Path,
    target: str,
    *,
    drop: tuple[str, ...] = (),
    task: str = "auto",
    categorical: tuple[str, ...] = (),
    missing_allowed: bool = False,
) -> Dataset:
    """Read a CSV or Parquet file of numbers and categories.

    Args:
        path: .parquet, or CSV (UTF-8, comma separated, first line the column names).
        target: column to predict; all the others are features.
        drop: columns to leave out.
        task: "classification", "regression", or "auto": classification when the target is text
            or has exactly two distinct values.
        categorical: columns of numbers that are categories, as columns of text always are.
        missing_allowed: read a missing feature as NaN instead of raising an error.
    """
    table = open_table(Path(path), otherwise=".csv")
    path, header = table.path, table.names
    if header is None:
        raise UserError(f"{path} has no column names: training needs a CSV or Parquet file")
    for name in (target, *drop, *categorical):
        if name not in header:
            hint = "" if len(header) > 1 else " (one column only: are the fields comma-separated?)"
            raise UserError(
                f"{path} has no column {name!r}; its columns are: {', '.join(header)}{hint}"
            )
    if target in drop:
        raise UserError(f"the target {target!r} is also named by --drop")
    names = tuple(name for name in header if name not in (target, *drop))
    if not names:
        raise UserError(f"{path} has no feature columns beside {target!r}")
    if strangers := [name for name in categorical if name not in names]:
        raise UserError(f"--categorical names {strangers[0]!r}, which is not a feature")

    columns = survey(table, names, categorical)
    values, labels, places, problems = [], [], [], []
    for raw in table.chunks((*names, target)):
        chunk = encode(raw, columns, missing_allowed)
        texts = as_text(raw.fields[target])
        here = [raw.place(offset) for offset in range(raw.count)]
        problems += chunk.problems
        misshapen = {problem.row for problem in raw.problems}
        problems += [
            Problem(row, line, target, missing_reason(text))
            for text, (row, line) in zip(texts, here, strict=True)
            if is_missing(text) and row not in misshapen
        ]
        values.append(chunk.values)
        labels += texts
        places += here
    raise_problems(path, sorted(problems, key=lambda problem: problem.row))
    if len(labels) < MINIMUM_ROWS:
        raise UserError(f"{path} has {len(labels)} rows; at least {MINIMUM_ROWS} are needed")
    numbers, classes = _read_target(path, target, labels, places, task)
    return Dataset(
        path.stem,
        np.concatenate(values),
        numbers,
        names,
        target,
        classes,
        {each.name: each.categories for each in columns if each.categories is not None},
    )


def raise_problems(path: Path, problems: list[Problem]) -> None:
    """Raise UserError with the first unusable fields, if there are any."""
    if problems:
        shown = "; ".join(str(problem) for problem in problems[:SHOWN_PROBLEMS])
        more = len(problems) - SHOWN_PROBLEMS
        raise UserError(f"{path}: {shown}" + (f"; and {more} more" if more > 0 else ""))


def _read_target(
    path: Path, name: str, labels: list[str], places: list[tuple[int, int | None]], task: str
) -> tuple[np.ndarray, tuple[str | int | float, ...] | None]:
    """The values and classes of the target column, which decide the task if it is "auto"."""
    try:
        numbers = np.array(labels, dtype=np.float64)
        usable = np.isfinite(numbers)
    except ValueError:
        numbers, usable = None, np.array([_is_finite(label) for label in labels])
    if task == "regression" or numbers is not None:
        problems = [
            Problem(*places[at], name, f"{quoted(labels[at])} is not a finite number")
            for at in np.flatnonzero(~usable)
        ]
        raise_problems(path, problems)
    if numbers is None:
        found, index = np.unique(np.array(labels), return_inverse=True)
        classes = tuple(str(label) for label in found)
    else:
        found, index = np.unique(numbers, return_inverse=True)
        if task == "regression" or (task == "auto" and len(found) != 2):
            return numbers, None
        classes = tuple(plain(label) for label in found.tolist())
    if len(classes) < 2:
        raise UserError(
            f"{path}: classification needs a target with at least two distinct values, but column "
            f"{name!r} has {len(classes)} ({', '.join(map(str, classes))})"
        )
    return index.astype(np.float64), classes


def _is_finite(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False
