"""Reads and writes tables on disk in chunks. There is a module for each format."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from fockjax._advice import UserError
from fockjax.training.tables import csvfile, npyfile, parquet
from fockjax.training.tables.columns import Chunk as Chunk
from fockjax.training.tables.columns import Column as Column
from fockjax.training.tables.columns import Field as Field
from fockjax.training.tables.columns import Problem as Problem
from fockjax.training.tables.columns import Raw as Raw
from fockjax.training.tables.columns import Table as Table
from fockjax.training.tables.columns import as_text as as_text
from fockjax.training.tables.columns import describe_bad as describe_bad
from fockjax.training.tables.columns import encode as encode
from fockjax.training.tables.columns import is_missing as is_missing
from fockjax.training.tables.columns import labels as labels
from fockjax.training.tables.columns import missing_reason as missing_reason
from fockjax.training.tables.columns import numbers as numbers
from fockjax.training.tables.columns import plain as plain
from fockjax.training.tables.columns import quoted as quoted
from fockjax.training.tables.columns import survey as survey

READERS = {".csv": csvfile.CsvTable, ".parquet": parquet.ParquetTable, ".npy": npyfile.NpyTable}
WRITERS = {".csv": csvfile.write, ".parquet": parquet.write, ".npy": npyfile.write}


def open_table(path: Path, otherwise: str | None = None) -> Table:
    """Open the table in a file. The suffix gives the format; an unknown one means `otherwise`."""
    if path.exists() and not path.is_file():  # it is opened more than once
        raise UserError(f"the data must be in a file, {path} is none: write them to one first")
    suffix = path.suffix.lower()
    if otherwise is not None and suffix not in READERS:
        suffix = otherwise
    return READERS[_known("data", path, suffix)](path)


def write_table(
    path: Path, kind: np.dtype, rows: int, parts: Iterable[tuple[np.ndarray, np.ndarray]]
) -> None:
    """Write a table chunk by chunk; it appears complete or not at all.

    Args:
        path: its suffix tells the format.
        kind: structured dtype, a field for each column.
        rows: rows in all parts together.
        parts: (records, usable) of consecutive rows; those not usable are left empty.
    """
    WRITERS[check_output(path)](path, kind, rows, parts)


def check_output(path: Path) -> str:
    """The suffix of `path`, if a file of that format can be written there; else UserError."""
    if path.is_dir():
        raise UserError(f"the output must be a file, {path} is a folder")
    return _known("output", path, path.suffix.lower())


def _known(what: str, path: Path, suffix: str) -> str:
    if suffix not in READERS:
        raise UserError(f"the {what} must end in .csv, .parquet or .npy, got {path}")
    return suffix
