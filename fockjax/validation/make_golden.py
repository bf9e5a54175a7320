"""Write the golden file from Strawberry Fields: ``python -m fockjax.validation.make_golden``."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fockjax.validation import golden
from fockjax.validation.cases import (
    CASES,
    ReadoutRow,
    Row,
    case_rows,
    circuit_rows,
    conserving_row,
    noisy_row,
    readout_rows,
)
from fockjax.validation.readings import Readings, from_strawberryfields
from fockjax.validation.readouts import READOUTS, SAMPLES


def rows() -> Iterator[Row | ReadoutRow]:
    """Every row there is, a trained model's apart."""
    for case in CASES:
        yield from case_rows(case)
    for readout in READOUTS + SAMPLES:
        yield from readout_rows(readout)
    yield from circuit_rows()
    yield noisy_row()
    yield conserving_row()


def generate() -> dict[str, Readings]:
    """The fingerprints of every row, from Strawberry Fields."""
    return {row.label: golden.fingerprints(from_strawberryfields(row)) for row in rows()}


def write(path: Path = golden.PATH) -> None:
    """Generate the golden file."""
    made = generate()
    np.savez_compressed(
        path,
        labels=np.array(list(made)),
        fingerprints=np.array([np.stack(readings) for readings in made.values()]),
    )


if __name__ == "__main__":
    write()
    print(f"wrote {golden.PATH} ({golden.PATH.stat().st_size} bytes)")
