"""Data sets, honest splits and standardisation; everything here is NumPy on the host."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fockjax.training.config import TrainConfig
from fockjax.training.csvfile import Problem, read_chunks, read_header
from fockjax.training.errors import UserError

Task = Literal["classification", "regression"]
MINIMUM_ROWS = 20
MINIMUM_PER_CLASS = 5
SHOWN_PROBLEMS = 10


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Finite numbers and what they are called.

    Attributes:
        name: short name, used for the model folder.
        features: float64 (rows, columns).
        target: float64 (rows,): the class index (0 or 1), or the value to predict.
        columns: names of the features.
        target_name: name of the target.
        classes: the two labels, the second being "positive"; None for regression.
    """

    name: str
    features: np.ndarray
    target: np.ndarray
    columns: tuple[str, ...]
    target_name: str
    classes: tuple[str | int | float, str | int | float] | None

    @property
    def task(self) -> Task:
        return "regression" if self.classes is None else "classification"

    def fingerprint(self) -> str:
        """SHA-256 of the numbers and names, so that a run is resumed on the same data only."""
        digest = hashlib.sha256(repr((self.columns, self.target_name, self.classes)).encode())
        digest.update(np.ascontiguousarray(self.features).tobytes())
        digest.update(np.ascontiguousarray(self.target).tobytes())
        return digest.hexdigest()


@dataclasses.dataclass(frozen=True)
class Split:
    """Row numbers of the three disjoint parts."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


@dataclasses.dataclass(frozen=True)
class Scaler:
    """Standardisation fitted on training rows only: (value - mean) / scale.

    For classification the target is left alone (mean 0, scale 1).
    """

    mean: np.ndarray  # (columns,)
    scale: np.ndarray  # (columns,)
    target_mean: float
    target_scale: float

    @classmethod
    def fit(cls, features: np.ndarray, target: np.ndarray, task: Task) -> "Scaler":
        with np.errstate(over="ignore", invalid="ignore"):
            mean, scale = features.mean(axis=0), features.std(axis=0)
        # Rounding gives a constant column a tiny spread; it must not be blown up to 1.
        scale = np.where(scale > 1e-12 * np.maximum(np.abs(mean), 1e-300), scale, 1.0)
        if task == "classification":
            return cls(mean, scale, 0.0, 1.0)
        return cls(mean, scale, float(target.mean()), float(target.std()) or 1.0)

    def features(self, values: np.ndarray) -> np.ndarray:
        """Standardised features, float32, (rows, columns)."""
        with np.errstate(over="ignore"):  # a row this far out is reported by who asked
            return ((values - self.mean) / self.scale).astype(np.float32)

    def target(self, values: np.ndarray) -> np.ndarray:
        """Standardised target, float32, (rows,)."""
        return ((values - self.target_mean) / self.target_scale).astype(np.float32)

    def to_json(self) -> dict[str, object]:
        return {
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "target_mean": self.target_mean,
            "target_scale": self.target_scale,
        }

    @classmethod
    def from_json(cls, value: dict) -> "Scaler":
        mean, scale = (np.asarray(value[name], np.float64) for name in ("mean", "scale"))
        return cls(mean, scale, float(value["target_mean"]), float(value["target_scale"]))


def load_dataset(config: TrainConfig) -> Dataset:
    """The data a run is about: the user's CSV file, or the bundled breast-cancer data."""
    if config.data is None:
        dataset = breast_cancer()
        if config.task == "regression":
            raise UserError("--task regression needs --data: the bundled data are for two classes")
    else:
        assert config.target is not None  # TrainConfig.check
        dataset = read_csv(config.data, config.target, drop=config.drop, task=config.task)
    return dataset


def breast_cancer() -> Dataset:
    """The Wisconsin diagnostic breast-cancer data (569 rows, 30 features), from scikit-learn."""
    from sklearn.datasets import load_breast_cancer

    bunch: Any = load_breast_cancer()
    malignant, benign = (str(name) for name in bunch["target_names"])
    return Dataset(
        name="breast_cancer",
        features=np.asarray(bunch["data"], np.float64),
        target=np.asarray(bunch["target"], np.float64),
        columns=tuple(str(name) for name in bunch["feature_names"]),
        target_name="diagnosis",
        classes=(malignant, benign),
    )


def read_csv(path: Path, target: str, *, drop: tuple[str, ...] = (), task: str = "auto") -> Dataset:
    """Read a CSV file whose columns are numbers; a classification target may be text.

    Args:
        path: UTF-8, comma separated, first line the column names.
        target: column to predict; all the others are features.
        drop: columns to leave out.
        task: "classification", "regression", or "auto": classification when the target is text
            or has exactly two distinct values.
    """
    path = Path(path)
    header = read_header(path)
    for name in (target, *drop):
        if name not in header:
            hint = "" if len(header) > 1 else " (one column only: are the fields comma-separated?)"
            raise UserError(
                f"{path} has no column {name!r}; its columns are: {', '.join(header)}{hint}"
            )
    if target in drop:
        raise UserError(f"the target {target!r} is also named by --drop")
    columns = tuple(name for name in header if name not in (target, *drop))
    if not columns:
        raise UserError(f"{path} has no feature columns beside {target!r}")

    chunks = list(read_chunks(path, columns, target))
    raise_problems(path, [problem for chunk in chunks for problem in chunk.problems])
    labels = [text for chunk in chunks for text in chunk.text]
    lines = [line for chunk in chunks for line in chunk.lines]
    if len(labels) < MINIMUM_ROWS:
        raise UserError(f"{path} has {len(labels)} rows; at least {MINIMUM_ROWS} are needed")
    values, classes = _read_target(path, target, labels, lines, task)
    features = np.concatenate([chunk.values for chunk in chunks])
    return Dataset(path.stem, features, values, columns, target, classes)


def raise_problems(path: Path, problems: list[Problem]) -> None:
    """Raise UserError that lists the first unusable fields, if there are any."""
    if problems:
        shown = "; ".join(str(problem) for problem in problems[:SHOWN_PROBLEMS])
        more = len(problems) - SHOWN_PROBLEMS
        raise UserError(f"{path}: {shown}" + (f"; and {more} more" if more > 0 else ""))


def make_splits(dataset: Dataset, config: TrainConfig) -> list[Split]:
    """One split, or one per fold; stratified by class for classification.

    Every row is in the test part of exactly one fold. Train and validation never see it.
    """
    from sklearn.model_selection import KFold, StratifiedKFold, train_test_split

    labels = dataset.target if dataset.task == "classification" else None
    _check_size(dataset, config)
    rows = np.arange(len(dataset.target))

    def cut(rows: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        stratify = None if labels is None else labels[rows]
        try:
            kept, held_out = train_test_split(
                rows, test_size=fraction, random_state=seed, stratify=stratify
            )
        except ValueError as error:  # a fraction that leaves a part without some class
            raise UserError(f"{len(rows)} rows cannot be split by {fraction}: {error}") from None
        return np.sort(kept), np.sort(held_out)

    if config.folds == 1:
        parts = [cut(rows, config.test_fraction, config.seed)]
    else:
        kind = KFold if labels is None else StratifiedKFold
        folds = kind(config.folds, shuffle=True, random_state=config.seed)
        parts = list(folds.split(rows, labels))
    splits = []
    for rest, test in parts:
        train, validation = cut(rest, config.validation_fraction, config.seed)
        splits.append(Split(train, validation, test))
    return splits


def _check_size(dataset: Dataset, config: TrainConfig) -> None:
    if len(dataset.target) < MINIMUM_ROWS:
        raise UserError(
            f"{dataset.name} has {len(dataset.target)} rows; at least {MINIMUM_ROWS} are needed"
        )
    if not (np.isfinite(dataset.features).all() and np.isfinite(dataset.target).all()):
        raise UserError(f"{dataset.name} has values that are not finite")
    spread = np.ptp(dataset.features, axis=0)
    if not (spread > 0).any():
        raise UserError(f"every feature of {dataset.name} is constant: nothing can be learned")
    with np.errstate(over="ignore", invalid="ignore"):
        large = ~np.isfinite(dataset.features.std(axis=0))
    if large.any():
        names = ", ".join(dataset.columns[i] for i in np.flatnonzero(large))
        raise UserError(f"values too large to standardise in: {names}")
    if dataset.classes is None:
        if np.ptp(dataset.target) == 0:
            raise UserError(f"the target {dataset.target_name!r} is constant: nothing to learn")
        if config.folds > len(dataset.target):
            raise UserError(f"--folds {config.folds} is more than the {len(dataset.target)} rows")
        return
    needed = max(MINIMUM_PER_CLASS, config.folds)
    for index, label in enumerate(dataset.classes):
        count = int((dataset.target == index).sum())
        if count < needed:
            raise UserError(
                f"class {label!r} of {dataset.target_name!r} has {count} rows; at least {needed} "
                "are needed in each class to train, stop early and test"
            )


def _read_target(path: Path, name: str, labels: list[str], lines: list[int], task: str):
    """Values and classes of the target column, after deciding on the task."""
    try:
        numbers = np.array(labels, dtype=np.float64)
    except ValueError:
        numbers = None
    if task == "regression" or (task == "auto" and numbers is not None and _distinct(numbers) != 2):
        finite = (
            [_is_finite(label) for label in labels] if numbers is None else np.isfinite(numbers)
        )
        problems = [
            Problem(int(row) + 1, lines[row], name, f"{labels[row]!r} is not a finite number")
            for row in np.flatnonzero(~np.asarray(finite))
        ]
        raise_problems(path, problems)
        assert numbers is not None
        return numbers, None

    found: list[Any] = sorted(set(labels)) if numbers is None else np.unique(numbers).tolist()
    if len(found) != 2:
        shown = ", ".join(map(str, found[:5])) + (", ..." if len(found) > 5 else "")
        advice = "" if numbers is None else "; a number is predicted with --task regression"
        raise UserError(
            f"{path}: classification needs a target with two distinct values, but column {name!r} "
            f"has {len(found)} ({shown}){advice}"
        )
    negative, positive = found
    if numbers is None:
        values = np.array([label == positive for label in labels], np.float64)
        return values, (negative, positive)
    values = (numbers == positive).astype(np.float64)
    return values, (_plain(negative), _plain(positive))


def _distinct(numbers: np.ndarray) -> int:
    return len(np.unique(numbers))


def _is_finite(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def _plain(number: float) -> int | float:
    """2.0 -> 2, so that labels print as they were written."""
    return int(number) if number == int(number) else number
