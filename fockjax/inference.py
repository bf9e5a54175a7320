"""Batched inference: a trained model as a function of rows."""

import dataclasses
import hashlib
import json
import warnings
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from fockjax.runtime import Checked, Runner, functional
from fockjax.training import checkpoint, folder
from fockjax.training.config import TrainConfig, identity_hash
from fockjax.training.data import outputs
from fockjax.training.errors import UserError
from fockjax.training.metrics import decide
from fockjax.training.model import HybridModel, build_model, comfortable_batch
from fockjax.training.reading import SHOWN_PROBLEMS
from fockjax.training.scaling import Scaler
from fockjax.training.tables import Column


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Results in the order of the rows.

    Attributes:
        prediction: class label, or value in the units of the training target; (rows,).
        probability: of two classes, that of the second (rows,); of more, that of each
            (rows, classes); None for regression.
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
        columns: the features in the order expected, each with its name and, if it is not of
            numbers, its categories.
        target: name of what is predicted.
        classes: the labels, or None for regression.
        scaler: raw features to what the module takes, and back for a regression target.
        fingerprint: SHA-256 of all that decides its answers.
    """

    def __init__(
        self, model: HybridModel, config: TrainConfig, data: dict, scaler: Scaler, fingerprint: str
    ):
        self.model, self.config, self.scaler = model, config, scaler
        self.fingerprint = fingerprint
        categories = data["categories"]
        self.columns = tuple(
            Column(name, tuple(categories[name]) if name in categories else None)
            for name in data["columns"]
        )
        self.target: str = data["target"]
        self.classes: tuple | None = None if data["classes"] is None else tuple(data["classes"])
        self._function, self._params = functional(model)
        self._runners: dict[int, Runner] = {}

    def __call__(self, features: np.ndarray, batch_size: int | None = None) -> Predictions:
        """Predict for `features` (rows, columns), raw, in the order of `columns`.

        Of a column of categories they hold the index of the category. They are finite; where the
        model was trained with `impute`, NaN is a missing value.
        """
        batch_size = batch_size or comfortable_batch(self.config)
        features = np.asarray(features, np.float64)
        if features.ndim != 2 or features.shape[1] != len(self.columns):
            raise UserError(
                f"features must have shape (rows, {len(self.columns)}), got {features.shape}"
            )
        bad = np.flatnonzero(~self.usable(features))
        if bad.size:
            shown = ", ".join(map(str, bad[:SHOWN_PROBLEMS] + 1))
            raise UserError(
                f"{bad.size} rows are not finite, far too large or of no category; from 1: {shown}"
            )
        return self.predict_usable(features, batch_size)

    def usable(self, features: np.ndarray) -> np.ndarray:
        """Which rows of raw features the model can take: finite, also once standardised."""
        return np.all(np.isfinite(self.scaler.features(features)), axis=1)

    def runner(self, batch_size: int) -> Runner:
        """What runs the module on its inputs, at most `batch_size` rows at a time on a device."""
        if batch_size not in self._runners:
            self._runners[batch_size] = Runner(
                lambda params, x: Checked(*self._function(params, x)),
                self._params,
                largest_batch=batch_size,
                about=self.model.quantum.circuit if self.model.quantum else "",
            )
        return self._runners[batch_size]

    def predict_usable(self, features: np.ndarray, batch_size: int) -> Predictions:
        """Predict for usable rows, at most `batch_size` at a time on each device."""
        results = self.runner(batch_size)(self.scaler.features(features))
        output, leakage = (
            np.asarray(part, np.float64) for part in (results.values, results.leakage)
        )
        if self.classes is None:
            value = output * self.scaler.target_scale + self.scaler.target_mean
            return Predictions(value, None, leakage)
        index, probability = decide(output)
        return Predictions(np.array(self.classes)[index], probability, leakage)


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
        count = outputs(data["classes"])
        model = nnx.eval_shape(lambda: build_model(scaler.inputs, config, outputs=count))
        predictor_data = {key: data[key] for key in ("columns", "categories", "target", "classes")}
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
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for leaf in jax.tree.leaves(best):
        digest.update(leaf.tobytes())
    return Predictor(model, config, predictor_data, scaler, digest.hexdigest())
