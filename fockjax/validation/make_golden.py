"""Write the golden file from Strawberry Fields: ``python -m fockjax.validation.make_golden``."""

from pathlib import Path

import numpy as np

from fockjax.validation import golden
from fockjax.validation.cases import CASES, case_rows, circuit_rows, readout_row
from fockjax.validation.readings import Readings, from_strawberryfields
from fockjax.validation.readouts import READOUTS


def generate() -> dict[str, Readings]:
    """The fingerprints of every row, from Strawberry Fields."""
    rows = [row for case in CASES for row in case_rows(case)]
    rows += [*map(readout_row, READOUTS), *circuit_rows()]
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
