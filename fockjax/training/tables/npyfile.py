"""NumPy's .npy files: reads a matrix of numbers without names, writes a structured array."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from fockjax._advice import UserError
from fockjax._files import atomic_writer
from fockjax.training.tables.columns import CHUNK_ROWS, Raw, Table


class NpyTable(Table):
    """Real numbers (rows, columns). They have no names, so all columns are read, in order."""

    def __init__(self, path: Path):
        self.path, self.names = path, None
        array = self._array()
        self.rows, self.kind, self.shape = len(array) if array.ndim else 0, array.dtype, array.shape

    def chunks(self, names: Sequence[str], start: int = 0, size: int = CHUNK_ROWS) -> Iterator[Raw]:
        if len(self.shape) != 2 or self.shape[1] != len(names) or self.kind.kind not in "fiub":
            raise UserError(
                f"{self.path} must hold real numbers of shape (rows, {len(names)}), the columns in "
                f"the order of the training data; it holds {self.kind} of shape {self.shape}"
            )
        for first in range(start, self.shape[0], size):
            # Mapped anew each time, so that pages read before do not stay in memory.
            values = np.array(self._array()[first : first + size], np.float64)
            yield Raw(first, len(values), dict(zip(names, values.T, strict=True)))

    def _array(self) -> Any:
        try:
            array = np.load(self.path, mmap_mode="r", allow_pickle=False)
            if not isinstance(array, np.ndarray):
                raise ValueError("it is an archive of several arrays (.npz)")
            return array
        except FileNotFoundError:
            raise UserError(f"{self.path} does not exist") from None
        except (ValueError, EOFError, OSError, SyntaxError, TokenError) as error:
            raise UserError(f"{self.path} cannot be read: {error}") from None


def write(
    path: Path, kind: np.dtype, rows: int, parts: Iterable[tuple[np.ndarray, np.ndarray]]
) -> None:
    """See `write_table`. An unusable row has NaN and empty text, so integers become float64."""
    fields = [(name, _emptiable(kind[name])) for name in kind.names or ()]
    header = {"descr": fields, "fortran_order": False, "shape": (rows,)}
    with atomic_writer(path) as file:
        try:
            np.lib.format.write_array_header_2_0(file, header)
        except UnicodeEncodeError:  # a name has letters beyond Latin-1
            file.write(_header_3_0(header))
        for records, usable in parts:
            out = records.astype(fields)
            for name, _ in fields:
                out[name][~usable] = "" if out.dtype[name].kind == "U" else np.nan
            file.write(out.tobytes())


def _header_3_0(header: dict[str, object]) -> bytes:
    """What write_array_header_2_0 writes, but in UTF-8, for which NumPy has no public function."""
    magic, text = np.lib.format.magic(3, 0), repr(header).encode("utf-8")
    spaces = -(len(magic) + 4 + len(text) + 1) % np.lib.format.ARRAY_ALIGN
    text += b" " * spaces + b"\n"
    return magic + len(text).to_bytes(4, "little") + text


def _emptiable(kind: np.dtype) -> str:
    return kind.str if kind.kind == "U" else "<f8"
