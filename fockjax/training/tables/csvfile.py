"""CSV files in UTF-8 with a header line."""

import csv
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from fockjax._advice import UserError
from fockjax._files import atomic_writer
from fockjax.training.tables.columns import CHUNK_ROWS, Problem, Raw, Table, check_names


class CsvTable(Table):
    """A CSV file; a row with too few or too many fields is a problem. Blank lines are skipped, but
    in a file of one column they are rows without a value.
    """

    def __init__(self, path: Path):
        self.path, self.rows = path, None
        lines = _lines(path)
        try:
            _, header = next(lines)
        except StopIteration:
            raise UserError(f"{path} is empty: a header line with column names is needed") from None
        finally:
            lines.close()
        self.names: list[str] = check_names(path, [name.strip() for name in header])

    def chunks(self, names: Sequence[str], start: int = 0, size: int = CHUNK_ROWS) -> Iterator[Raw]:
        where = [self.names.index(name) for name in names]
        batch: list[tuple[int, list[str]]] = []
        lines = _lines(self.path)
        for row, each in enumerate(lines, -1):  # the header is row -1
            if row < start:
                continue
            batch.append(each)
            if len(batch) == size:
                yield self._raw(start, batch, names, where)
                start, batch = row + 1, []
        if batch:
            yield self._raw(start, batch, names, where)

    def _raw(self, start, batch, names, where) -> Raw:
        width = len(self.names)
        problems, rows = [], []
        for offset, (line, fields) in enumerate(batch):
            if len(fields) != width:
                # A short row is short at its end: name the first column it lacks.
                column = self.names[min(len(fields), width - 1)]
                reason = f"the row has {len(fields)} fields, the header {width}"
                problems.append(Problem(start + offset + 1, line, column, reason))
                fields = [""] * width
            rows.append(fields)
        fields = {
            name: [row[index] for row in rows] for name, index in zip(names, where, strict=True)
        }
        return Raw(start, len(rows), fields, [line for line, _ in batch], problems)


def write(
    path: Path, kind: np.dtype, rows: int, parts: Iterable[tuple[np.ndarray, np.ndarray]]
) -> None:
    """See `write_table`. An unusable row has empty fields."""
    with atomic_writer(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        names = list(kind.names or ())
        writer.writerow(names)
        empty = [""] * len(names)
        for records, usable in parts:
            writer.writerows(
                row if good else empty
                for row, good in zip(records.tolist(), usable.tolist(), strict=True)
            )


def _lines(path: Path) -> Generator[tuple[int, list[str]], None, None]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader, width = csv.reader(file, strict=True), 0
            for fields in reader:
                if fields or width == 1:
                    yield reader.line_num, fields or [""]
                width = width or len(fields)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: {error.reason}") from None
    except csv.Error as error:
        raise UserError(f"{path}: line {reader.line_num} is not valid CSV: {error}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
