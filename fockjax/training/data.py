"""Data sets and how they are split. Everything here is NumPy on the host."""

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np

from fockjax._advice import UserError
from fockjax.training.config import TrainConfig

Task = Literal["classification", "regression"]
MINIMUM_ROWS = 20
MINIMUM_PER_CLASS = 5
LARGEST_TARGET = 1e100  # squares of errors, some larger than any target, are added up
LARGEST_LABEL = 2**53  # the integers below it are exact in any format


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A table of features with a target.

    Real numbers of any type become float64, and labels and names plain Python.

    Attributes:
        name: short name, used for the model folder.
        features: float64 (rows, columns). A column of categories holds the index of the category.
            NaN is a missing value, which must be imputed.
        target: float64 (rows,): the class index from 0, or the value to predict.
        columns: names of the features.
        target_name: name of the target.
        classes: the labels, at least two; of two, the second is the "positive" one. None for
            regression.
        categories: for each column of categories, by name, these.

    Raises:
        UserError: if shapes differ, a target is not finite or not one of the classes, a name,
            label or category is not what it must be or is there twice, or `categories` names no
            column.

    Example:
        >>> import numpy as np
        >>> from fockjax.training import Dataset
        >>> x, kind = np.random.default_rng(0).normal(size=(60, 2)), np.arange(60) % 3 + 5
        >>> labels, indices = np.unique(kind, return_inverse=True)
        >>> Dataset("made", x, indices, ("a", "b"), "kind", labels).classes
        (5, 6, 7)
    """

    name: str
    features: np.ndarray
    target: np.ndarray
    columns: tuple[str, ...]
    target_name: str
    classes: tuple[str | int | float, ...] | None
    categories: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        for name in ("name", "target_name"):
            (text,) = self._texts(name, [getattr(self, name)])
            self._set(name, text)
        for name in ("features", "target"):
            self._set(name, self._numbers(name))
        self._set("columns", self._texts("columns", self.columns))
        if self.classes is not None:
            self._set("classes", self._labels(self.classes))
        categories = {
            name: self._texts(f"categories[{name!r}]", self.categories[name])
            for name in self._texts("categories", self.categories)
        }
        if strangers := [name for name in categories if name not in self.columns]:
            raise UserError(
                f"{self.name}: `categories` names {strangers[0]!r}, which is not among the "
                f"columns: {', '.join(self.columns)}"
            )
        if empty := [name for name, each in categories.items() if not each]:
            raise UserError(f"{self.name}: `categories[{empty[0]!r}]` must not be empty")
        self._set("categories", categories)
        shapes = self.features.shape, self.target.shape
        rows = shapes[0][0] if shapes[0] else 0
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

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _numbers(self, name: str) -> np.ndarray:
        """`features` or `target` as float64."""
        try:
            array = np.asarray(getattr(self, name))
        except ValueError:  # rows of different lengths
            raise UserError(
                f"{self.name}: `{name}` must be an array of numbers, got rows of different lengths"
            ) from None
        if array.dtype.kind not in "biuf":
            raise UserError(
                f"{self.name}: `{name}` must be an array of real numbers, got {array.dtype}: give "
                "float64, where a category or class is its index and a missing value NaN"
            )
        return np.asarray(array, np.float64)

    def _texts(self, name: str, texts: Iterable[Any]) -> tuple[str, ...]:
        """Names or categories as plain text, all different."""
        if isinstance(texts, str) or not isinstance(texts, Iterable):
            raise UserError(f"{self.name}: `{name}` must be a tuple of text, got {texts!r}")
        found = tuple(texts)
        for text in found:
            if not (isinstance(text, str) and text):
                raise UserError(f"{self.name}: `{name}` must be text, not empty, got {text!r}")
        self._check_different(name, found)
        return tuple(map(str, found))

    def _labels(self, classes: Iterable[Any]) -> tuple[str | int | float, ...]:
        """Labels as plain Python, all different and at least two."""
        if isinstance(classes, str) or not isinstance(classes, Iterable):
            raise UserError(f"{self.name}: `classes` must be a tuple of labels, got {classes!r}")
        labels = tuple(each.item() if isinstance(each, np.generic) else each for each in classes)
        for label in labels:
            text = isinstance(label, str) and label
            whole = isinstance(label, int) and abs(label) < LARGEST_LABEL
            number = isinstance(label, float) and np.isfinite(label)
            if not (text or whole or number):
                raise UserError(
                    f"{self.name}: `classes` must be text, not empty, or finite numbers (integers "
                    f"below 2^53), got {label!r}"
                )
        self._check_different("classes", labels)
        if len(labels) < 2:
            raise UserError(
                f"{self.name}: `classes` must be two or more, or None for a regression, got "
                f"{labels!r}"
            )
        return labels

    def _check_different(self, name: str, values: tuple) -> None:
        """Raise UserError if two of `values` print alike, as names of columns would then."""
        counts = Counter(map(str, values))
        if twice := [text for text, count in counts.items() if count > 1]:
            raise UserError(f"{self.name}: `{name}` has {twice[0]!r} more than once")

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
    if not (extent(features) > 0).any():
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


def extent(features: np.ndarray) -> np.ndarray:
    """Largest minus smallest value of each column, ignoring missing ones."""
    return np.nanmax(features, axis=0) - np.nanmin(features, axis=0)
