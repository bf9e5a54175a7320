"""Columns of numbers or categories, and how the fields of a file become float64."""

import abc
import dataclasses
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from fockjax._advice import UserError, first_few

CHUNK_ROWS = 16384
MOST_CATEGORIES = 64
LONGEST_SHOWN = 60
MISSING = ("", "na", "n/a", "nan", "null")  # in lower case
TRUTH = {"True": True, "False": False, "true": True, "false": False, "TRUE": True, "FALSE": False}
PLAIN = re.compile(r"([+-]?)(0|[1-9][0-9]*|(?=\.[0-9]))(?:\.([0-9]*))?(e[+-]?[0-9]+)?", re.I)

Field = np.ndarray | list[str]
"""A column as read from a file: float64, where NaN is a missing value, or text."""


@dataclasses.dataclass(frozen=True)
class Column:
    """A feature: numbers, or text that is one of its `categories`.

    If these are all numbers, as `plain_text` writes them, so is the text: 2.0 is category 2. If
    these are True and False, TRUE is True. Where numbers are expected, truth values are 1 and 0.
    """

    name: str
    categories: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Problem:
    """One field that cannot be used."""

    row: int  # counted from 1, without the header
    line: int | None  # of the file, counted from 1; None where there are no lines
    column: str
    reason: str

    def __str__(self) -> str:
        line = "" if self.line is None else f" (line {self.line})"
        return f"row {self.row}{line}, column {self.column!r}: {self.reason}"


@dataclasses.dataclass(frozen=True)
class Raw:
    """Consecutive rows as read from a file."""

    start: int  # how many rows come before
    count: int
    fields: Mapping[str, Field]  # by column
    lines: list[int] | None = None  # (count,) lines of the file, where it has lines
    problems: Sequence[Problem] = ()  # of rows without the right number of fields

    def place(self, offset: int) -> tuple[int, int | None]:
        """Row and line, counted from 1."""
        return self.start + offset + 1, None if self.lines is None else self.lines[offset]


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Consecutive rows as numbers; a column of categories holds their indices."""

    values: np.ndarray  # (rows, columns) float64, NaN where a value is missing or unusable
    lines: list[int] | None
    problems: list[Problem]  # in the order of rows
    bad: np.ndarray  # (rows,) whether a row has a problem, described or not


class Table(abc.ABC):
    """A file of rows: `names` of its columns (None if it has none), `rows` (None if unknown)."""

    path: Path
    names: list[str] | None
    rows: int | None

    @abc.abstractmethod
    def chunks(self, names: Sequence[str], start: int = 0, size: int = CHUNK_ROWS) -> Iterator[Raw]:
        """The columns `names` of the rows from `start` on, in chunks of at most `size` rows."""


def check_names(path: Path, names: list[str]) -> list[str]:
    """The `names`, if no two columns share one; else UserError. A column may have none, as pandas'
    index has in CSV, and is then one that nobody asks for.
    """
    for name in names:
        if name and names.count(name) > 1:
            raise UserError(f"{path}: the header names column {name!r} {names.count(name)} times")
    return names


def survey(
    table: Table, names: Sequence[str], categorical: Collection[str] = ()
) -> tuple[Column, ...]:
    """Look through a table for its columns of categories: those of text, and `categorical` ones.

    A column with both numbers and text counts as numbers, so that `encode` reports the text.
    """
    if not all(names):
        position = (table.names or []).index("") + 1
        raise UserError(
            f"{table.path}: column {position} has no name in the header: give it one, or take it "
            "out of the file (pandas writes its index so, unless index=False)"
        )
    texts: dict[str, set[str]] = {name: set() for name in names}
    numeric: set[str] = set()  # columns in which a number was found that is not a category
    for raw in table.chunks(names):
        for name, field in raw.fields.items():
            if name not in categorical and _has_only_numbers(field):
                numeric.add(name)
                continue
            found = {text for text in as_text(field) if not is_missing(text)}
            if name in categorical:
                words = found
            else:
                words = {text for text in found if not np.isfinite(_number(text))}
            texts[name] |= words
            if len(words) < len(found):
                numeric.add(name)
    columns = []
    for name in names:
        categories = _categories(texts[name])
        if len(categories) > MOST_CATEGORIES and name not in numeric:
            raise UserError(
                f"{table.path}: column {name!r} has {len(categories)} distinct values, too many "
                f"for categories (at most {MOST_CATEGORIES}): leave it out with --drop"
            )
        columns.append(Column(name, None if name in numeric else categories or None))
    return tuple(columns)


def encode(
    raw: Raw, columns: Sequence[Column], filled: bool = False, described: float = math.inf
) -> Chunk:
    """Turn a chunk into numbers, and find all fields that cannot be used.

    Args:
        raw: the chunk.
        columns: the columns to take, in this order.
        filled: whether missing values will be filled in later, so that they are no problem.
        described: describe the problems of so many rows, the first that have some.
    """
    values = np.empty((raw.count, len(columns)))
    odd = np.empty(values.shape, bool)
    for index, column in enumerate(columns):
        field = raw.fields[column.name]
        if column.categories is None:
            values[:, index] = numbers(field)
        else:
            values[:, index] = _codes(field, column.categories)
        odd[:, index] = ~np.isfinite(values[:, index])
        if filled and isinstance(field, np.ndarray):
            odd[:, index] &= ~np.isnan(field)
    values[odd] = np.nan
    problems = list(raw.problems)
    misshapen = np.zeros(raw.count, bool)
    misshapen[[problem.row - raw.start - 1 for problem in problems]] = True
    bad, rows = misshapen.copy(), 0
    at = (each.tolist() for each in np.nonzero(odd))  # row by row
    for offset, index in zip(*at, strict=True):
        if misshapen[offset] or (rows > described and bad[offset]):
            continue
        column = columns[index]
        text = as_text(raw.fields[column.name][offset : offset + 1])[0]
        if column.categories is None and text in TRUTH:
            values[offset, index] = TRUTH[text]
            continue
        if filled and is_missing(text):
            continue
        if not bad[offset]:
            bad[offset] = True
            rows += 1
        if rows <= described:
            problems.append(Problem(*raw.place(offset), column.name, _reason(text, column)))
    problems.sort(key=lambda problem: problem.row)
    return Chunk(values, raw.lines, problems, bad)


def describe_bad(
    chunk: Chunk, start: int, usable: np.ndarray, good: np.ndarray, most: int | None = None
) -> list[str]:
    """One line for each row that is not good: its first problem.

    Args:
        chunk: the rows.
        start: how many rows come before them.
        usable: which rows the model could take; the others have a value that is too large.
        good: which rows have a finite result.
        most: for at most so many rows, the first ones, which `chunk` must describe.
    """
    found: dict[int, str] = {}
    for problem in chunk.problems:
        found.setdefault(problem.row, str(problem))
    for offset in np.flatnonzero(~good)[:most]:
        row = start + int(offset) + 1
        place = f"row {row} (line {chunk.lines[offset]})" if chunk.lines else f"row {row}"
        what = "the result is not finite" if usable[offset] else "a value is too large"
        found.setdefault(row, f"{place}: {what}")
    return [found[row] for row in sorted(found)[:most]]


def is_missing(text: str) -> bool:
    return text.lower() in MISSING


def quoted(text: str) -> str:
    """A field in quotes for a message, cut off if it is long."""
    return repr(text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..")


def missing_reason(text: str) -> str:
    """The reason why a missing value cannot be used."""
    return "the value is missing" + (f" ({text!r})" if text else "")


def as_text(field: Field) -> list[str]:
    """The fields as text: without spaces around them, 2.0 as "2", and NaN as ""."""
    if isinstance(field, list):
        return [text.strip() for text in field]
    return ["" if number != number else repr(plain(number)) for number in field.tolist()]


def labels(texts: set[str]) -> dict[str, str]:
    """What each text stands for as a label: if all are plain numbers, the number, so that 2.0 and
    +2 are the same label as 2; else itself. A text like 01 is no plain number, but may be a code.
    """
    found = {text: number for text in texts if (number := plain_text(text)) is not None}
    return found if len(found) == len(texts) else {text: text for text in texts}


def plain_text(text: str) -> str | None:
    """A plain number as `as_text` writes numbers, "2.0" as "2"; None for any other text."""
    match = PLAIN.fullmatch(text)
    if match is None or not np.isfinite(_number(text)):
        return None
    sign, whole, fraction, exponent = match.groups(default="")
    if whole and not fraction.strip("0") and not exponent:  # of any length, so not by way of float
        return "-" * (sign == "-" and whole != "0") + whole
    return repr(plain(float(text)))


def plain(number: float) -> int | float:
    """2.0 -> 2, so that labels print as they were written."""
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _reason(text: str, column: Column) -> str:
    if is_missing(text):
        return missing_reason(text)
    if column.categories is None:
        return f"{quoted(text)} is not a finite number"
    known = first_few(column.categories)
    return f"{quoted(text)} is not among the categories of the training ({known})"


def numbers(field: Field) -> np.ndarray:
    """The fields as float64, NaN where one is no number."""
    values = _at_once(field)
    return np.array([_number(text) for text in field]) if values is None else values


def _has_only_numbers(field: Field) -> bool:
    if isinstance(field, np.ndarray):
        return True
    values = _at_once(field)
    return values is not None and bool(np.isfinite(values).any())


def _at_once(field: Field) -> np.ndarray | None:
    """The fields as `_number` reads them, but faster; None if some may be no number."""
    if isinstance(field, list) and not _may_be_numbers("".join(field)):
        return None
    try:
        return np.array(field, np.float64)
    except ValueError:
        return None


def _may_be_numbers(text: str) -> bool:
    """False for what only Python takes for numbers: 1_2, a code, and digits of other scripts."""
    return "_" not in text and text.isascii()


def _categories(texts: set[str]) -> tuple[str, ...]:
    """The categories of a column with these texts, in order."""
    truths = {str(TRUTH[text]) for text in texts if text in TRUTH}
    return tuple(sorted(truths if texts <= TRUTH.keys() else set(labels(texts).values())))


def _codes(field: Field, categories: tuple[str, ...]) -> np.ndarray:
    index = {category: float(position) for position, category in enumerate(categories)}
    texts = as_text(field)
    for meaning in (_number_text, _truth_text):
        if all(meaning(category) == category for category in categories):
            texts = [text if text in index else meaning(text) or text for text in texts]
    return np.array([index.get(text, np.nan) for text in texts])


def _number_text(text: str) -> str | None:
    return str(int(TRUTH[text])) if text in TRUTH else plain_text(text)


def _truth_text(text: str) -> str | None:
    return str(TRUTH[text]) if text in TRUTH else None


def _number(text: str) -> float:
    try:
        return float(text) if _may_be_numbers(text.strip()) else float("nan")
    except ValueError:
        return float("nan")
