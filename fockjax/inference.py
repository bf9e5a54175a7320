"""A trained model as a function of rows, which run in batches."""

import dataclasses
import functools
import hashlib
import json
import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from fockjax._advice import UserError, first_few
from fockjax._given import cutoffs_of
from fockjax.arguments import Cutoff
from fockjax.circuit import Circuit
from fockjax.layout import TotalPhotons
from fockjax.runtime import PilotTooLarge, Plan, Results, Runner, plan_cutoffs, plan_total
from fockjax.runtime.cutoffs.pilot import MEMORY
from fockjax.runtime.memory import room, shortfall, show_size
from fockjax.training import checkpoint, folder
from fockjax.training.config import TrainConfig, identity_hash
from fockjax.training.data import outputs
from fockjax.training.metrics import decide
from fockjax.training.model import HybridModel, StoredPlan, build_model, make_runner
from fockjax.training.scaling import Scaler
from fockjax.training.tables import Chunk, Column, Raw, encode

MAXIMUM_CUTOFF = 32
SHARE = (
    0.9  # of the rows that a plan must suffice for; as its bounds are cautious, it does for more
)


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Results in the order of the rows.

    Attributes:
        prediction: class label, or value in the units of the training target; (rows,).
        probability: the probability of the second of two classes (rows,), or of each of more
            classes (rows, classes); None for regression.
        leakage: the probability that the cutoff lost, 1 - norm^2; (rows,).
        cutoffs: the cutoff of each mode at which the row ran; (rows, modes). If the model was
            trained with a bound on all photons together, that bound; (rows, 1).
        ok: whether the result is finite, and its leakage within the tolerance of the plan if there
            is one; (rows,).
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
        columns: the features in the order expected, each with its name and, for a column of
            categories, these.
        target: name of what is predicted.
        classes: the labels, or None for regression.
        scaler: maps raw features to inputs of the module, and its output to the target's units.
        fingerprint: SHA-256 of all that decides its answers, except the plan.
        plan: see `planned`; None for a model that runs as it was trained.
        cutoffs: the cutoffs at which rows run, then those for rows that lose too much there; a row
            for each, as in `Predictions.cutoffs`.
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
        """Predict for raw `features` (rows, columns), in the order of `columns`.

        A column of categories holds the index of the category. Features must be finite; if the
        model was trained with `impute`, NaN or a masked value is a missing one. For other options
        than the default ones, make a runner by `runner` and pass it to each call.
        """
        if np.ma.is_masked(features):  # masked values are missing
            features = np.ma.filled(np.ma.asarray(features).astype(np.float64), np.nan)
        features = np.asarray(features, np.float64)
        if features.ndim != 2 or features.shape[1] != len(self.columns):
            raise UserError(
                f"features must have shape (rows, {len(self.columns)}), got {features.shape}"
            )
        if runner is not None and list(runner.labels) != self.labels:
            raise UserError(
                f"the runner runs at cutoffs {', '.join(runner.labels)}, the predictor at "
                f"{', '.join(self.labels)}: take its own, predictor.runner()"
            )
        inputs, usable = self._standardised(features)
        if not usable.all():
            bad = np.flatnonzero(~usable) + 1
            raise UserError(
                f"rows {first_few(bad)}, counted from 1, are not finite, far too large or not of a "
                "known category"
            )
        return self.read((runner or self._default_runner)(inputs))

    def inputs(self, raw: Raw, described: float = math.inf) -> tuple[Chunk, np.ndarray, np.ndarray]:
        """What the model takes of rows of a table.

        Args:
            raw: the rows, with at least the `columns`.
            described: describe the problems of so many rows, the first that have some.

        Returns:
            The rows as numbers, with their problems; the inputs of the model (rows, inputs), where
            unusable rows are as the mean row, so that they do not affect the others; which rows are
            usable (rows,).
        """
        filled = self.scaler.fill is not None
        chunk = encode(raw, self.columns, filled=filled, described=described)
        inputs, usable = self._standardised(chunk.values)
        usable &= ~chunk.bad
        inputs[~usable] = self.scaler.features(self.scaler.mean[None])
        return chunk, inputs, usable

    def _standardised(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Inputs of the model, and for which rows they are finite, so that it can take them."""
        inputs = self.scaler.features(features)
        return inputs, np.all(np.isfinite(inputs), axis=1)

    def planned(
        self,
        inputs: np.ndarray,
        tolerance: float,
        maximum: int | None = None,
        memory: int | str | None = None,
    ) -> "Predictor":
        """The same model at cutoffs where rows like the given ones lose at most a tolerance.

        The cutoff of each mode is planned from the circuit, its weights and these rows (see
        docs/cutoffs.md), and is not below that of the training. It must suffice for nine rows in
        ten. A row that loses more when it runs is run again, alone, at the next larger cutoffs.

        Args:
            inputs: rows, made by `scaler.features` from raw features.
            tolerance: the leakage that a row may have, between 0 and 1.
            maximum: the largest cutoff; by default 32, or that of the training if it is larger.
            memory: what the process may use, as for a `fockjax.runtime.Runner`.

        Raises:
            PilotTooLarge: if rows must run to plan, and not even one fits in memory.
        """
        layer = self.model.quantum
        assert layer is not None and isinstance(layer.circuit, Circuit)
        make = plan_total if self.config.total_photons else plan_cutoffs
        devices = jax.local_devices()[:1]
        left = room(memory, devices)
        try:
            plan = make(
                layer.circuit,
                layer.values(),
                self.model.encode(jnp.asarray(inputs)),
                tolerance=tolerance,
                share=SHARE,
                minimum=self.config.cutoff,
                maximum=maximum or self.maximum_cutoff,
                # At most the default, so that plans are the same while that much is free.
                memory=max(1, min(MEMORY, left)),
            )
        except PilotTooLarge as error:
            if reason := shortfall(error.needed, memory, devices):
                fact = f"{error.fact}. There is room for {show_size(left)}{reason}"
                raise PilotTooLarge(fact, error.advice, error.needed) from None
            raise
        return self._with(plan)

    def replanned(
        self, tolerance: float, cutoffs: Sequence[Sequence[int]], text: str
    ) -> "Predictor":
        """The same model by a plan that was made before.

        Args:
            tolerance: the leakage that a row may have.
            cutoffs: the `cutoffs` of the predictor that was planned.
            text: its plan, printed.
        """
        total = self.config.total_photons
        rungs = tuple(TotalPhotons(each[0]) if total else tuple(each) for each in cutoffs)
        return self._with(StoredPlan(tolerance, rungs, text))

    def _with(self, plan: Plan) -> "Predictor":
        parts = self.model, self.config, self._data, self.scaler, self.fingerprint
        return Predictor(*parts, plan)

    @property
    def maximum_cutoff(self) -> int:
        """The largest cutoff that is planned by default."""
        return max(MAXIMUM_CUTOFF, self.config.cutoff)

    @property
    def labels(self) -> list[str]:
        """The `cutoffs` as texts, such as "8 10"."""
        return [" ".join(map(str, each)) for each in self.cutoffs]

    def runner(self, **options: Any) -> Runner:
        """A runner of the model for inputs, made by `scaler.features` from raw features.

        Args:
            options: options of the `fockjax.runtime.Runner`, such as memory, largest_batch and log.
        """
        return make_runner(self.model, self.plan, labels=self.labels, **options)

    def read(self, results: Results) -> Predictions:
        """Turn the results of a `runner` into predictions."""
        output, leakage = (
            np.asarray(part, np.float64) for part in (results.values, results.leakage)
        )
        cutoffs = self.cutoffs[results.level]
        if self.classes is None:
            value = self.scaler.target_in_units(output)
            return Predictions(value, None, leakage, cutoffs, results.ok)
        index, probability = decide(output)
        label = np.array(self.classes)[index]
        return Predictions(label, probability, leakage, cutoffs, results.ok)

    @functools.cached_property
    def _default_runner(self) -> Runner:
        return self.runner()


def result_columns(classes: tuple | None, cutoffs: Sequence[str] = ()) -> np.dtype:
    """The columns of the output as a structured dtype; more if rows run at one of some cutoffs."""
    if classes is None:
        label, probabilities = "<f8", []
    elif len(classes) == 2:
        label, probabilities = np.array(classes).dtype.str, ["probability"]
    else:
        label = np.array(classes).dtype.str
        probabilities = [f"probability_{each}" for each in classes]
    numbers = [(name, "<f8") for name in (*probabilities, "leakage")]
    more = [("cutoffs", np.array(cutoffs).dtype.str), ("ok", "?")] if cutoffs else []
    return np.dtype([("prediction", label), *numbers, *more])


def _numbers(truncation: Cutoff, modes: int) -> tuple[int, ...]:
    """A truncation as a row of `Predictions.cutoffs`."""
    if isinstance(truncation, TotalPhotons):
        return (truncation.below,)
    return cutoffs_of(truncation, modes)


def load_model(path: Path | str, warn: Callable[[str], object] | None = None) -> Predictor:
    """Load a model folder written by `fockjax train`.

    Args:
        path: the folder.
        warn: called with a message if the newest checkpoint is damaged, so that the one before is
            used, or if the training is not finished. Default: `warnings.warn`.

    Returns:
        A `Predictor` with the weights of the best epoch.

    Raises:
        UserError: if this is not a model folder, or one that cannot be used.

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
