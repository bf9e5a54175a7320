"""Apache Parquet files. Loads pyarrow only when a file is opened."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fockjax._advice import UserError
from fockjax._files import atomic_writer
from fockjax.training.tables.columns import CHUNK_ROWS, Field, Raw, Table, check_names

READ_BUFFER = 2**20  # bytes of a column read at once, so a row group need not fit in memory


class ParquetTable(Table):
    """A Parquet file with columns of numbers, booleans (as the text True and False) and text."""

    def __init__(self, path: Path):
        self.path = path
        with _open(path) as file:
            self.rows: int = file.metadata.num_rows
            self.names: list[str] = check_names(path, file.schema_arrow.names)

    def chunks(self, names: Sequence[str], start: int = 0, size: int = CHUNK_ROWS) -> Iterator[Raw]:
        import pyarrow as pa

        with _open(self.path) as file:
            groups = range(file.num_row_groups)
            skipped = 0  # rows of the groups that are not read
            while groups and skipped + (rows := _rows(file, groups[0])) <= start:
                groups, skipped = groups[1:], skipped + rows
            if not groups:
                return
            first = skipped
            try:
                for batch in file.iter_batches(size, groups, list(names), use_threads=False):
                    late = batch.slice(max(0, start - first))
                    if late.num_rows:
                        fields = {name: self._field(late, name) for name in names}
                        yield Raw(first + batch.num_rows - late.num_rows, late.num_rows, fields)
                    first += batch.num_rows
            except (pa.ArrowException, OSError) as error:
                raise UserError(f"{self.path} cannot be read: {error}") from None

    def _field(self, batch: Any, name: str) -> Field:
        import pyarrow as pa
        from pyarrow import types

        column, kind = batch.column(name), batch.schema.field(name).type
        if types.is_dictionary(kind):
            column, kind = column.dictionary_decode(), kind.value_type
        if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
            return ["" if text is None else text for text in column.to_pylist()]
        if types.is_boolean(kind) or (types.is_integer(kind) and not _fits_float64(column)):
            return ["" if value is None else str(value) for value in column.to_pylist()]
        if types.is_null(kind):
            return np.full(len(column), np.nan)
        if not (types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)):
            raise UserError(
                f"{self.path}: column {name!r} is of type {kind}, neither numbers nor text: "
                "leave it out with --drop, or convert it"
            )
        return column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).copy()


def write(
    path: Path, kind: np.dtype, rows: int, parts: Iterable[tuple[np.ndarray, np.ndarray]]
) -> None:
    """See `write_table`. An unusable row has nulls."""
    import pyarrow as pa
    from pyarrow import parquet

    names = list(kind.names or ())
    types = [pa.string() if kind[n].kind == "U" else pa.from_numpy_dtype(kind[n]) for n in names]
    schema = pa.schema(list(zip(names, types, strict=True)))
    with atomic_writer(path) as file, parquet.ParquetWriter(file, schema) as writer:
        for records, usable in parts:
            columns = [
                pa.array(np.ascontiguousarray(records[name]), type_, mask=~usable)
                for name, type_ in zip(names, types, strict=True)
            ]
            writer.write_batch(pa.record_batch(columns, schema=schema))


def _open(path: Path) -> Any:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(path, buffer_size=READ_BUFFER, pre_buffer=False)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is no Parquet file that can be read: {error}") from None


def _fits_float64(column: Any) -> bool:
    """Whether float64 holds all integers of a column exactly, as it does those below 2^53."""
    import pyarrow.compute as pc

    low, high = pc.call_function("min_max", [column]).as_py().values()
    return low is None or max(-low, high) < 2**53


def _rows(file: Any, group: int) -> int:
    return file.metadata.row_group(group).num_rows
