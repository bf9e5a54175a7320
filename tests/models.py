"""Model folders as training leaves them, made in no time: untrained, without their circuit."""

import contextlib
from collections import namedtuple
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fockjax import inference
from fockjax._files import write_sealed
from fockjax.training import TrainConfig, checkpoint, folder, run
from fockjax.training.config import identity_hash
from fockjax.training.data import Dataset
from fockjax.training.metrics import from_output
from fockjax.training.model import build_model
from fockjax.training.probe import Probe
from fockjax.training.scaling import Scaler

Carry = namedtuple("Carry", "best_params")


def numbers(classes=("no", "yes"), rows=60):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(rows, 3)) * [1, 20, 0.3] + [5, 0, 0]
    y = x[:, 0] - x[:, 1] / 20
    target = 10 * y if classes is None else (y > 5).astype(float)
    return Dataset("numbers", x, target, ("a", "b", "c"), "y", classes)


def categories(rows=90):
    """Three classes, a column of categories that mostly tells them, missing values."""
    rng = np.random.default_rng(3)
    kind = rng.integers(3, size=rows)
    place = np.where(rng.random(rows) < 0.8, kind, rng.integers(3, size=rows))
    features = np.column_stack([kind + rng.normal(size=rows), place, rng.normal(size=rows) * 100])
    features[rng.random((rows, 3)) < 0.1] = np.nan
    places = {"place": ("here", "there", "where")}
    return Dataset("mixed", features, kind * 1.0, ("a", "place", "c"), "k", (10, 20, 30), places)


@contextlib.contextmanager
def without_circuits():
    """Models are trained and loaded with the identity in place of their circuit, which compiles
    faster.
    """

    def build(features, config, *, photonic=True, outputs=1):
        return build_model(features, config, photonic=False, outputs=outputs)

    with pytest.MonkeyPatch.context() as patch:
        for module in (inference, run):
            patch.setattr(module, "build_model", build)
        yield


def make_folder(path, dataset, seed=0, photonic=False, **options):
    """A model folder with weights drawn from `seed`; without its circuit it must be loaded so."""
    config = TrainConfig(**{"modes": 2, "cutoff": 4, "layers": 1, "seed": seed} | options)
    scaler = Scaler.fit(dataset, slice(None), config.impute)
    model = build_model(scaler.inputs, config, photonic=photonic, outputs=dataset.outputs)
    description = run._Run.describe(SimpleNamespace(config=config, dataset=dataset))
    checkpoint.save(
        path / folder.CHECKPOINTS,
        1,
        identity_hash(description["identity"]),
        Carry(nnx.state(model, nnx.Param)),
    )
    output, leakage = jax.device_get(model(jnp.asarray(scaler.features(dataset.features[:1]))))
    evaluation = from_output(dataset.task, scaler, output, dataset.target[:1], leakage)
    write_sealed(path / folder.PROBE, Probe.of(dataset, 0, evaluation).to_json())
    write_sealed(path / folder.CONFIG, description | {"scaler": scaler.to_json()})
    write_sealed(path / folder.RESULTS, {})
    return path
