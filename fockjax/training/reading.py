"""Reads a file as a data set: finds categories and the task, and reports what cannot be used."""

from pathlib import Path

import numpy as np

from fockjax._advice import UserError, first_few
from fockjax.training.config import TrainConfig
from fockjax.training.data import MINIMUM_ROWS, Dataset, breast_cancer
from fockjax.training.tables import (
    Problem,
    as_text,
    encode,
    is_missing,
    labels,
    missing_reason,
    numbers,
    open_table,
    plain,
    quoted,
    survey,
)


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
    values, texts, places, problems = [], [], [], []
    written = False  # whether the target is text in the file, which numbers in it must print as
    for raw in table.chunks((*names, target)):
        chunk = encode(raw, columns, missing_allowed)
        here_text = as_text(raw.fields[target])
        written |= isinstance(raw.fields[target], list)
        here = [raw.place(offset) for offset in range(raw.count)]
        problems += chunk.problems
        misshapen = {problem.row for problem in raw.problems}
        problems += [
            Problem(row, line, target, missing_reason(text))
            for text, (row, line) in zip(here_text, here, strict=True)
            if is_missing(text) and row not in misshapen
        ]
        values.append(chunk.values)
        texts += here_text
        places += here
    raise_problems(path, sorted(problems, key=lambda problem: problem.row))
    if len(texts) < MINIMUM_ROWS:
        raise UserError(f"{path} has {len(texts)} rows; at least {MINIMUM_ROWS} are needed")
    numbers, classes = _read_target(path, target, texts, places, task, written)
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
        raise UserError(f"{path}: {first_few(problems, between='; ')}")


def _read_target(
    path: Path,
    name: str,
    texts: list[str],
    places: list[tuple[int, int | None]],
    task: str,
    written: bool,
) -> tuple[np.ndarray, tuple[str | int | float, ...] | None]:
    """The values and classes of the target column, which decide the task if it is "auto"."""
    values = numbers(texts)
    numeric = not np.isnan(values).any()
    if task == "regression" or numeric:
        problems = [
            Problem(*places[at], name, f"{quoted(texts[at])} is not a finite number")
            for at in np.flatnonzero(~np.isfinite(values))
        ]
        raise_problems(path, problems)
        if task == "regression" or (task == "auto" and len(np.unique(values)) > 2):
            return values, None
    meaning = labels(set(texts))
    found = set(meaning.values())
    if not numeric:
        ordered = sorted(found)
    else:
        if task == "auto" and len(found) != 2:
            return values, None
        ordered = sorted(found, key=lambda label: (_value(label), label))
    if len(ordered) < 2:
        raise UserError(
            f"{path}: classification needs a target with at least two distinct values, but column "
            f"{name!r} has {len(ordered)} ({', '.join(ordered)})"
        )
    position = {label: float(index) for index, label in enumerate(ordered)}
    if not numeric:
        classes = tuple(ordered)
    elif not written:
        classes = tuple(plain(float(label)) for label in ordered)
    else:
        classes = _as_written(ordered, meaning)
    return np.array([position[meaning[text]] for text in texts]), classes


def _as_written(ordered: list[str], meaning: dict[str, str]) -> tuple[str | int | float, ...]:
    """Labels as they are written in the file, or if in several ways, as their meaning.

    They are numbers if all print so as integers, or as floats, and any format holds them exactly.
    """
    ways: dict[str, list[str]] = {}
    for text, label in meaning.items():
        ways.setdefault(label, []).append(text)
    words = [ways[label][0] if len(ways[label]) == 1 else label for label in ordered]
    values = [_value(word) for word in words]
    same = len(set(map(type, values))) == 1 and list(map(repr, values)) == words
    exact = all(isinstance(value, float) or abs(value) < 2**53 for value in values)
    return tuple(values) if same and exact else tuple(words)


def _value(text: str) -> int | float:
    """The number that a text is, exactly if it is an integer."""
    try:
        return int(text)
    except ValueError:
        return float(text)
