"""Strawberry Fields' answers, kept in a small file for where it is not installed.

Write it anew (with Strawberry Fields installed) by
``python -m fockjax.validation.make_golden``.

The file holds fingerprints instead of the numbers: ``f_k = sum_j e^{i theta_kj} a_j`` over all
entries of an array, for a few fixed sets of random phases. One wrong entry moves every fingerprint
by exactly its error, many wrong ones by about the root of the sum of their squares, so the same
tolerances hold.
"""

from functools import cache
from pathlib import Path

import numpy as np

from fockjax.validation.cases import ReadoutRow, Row
from fockjax.validation.readings import Readings

PATH = Path(__file__).with_name("golden.npz")
FINGERPRINTS = 8


class NoGoldenRow(LookupError):
    """The golden file does not have a row, as it was written before the row existed."""


def fingerprints(readings: Readings) -> Readings:
    """The fingerprints of each array of a row, shape (8,) complex."""
    return Readings(*map(_fingerprint, readings))


def _fingerprint(values: np.ndarray) -> np.ndarray:
    random = np.random.RandomState(values.size)
    phases = np.exp(1j * random.uniform(-np.pi, np.pi, (FINGERPRINTS, values.size)))
    return phases @ np.ravel(values).astype(np.complex128)


def lookup(row: Row | ReadoutRow) -> Readings:
    """The stored fingerprints of a row.

    Raises:
        NoGoldenRow: if the file has none; it must then be written anew.
    """
    stored = _load()
    if row.label not in stored:
        raise NoGoldenRow(
            f"the golden file has no row {row.label!r}; write it anew with "
            "`python -m fockjax.validation.make_golden` where Strawberry Fields is installed"
        )
    return Readings(*stored[row.label])


@cache
def _load() -> dict[str, np.ndarray]:
    with np.load(PATH, allow_pickle=False) as archive:
        return dict(zip(archive["labels"].tolist(), archive["fingerprints"], strict=True))
