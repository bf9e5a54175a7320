"""Write the golden file from Strawberry Fields: ``python -m fockjax.validation.make_golden``."""

from pathlib import Path

import numpy as np

from fockjax.validation import golden
from fockjax.validation.cases import CASES, circuit_rows, gate_rows
from fockjax.validation.readings import Readings, from_strawberryfields


def generate() -> dict[str, Readings]:
    """The fingerprints of every gate and circuit row, from Strawberry Fields."""
    rows = [row for name in CASES for row in gate_rows(name)] + list(circuit_rows())
    return {row.label: golden.fingerprints(from_strawberryfields(row)) for row in rows}


def write(path: Path = golden.PATH) -> None:
    """Generate the golden file."""
    rows = generate()
    np.savez_compressed(
        path,
        labels=np.array(list(rows)),
        fingerprints=np.array([np.stack(readings) for readings in rows.values()]),
    )


if __name__ == "__main__":
    write()
    print(f"wrote {golden.PATH} ({golden.PATH.stat().st_size} bytes)")
