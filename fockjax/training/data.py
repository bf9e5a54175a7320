"""Data sets and how they are split. Everything here is NumPy on the host."""

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from fockjax._advice import UserError
from fockjax.training.config import TrainConfig

Task = Literal["classification", "regression"]
MINIMUM_ROWS = 20
MINIMUM_PER_CLASS = 5
LARGEST_TARGET = 1e100  # squares of errors, some larger than any target, are added up


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A table of features with a target.

    Attributes:
        name: short name, used for the model folder.
        features: float64 (rows, columns). A column of categories holds the index of the category.
            NaN is a missing value, which must be imputed.
        target: float64 (rows,): the class index from 0, or the value to predict.
        columns: names of the features.
        target_name: name of the target.
        classes: the labels; of two, the second is the "positive" one. None for regression.
        categories: for each column of categories, by name, these.

    Raises:
        UserError: if shapes differ, or a target is not finite or not one of the classes.
    """

    name: str
    features: np.ndarray
    target: np.ndarray
    columns: tuple[str, ...]
    target_name: str
    classes: tuple[str | int | float, ...] | None
    categories: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        shapes = np.shape(self.features), np.shape(self.target)
        rows = len(self.features)
        if shapes != ((rows, len(self.columns)), (rows,)):
            raise UserError(
                f"{self.name}: the features must have shape (rows, {len(self.columns)}), a column "
                f"for each name, and the target (rows,), got {shapes[0]} and {shapes[1]}"
            )
        if not np.all(np.isfinite(self.target)):
            raise UserError(f"{self.name}: the target must be finite")
        if self.classes is not None and not np.isin(self.target, range(len(self.classes))).all():
            raise UserError(
                f"{self.name}: the target must be indices, from 0, of the {len(self.classes)} "
                "classes (None for a regression)"
            )

    @property
    def task(self) -> Task:
        return "regression" if self.classes is None else "classification"

    @property
    def outputs(self) -> int:
        """How many numbers a model must return for a row; see `outputs`."""
        return outputs(self.classes)

    def fingerprint(self) -> str:
        """SHA-256 of the numbers and names, so that a run can be resumed only on the same data."""
        names = (self.columns, self.target_name, self.classes, sorted(self.categories.items()))
        digest = hashlib.sha256(repr(names).encode())
        digest.update(np.ascontiguousarray(self.features).tobytes())
        digest.update(np.ascontiguousarray(self.target).tobytes())
        return digest.hexdigest()


@dataclasses.dataclass(frozen=True)
class Split:
    """Row numbers of the three disjoint parts."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def outputs(classes: tuple | None) -> int:
    """How many numbers a model must return for a row.

    1 for regression and for two classes (a logit); of more classes a logit for each.
    """
    return 1 if classes is None or len(classes) == 2 else len(classes)


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


def make_splits(dataset: Dataset, config: TrainConfig) -> list[Split]:
    """One split, or one per fold; stratified by class for classification.

    With folds, every row is in the test part of exactly one.
    """
    from sklearn.model_selection import KFold, StratifiedKFold, train_test_split

    labels = dataset.target if dataset.task == "classification" else None
    _check_dataset(dataset, config)
    rows = np.arange(len(dataset.target))

    def cut(rows: np.ndarray, option: str, fraction: float) -> tuple[np.ndarray, np.ndarray]:
        refusal = f"{len(rows)} rows cannot be split by {option} {fraction}"
        stratify = None if labels is None else labels[rows]
        try:
            kept, held_out = train_test_split(
                rows, test_size=fraction, random_state=config.seed, stratify=stratify
            )
        except ValueError:
            raise UserError(f"{refusal}: a part would have too few rows") from None
        for part, where in ((held_out, "there"), (kept, "left to train on")):
            if labels is not None and len(np.unique(labels[part])) < len(np.unique(labels)):
                raise UserError(f"{refusal}: a class would have no row {where}")
            if len(part) < 2:  # R^2 of one row means nothing
                raise UserError(f"{refusal}: one row alone would be {where}")
        return np.sort(kept), np.sort(held_out)

    if config.folds == 1:
        parts = [cut(rows, "--test-fraction", config.test_fraction)]
    else:
        kind = KFold if labels is None else StratifiedKFold
        folds = kind(config.folds, shuffle=True, random_state=config.seed)
        parts = list(folds.split(rows, labels))
    splits = []
    for rest, test in parts:
        train, validation = cut(rest, "--validation-fraction", config.validation_fraction)
        splits.append(Split(train, validation, test))
        _check_not_all_missing(dataset, train, "training row")
    return splits


def _check_dataset(dataset: Dataset, config: TrainConfig) -> None:
    """Raise UserError for data that cannot be trained on."""
    if len(dataset.target) < MINIMUM_ROWS:
        raise UserError(
            f"{dataset.name} has {len(dataset.target)} rows; at least {MINIMUM_ROWS} are needed"
        )
    features = dataset.features
    usable = np.isfinite(features)
    if config.impute is not None:
        usable |= np.isnan(features)
    if not (usable.all() and np.isfinite(dataset.target).all()):
        raise UserError(f"{dataset.name} has values that are not finite")
    _check_not_all_missing(dataset, slice(None), "row")
    for name, categories in dataset.categories.items():
        codes = features[:, dataset.columns.index(name)]
        if not np.isin(codes[~np.isnan(codes)], np.arange(len(categories))).all():
            raise UserError(
                f"column {name!r} must hold indices of its {len(categories)} categories"
            )
    if not (spread(features) > 0).any():
        raise UserError(f"every feature of {dataset.name} is constant: nothing can be learned")
    with np.errstate(over="ignore", invalid="ignore"):
        large = ~np.isfinite(np.nanstd(features, axis=0))
    if large.any():
        names = ", ".join(dataset.columns[i] for i in np.flatnonzero(large))
        raise UserError(f"values too large to standardise in: {names}")
    if dataset.classes is None:
        if float(np.abs(dataset.target).max()) > LARGEST_TARGET:
            raise UserError(
                f"the target {dataset.target_name!r} has values beyond {LARGEST_TARGET:g}, too "
                "large to standardise: give it in larger units"
            )
        if np.ptp(dataset.target) == 0:
            raise UserError(f"the target {dataset.target_name!r} is constant: nothing to learn")
        if 2 * config.folds > len(dataset.target):
            raise UserError(
                f"--folds {config.folds} is more than half of the {len(dataset.target)} rows: a "
                "fold needs two to test"
            )
        return
    needed = max(MINIMUM_PER_CLASS, config.folds)
    for index, label in enumerate(dataset.classes):
        count = int((dataset.target == index).sum())
        if count < needed:
            raise UserError(
                f"class {label!r} of {dataset.target_name!r} has {count} of the rows; at least "
                f"{needed} are needed in each class to train, stop early and test"
            )


def _check_not_all_missing(dataset: Dataset, rows: slice | np.ndarray, what: str) -> None:
    unknown = np.isnan(dataset.features[rows]).all(axis=0)
    if unknown.any():
        names = ", ".join(dataset.columns[i] for i in np.flatnonzero(unknown))
        raise UserError(f"no {what} has a value in: {names}; leave out such columns with --drop")


def spread(features: np.ndarray) -> np.ndarray:
    """Largest minus smallest value of each column, ignoring missing ones."""
    return np.nanmax(features, axis=0) - np.nanmin(features, axis=0)
