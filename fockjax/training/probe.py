"""A row with its answer, kept with a model: whoever runs the model can tell that it runs right."""

import dataclasses
import json
from pathlib import Path

import numpy as np

from fockjax.training import folder
from fockjax.training.errors import UserError
from fockjax.training.metrics import Evaluation

TOLERANCE = 1e-4  # complex64 on another machine, or in a batch of another size, differs by 1e-6


@dataclasses.dataclass(frozen=True)
class Probe:
    """The first test row.

    Attributes:
        features: raw, NaN where a value is missing; (1, columns).
        score: probability of the second class (1,), or of each (1, classes), or the value (1,).
        leakage: (1,).
    """

    features: np.ndarray
    score: np.ndarray
    leakage: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray, evaluation: Evaluation) -> "Probe":
        return cls(features[:1], evaluation.score[:1], evaluation.leakage[:1])

    def agrees(self, score: np.ndarray, leakage: np.ndarray, unit: float = 1.0) -> bool:
        """Whether these are the answer, a score that is a value being known to `unit`."""
        return bool(
            np.allclose(score, self.score, rtol=TOLERANCE, atol=TOLERANCE * unit)
            and np.allclose(leakage, self.leakage, rtol=0, atol=TOLERANCE)
        )

    def to_json(self) -> dict[str, list]:
        row = [None if value != value else value for value in self.features[0].tolist()]
        return {
            "features": [row],
            "score": self.score.tolist(),
            "leakage": self.leakage.tolist(),
        }


def read_probe(path: Path) -> Probe:
    """The probe of a model folder.

    Raises:
        UserError: if there is none, or it cannot be read.
    """
    file = path / folder.PROBE
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        names = ("features", "score", "leakage")
        return Probe(*(np.array(stored[name], np.float64) for name in names))
    except FileNotFoundError:
        raise UserError(
            f"{path} has no {folder.PROBE}: its training is not finished (--resume), or it was "
            "made by another version of fockjax (--overwrite)"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} cannot be read: {error!r}") from None
