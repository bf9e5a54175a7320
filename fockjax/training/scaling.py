"""From the columns of a data set to the inputs of a model: filling, indicators, standardisation."""

import dataclasses

import numpy as np

from fockjax._advice import UserError
from fockjax.training.config import Imputation
from fockjax.training.data import Dataset


@dataclasses.dataclass(frozen=True)
class Scaler:
    """Maps the columns to the inputs of a model, as fitted on the training rows.

    Missing values are filled. Numbers become (value - mean) / scale, and a column of categories one
    input per category, 1 or 0. For classification the target is left alone (mean 0, scale 1).
    """

    mean: np.ndarray  # (columns,)
    scale: np.ndarray  # (columns,)
    target_mean: float
    target_scale: float
    categories: np.ndarray  # (columns,) how many there are; 0 for numbers
    fill: np.ndarray | None = None  # (columns,) for missing values; None: they are refused

    @classmethod
    def fit(
        cls, dataset: Dataset, rows: np.ndarray | slice, impute: Imputation | None = None
    ) -> "Scaler":
        """The scaler of a data set, fitted on some of its rows."""
        features, target = dataset.features[rows], dataset.target[rows]
        counts = np.array([len(dataset.categories.get(name, ())) for name in dataset.columns])
        fill = None
        if impute is not None:
            hows = np.where(counts > 0, "most-frequent", impute)
            fill = np.array([_typical(*each) for each in zip(features.T, hows, strict=True)])
            features = np.where(np.isnan(features), fill, features)
        mean, scale = _moments(features)
        mean, scale = np.where(counts, 0.0, mean), np.where(counts, 1.0, scale)
        if dataset.task == "classification":
            return cls(mean, scale, 0.0, 1.0, counts, fill)
        centre, spread = _moments(target)
        return cls(mean, scale, float(centre), float(spread), counts, fill)

    @property
    def inputs(self) -> int:
        """How many inputs the model has: one for each column of numbers and each category."""
        return int(np.maximum(self.categories, 1).sum())

    def features(self, values: np.ndarray) -> np.ndarray:
        """Inputs of the model, float32, (rows, inputs); not finite where the row is unusable."""
        if self.fill is not None:
            values = np.where(np.isnan(values), self.fill, values)
        with np.errstate(over="ignore"):  # the caller reports rows that overflow
            scaled = ((values - self.mean) / self.scale).astype(np.float32)
        if not self.categories.any():
            return scaled
        return np.concatenate(
            [
                _indicators(column, count) if count else column[:, None]
                for column, count in zip(scaled.T, self.categories, strict=True)
            ],
            axis=1,
        )

    def target(self, values: np.ndarray) -> np.ndarray:
        """Standardised target, float64, (rows,)."""
        return (values - self.target_mean) / self.target_scale

    def target_in_units(self, standardised: np.ndarray) -> np.ndarray:
        """Undoes `target`, float64."""
        return standardised.astype(np.float64) * self.target_scale + self.target_mean

    def to_json(self) -> dict[str, object]:
        return {
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "target_mean": self.target_mean,
            "target_scale": self.target_scale,
            "categories": self.categories.tolist(),
            "fill": None if self.fill is None else self.fill.tolist(),
        }

    @classmethod
    def from_json(cls, value: dict) -> "Scaler":
        mean, scale = (np.asarray(value[name], np.float64) for name in ("mean", "scale"))
        fill = None if value["fill"] is None else np.asarray(value["fill"], np.float64)
        categories = np.asarray(value["categories"], int)
        target = float(value["target_mean"]), float(value["target_scale"])
        return cls(mean, scale, *target, categories, fill)


def check_scaled(dataset: Dataset, scaler: Scaler) -> None:
    """Raise UserError for a row that is not finite in single precision once it is standardised."""
    largest = np.finfo(np.float32).max
    with np.errstate(over="ignore", invalid="ignore"):
        features = abs((dataset.features - scaler.mean) / scaler.scale) > largest
    target = abs(scaler.target(dataset.target)) > largest
    for names, far in ((dataset.columns, features), ((dataset.target_name,), target[:, None])):
        if far.any():
            row, column = np.argwhere(far)[0]
            raise UserError(
                f"row {row + 1} of {dataset.name}: its {names[column]!r} is too far from those of "
                "the training rows to standardise: leave it out, or give the column on another "
                "scale, such as its logarithm"
            )


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation along the first axis; where all values are equal, these and 1.

    They are taken of the differences from the first value, which are exact where values agree in
    most of their digits, as time stamps do. The sum of the values themselves would be rounded by
    more than they differ. The mean is the nearest float64, so it is off by at most one standard
    deviation even if the values differ in their last bit only.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        apart = values - values[0]
        mean, scale = values[0] + apart.mean(axis=0), apart.std(axis=0)
    return mean, np.where(scale == 0, 1.0, scale)


def _typical(values: np.ndarray, how: str) -> float:
    known = values[~np.isnan(values)]
    if how == "mean":
        return float(_moments(known)[0])
    if how == "median":
        return float(np.median(known))
    distinct, counts = np.unique(known, return_counts=True)
    return float(distinct[counts.argmax()])


def _indicators(codes: np.ndarray, count: int) -> np.ndarray:
    """(rows,) -> (rows, count): 1 at the code, else 0; NaN in rows whose code is not a category."""
    hits = codes[:, None] == np.arange(count, dtype=codes.dtype)
    return np.where(hits.any(axis=1, keepdims=True), hits, np.nan).astype(np.float32)
