"""A row and its answer, kept with a model, to check that the model runs correctly elsewhere.

The file is also a request that `fockjax serve` answers.
"""

import dataclasses
from pathlib import Path

import numpy as np

from fockjax._advice import UserError
from fockjax._files import read_sealed
from fockjax.training import folder
from fockjax.training.data import Dataset
from fockjax.training.metrics import Evaluation

TOLERANCE = 1e-4  # complex64 on another machine, or in a batch of another size, differs by 1e-6


@dataclasses.dataclass(frozen=True)
class Probe:
    """The first test row and its answer.

    Attributes:
        rows: a list of this one row: a number, the text of a category, or None for each column.
        answer: probability of the second class (1,), or of each (1, classes), or the value (1,).
        leakage: the leakage (1,).
    """

    rows: list[list[float | str | None]]
    answer: np.ndarray
    leakage: np.ndarray

    @classmethod
    def of(cls, dataset: Dataset, row: int, evaluation: Evaluation) -> "Probe":
        """The probe of the row with this number, which must be the first one evaluated."""
        raw = [
            None if value != value else categories[int(value)] if categories else value
            for value, categories in zip(
                dataset.features[row].tolist(),
                (dataset.categories.get(name, ()) for name in dataset.columns),
                strict=True,
            )
        ]
        return cls([raw], evaluation.answer[:1], evaluation.leakage[:1])

    def agrees(
        self, answer: np.ndarray, leakage: np.ndarray, center: float = 0.0, unit: float = 1.0
    ) -> bool:
        """Whether this is the answer; one that is a value is compared in units of ``unit``, from
        ``center`` on.
        """
        known, found = ((each - center) / unit for each in (self.answer, answer))
        return bool(
            np.allclose(found, known, rtol=TOLERANCE, atol=TOLERANCE)
            and np.allclose(leakage, self.leakage, rtol=0, atol=TOLERANCE)
        )

    def to_json(self) -> dict[str, list]:
        return {
            "rows": self.rows,
            "answer": self.answer.tolist(),
            "leakage": self.leakage.tolist(),
        }


def read_probe(path: Path) -> Probe:
    """The probe of a model folder.

    Raises:
        UserError: if it is missing, damaged, or was edited.
    """
    remedy = f"remove {folder.RESULTS}, and `fockjax train --resume` writes both anew"
    try:
        stored = read_sealed(path / folder.PROBE, remedy)
    except FileNotFoundError:
        raise UserError(
            f"{path} has no {folder.PROBE}: its training is not finished (--resume), or it was "
            "taken out of the folder"
        ) from None
    answer, leakage = (np.array(stored[name], np.float64) for name in ("answer", "leakage"))
    return Probe(stored["rows"], answer, leakage)
