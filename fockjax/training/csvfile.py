"""Numeric CSV in chunks, with every unusable field known by line, row and column."""

import csv
import dataclasses
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import numpy as np

from fockjax.training.errors import UserError

CHUNK_ROWS = 16384


@dataclasses.dataclass(frozen=True)
class Problem:
    """One field that is not a finite number."""

    row: int  # counted from 1, the header not counted
    line: int | None  # of the file, counted from 1; None where there are no lines
    column: str
    reason: str

    def __str__(self) -> str:
        line = "" if self.line is None else f" (line {self.line})"
        return f"row {self.row}{line}, column {self.column!r}: {self.reason}"


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Consecutive rows: the numeric columns asked for, the raw text of `text_column`, problems."""

    values: np.ndarray  # (rows, columns) float64, NaN where there is a problem
    text: list[str]  # (rows,), empty when no text column was asked for
    lines: list[int]  # (rows,) line of the file
    problems: list[Problem]


def read_header(path: Path) -> list[str]:
    """Column names of a CSV file."""
    rows = _rows(path)
    try:
        _, header = next(rows)
    except StopIteration:
        raise UserError(f"{path} is empty: a header line with column names is needed") from None
    finally:
        rows.close()
    names = [name.strip() for name in header]
    for position, name in enumerate(names, 1):
        if not name:
            raise UserError(f"{path}: column {position} has no name in the header")
        if names.count(name) > 1:
            raise UserError(f"{path}: the header names column {name!r} {names.count(name)} times")
    return names


def read_chunks(
    path: Path, columns: Sequence[str], text_column: str | None = None
) -> Iterator[Chunk]:
    """Yield the rows of `path` in order, `columns` as numbers and `text_column` as it stands.

    A row with too few or too many fields is a problem of its own; blank lines are skipped.
    """
    header = read_header(path)
    where = [header.index(name) for name in columns]
    text_at = None if text_column is None else header.index(text_column)
    batch: list[tuple[int, list[str]]] = []
    done = 0
    rows = _rows(path)
    next(rows)
    for line, fields in rows:
        batch.append((line, fields))
        if len(batch) == CHUNK_ROWS:
            yield _parse(batch, done, header, where, text_at)
            done += len(batch)
            batch = []
    if batch:
        yield _parse(batch, done, header, where, text_at)


def _rows(path: Path) -> Generator[tuple[int, list[str]], None, None]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            for fields in reader:
                if fields:
                    yield reader.line_num, fields
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: {error.reason}") from None
    except csv.Error as error:
        raise UserError(f"{path}: line {reader.line_num} is not valid CSV: {error}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None


def _parse(batch, done, header, where, text_at) -> Chunk:
    width = len(header)
    problems: list[Problem] = []
    selected, text = [], []
    for offset, (line, fields) in enumerate(batch):
        if len(fields) != width:
            # A short row is short at its end: name the first column it lacks.
            column = header[len(fields)] if len(fields) < width else header[-1]
            reason = f"the row has {len(fields)} fields, the header {width}"
            problems.append(Problem(done + offset + 1, line, column, reason))
            fields = ["nan"] * width
        selected.append([fields[index] for index in where])
        if text_at is not None:
            text.append(fields[text_at].strip())
            if not text[-1]:
                reason = "the value is missing"
                problems.append(Problem(done + offset + 1, line, header[text_at], reason))
    misshapen = {problem.row for problem in problems if problem.reason.startswith("the row")}
    try:
        values = np.array(selected, dtype=np.float64).reshape(len(batch), len(where))
    except ValueError:  # some field is no number: parse one by one
        values = np.array([[_number(field) for field in fields] for fields in selected])
    for offset, index in np.argwhere(~np.isfinite(values)):
        row = done + int(offset) + 1
        if row not in misshapen:
            field = selected[offset][index].strip()
            reason = "the value is missing" if not field else f"{field!r} is not a finite number"
            problems.append(Problem(row, batch[offset][0], header[where[index]], reason))
    problems.sort(key=lambda problem: problem.row)
    return Chunk(values, text, [line for line, _ in batch], problems)


def _number(field: str) -> float:
    try:
        return float(field)
    except ValueError:
        return float("nan")
