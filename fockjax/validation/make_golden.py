"""Write the golden file from Strawberry Fields: ``python -m fockjax.validation.make_golden``."""

from pathlib import Path

import numpy as np

from fockjax._files import atomic_writer
from fockjax.validation import golden
from fockjax.validation.cases import ReadoutRow, Row
from fockjax.validation.readings import Readings, from_strawberryfields
from fockjax.validation.report import Reference, plan


def rows() -> list[Row | ReadoutRow]:
    """Every row there is, a trained model's apart."""
    checks = plan(Reference("Strawberry Fields", from_strawberryfields), None, None)
    return [row for check in checks for row in check.rows]


def generate() -> dict[str, Readings]:
    """The fingerprints of every row, from Strawberry Fields."""
    return {row.label: golden.fingerprints(from_strawberryfields(row)) for row in rows()}


def write(path: Path = golden.PATH) -> None:
    """Generate the golden file."""
    made = generate()
    with atomic_writer(path) as file:
        np.savez_compressed(
            file,
            labels=np.array(list(made)),
            fingerprints=np.array([np.stack(readings) for readings in made.values()]),
        )


if __name__ == "__main__":
    write()
    print(f"wrote {golden.PATH} ({golden.PATH.stat().st_size} bytes)")
