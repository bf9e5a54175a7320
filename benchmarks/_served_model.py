"""The model that the benchmarks of the server serve: a regression on four inputs."""

import io
from pathlib import Path

import numpy as np
from _circuits import REFERENCE
from rich.console import Console

from fockjax.training import TrainConfig, model, train
from fockjax.training.data import Dataset

COLUMNS = ("a", "b", "c", "d")


def inputs(rows: int, seed: int = 0) -> np.ndarray:
    """Rows that it takes, float32, (rows, 4)."""
    return np.random.default_rng(seed).normal(size=(rows, len(COLUMNS))).astype(np.float32)


def dataset() -> Dataset:
    """What it is trained on."""
    x = inputs(128)
    return Dataset("served", x.astype(np.float64), np.sin(x.sum(1)), COLUMNS, "y", None)


def make_model(folder: Path, modes: int = 4, cutoff: int = 6, layers: int = 2) -> Path:
    """Train it for an epoch, which is all that its speed needs, into a model folder."""
    config = TrainConfig(out=folder, modes=modes, cutoff=cutoff, layers=layers, epochs=1)
    train(config, dataset(), Console(file=io.StringIO()))
    return folder


def use_reference_circuit() -> None:
    """Models of this process have the reference circuit in place of CV-NN layers."""
    model.photonic_circuit = lambda modes, layers: REFERENCE
