"""Batched inference: a trained model as a function of rows."""

import dataclasses
import functools
import hashlib
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from fockjax._advice import UserError
from fockjax.arguments import Cutoff, cutoffs_of
from fockjax.circuit import Circuit
from fockjax.layout import TotalPhotons
from fockjax.runtime import Results, Runner, plan_cutoffs, plan_total
from fockjax.runtime.cutoffs.course import MEMORY
from fockjax.runtime.memory import room
from fockjax.training import checkpoint, folder
from fockjax.training.config import TrainConfig, identity_hash
from fockjax.training.data import outputs
from fockjax.training.metrics import decide
from fockjax.training.model import HybridModel, Plan, build_model, make_runner
from fockjax.training.reading import SHOWN_PROBLEMS
from fockjax.training.scaling import Scaler
from fockjax.training.tables import Column

MAXIMUM_CUTOFF = 32
# The share of rows for which a plan must suffice. Its bounds are cautious, so it does for more.
SHARE = 0.9


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Results in the order of the rows.

    Attributes:
        prediction: class label, or value in the units of the training target; (rows,).
        probability: for two classes that of the second, (rows,); for more classes that of each,
            (rows, classes); None for regression.
        leakage: probability that the cutoff lost, 1 - norm^2; (rows,).
        cutoffs: the cutoffs at which the row ran, one for each mode; (rows, modes). For a model
            that was trained with a bound on all photons together it is that bound; (rows, 1).
        ok: whether the leakage is within the tolerance of the plan, if there is one; (rows,).
    """

    prediction: np.ndarray
    probability: np.ndarray | None
    leakage: np.ndarray
    cutoffs: np.ndarray
    ok: np.ndarray


class Predictor:
    """A trained model that answers for rows of raw features; from `load_model`.

    Attributes:
        model: the Flax module, with its best weights; `model.quantum` is the `QuantumLayer`.
        config: how it was trained.
        columns: the features in the expected order, each with its name and, if it is not
            numerical, its categories.
        target: name of what is predicted.
        classes: the labels, or None for regression.
        scaler: turns raw features into what the module takes, and results of a regression back.
        fingerprint: SHA-256 of everything that decides its answers, apart from the plan.
        plan: see `planned`; None for a model that runs as it was trained.
        cutoffs: the cutoffs at which rows run, followed by those for rows that lose too much, each
            as in `Predictions.cutoffs`.
    """

    def __init__(
        self,
        model: HybridModel,
        config: TrainConfig,
        data: dict,
        scaler: Scaler,
        fingerprint: str,
        plan: Plan | None = None,
    ):
        self.model, self.config, self.scaler = model, config, scaler
        self.fingerprint, self.plan, self._data = fingerprint, plan, data
        truncations = (config.truncation,) if plan is None else plan.rungs
        self.cutoffs = np.array([_numbers(each, config.modes) for each in truncations])
        categories = data["categories"]
        self.columns = tuple(
            Column(name, tuple(categories[name]) if name in categories else None)
            for name in data["columns"]
        )
        self.target: str = data["target"]
        self.classes: tuple | None = None if data["classes"] is None else tuple(data["classes"])

    def __call__(self, features: np.ndarray, runner: Runner | None = None) -> Predictions:
        """Predict for raw ``features`` (rows, columns), in the order of `columns`.

        In a column of categories they hold the index of the category. They must be finite; if the
        model was trained with ``impute``, NaN stands for a missing value. A ``runner`` with other
        options than the usual ones comes from `Predictor.runner`, and is made once for many calls.
        """
        features = np.asarray(features, np.float64)
        if features.ndim != 2 or features.shape[1] != len(self.columns):
            raise UserError(
                f"features must have shape (rows, {len(self.columns)}), got {features.shape}"
            )
        bad = np.flatnonzero(~self.usable(features))
        if bad.size:
            shown = ", ".join(map(str, bad[:SHOWN_PROBLEMS] + 1))
            more = f" and {bad.size - SHOWN_PROBLEMS} more" if bad.size > SHOWN_PROBLEMS else ""
            raise UserError(
                f"rows {shown}{more}, counted from 1, are not finite, far too large or of no "
                "category"
            )
        return self.read((runner or self._usual)(self.scaler.features(features)))

    def usable(self, features: np.ndarray) -> np.ndarray:
        """Which rows of raw features the model can take: those that stay finite when scaled."""
        return np.all(np.isfinite(self.scaler.features(features)), axis=1)

    def planned(
        self,
        inputs: np.ndarray,
        tolerance: float,
        maximum: int | None = None,
        memory: int | str | None = None,
    ) -> "Predictor":
        """The same model at cutoffs at which rows like the given ones lose at most ``tolerance``.

        The cutoffs are planned, one for each mode, from the circuit, its weights and these rows
        (see docs/cutoffs.md), and are not below those of the training. They suffice for at least
        nine rows in ten: a row that loses more is run again, alone, at the next larger ones.

        Args:
            inputs: rows, as `scaler.features` makes of raw features.
            tolerance: the leakage that a row may have, between 0 and 1.
            maximum: the largest cutoff; by default 32, or that of the training if it is larger.
            memory: what the process may use, as of a `fockjax.runtime.Runner`.

        Raises:
            PilotTooLarge: if planning takes a run of which not one row fits.
        """
        layer = self.model.quantum
        assert layer is not None and isinstance(layer.circuit, Circuit)
        make = plan_total if self.config.total_photons else plan_cutoffs
        plan = make(
            layer.circuit,
            layer.values(),
            self.model.encode(jnp.asarray(inputs)),
            tolerance=tolerance,
            share=SHARE,
            minimum=self.config.cutoff,
            maximum=maximum or max(MAXIMUM_CUTOFF, self.config.cutoff),
            # At most the default: free memory varies, and a resumed run must get the same plan.
            memory=max(1, min(MEMORY, room(memory, jax.local_devices()[:1]))),
        )
        parts = self.model, self.config, self._data, self.scaler, self.fingerprint
        return Predictor(*parts, plan)

    @property
    def labels(self) -> list[str]:
        """The `cutoffs` as texts, such as "8 10"."""
        return [" ".join(map(str, each)) for each in self.cutoffs]

    def runner(self, **options: Any) -> Runner:
        """A runner of the model, for inputs that ``scaler.features`` makes from raw features.

        Args:
            options: options of the `fockjax.runtime.Runner`, such as memory, largest_batch and log.
        """
        return make_runner(self.model, self.plan, labels=self.labels, **options)

    def read(self, results: Results) -> Predictions:
        """Predictions from the results of a `runner`."""
        output, leakage = (
            np.asarray(part, np.float64) for part in (results.values, results.leakage)
        )
        cutoffs = self.cutoffs[results.level]
        if self.classes is None:
            value = output * self.scaler.target_scale + self.scaler.target_mean
            return Predictions(value, None, leakage, cutoffs, results.ok)
        index, probability = decide(output)
        label = np.array(self.classes)[index]
        return Predictions(label, probability, leakage, cutoffs, results.ok)

    @functools.cached_property
    def _usual(self) -> Runner:
        return self.runner()


def _numbers(truncation: Cutoff, modes: int) -> tuple[int, ...]:
    if isinstance(truncation, TotalPhotons):
        return (truncation.below,)
    return cutoffs_of(modes, truncation)


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
