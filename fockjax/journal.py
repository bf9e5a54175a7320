"""A journal of finished chunks, so that a run killed at any moment can continue where it was.

The file begins with a line of JSON that identifies the run. Then follow records:

    SHA-256 of the rest, length of the payload (8 bytes), payload

The payload is a line of JSON and the rows as NumPy has them in memory. A record is on the disk
before `Journal.append` returns. A record that was cut short by a kill, or is damaged, does not
match its checksum: it and everything after it are ignored, and the next record takes their place.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from fockjax._advice import UserError
from fockjax._files import sync_folder

DIGEST_BYTES, LENGTH_BYTES = 32, 8
FORMAT = 1


class Journal:
    """Rows of a structured dtype, appended in chunks, each with notes; from `open_journal`.

    Attributes:
        path: the file.
        kind: the dtype of the rows.
        rows: rows in the journal; a run goes on after these.
    """

    def __init__(self, path: Path, file: IO[bytes], kind: np.dtype):
        self.path, self.kind, self.rows = path, kind, 0
        self._file = file
        self._first = self._end = file.tell()
        for part, _ in self.chunks():
            self.rows += len(part)
            self._end = file.tell()

    def append(self, rows: np.ndarray, notes: Sequence[str] = ()) -> None:
        """Add finished rows; they are on the disk when this returns."""
        payload = json.dumps(list(notes)).encode() + b"\n" + rows.astype(self.kind).tobytes()
        record = len(payload).to_bytes(LENGTH_BYTES, "little") + payload
        self._file.truncate(self._end)  # what a kill or a full disk has left half-written
        self._file.write(hashlib.sha256(record).digest() + record)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._end = self._file.tell()
        self.rows += len(rows)

    def discard(self) -> None:
        """Remove the file, when its rows have been delivered or are of no use."""
        self.path.unlink(missing_ok=True)
        sync_folder(self.path.parent)

    def chunks(self) -> Iterator[tuple[np.ndarray, list[str]]]:
        """The rows and notes of each record, in order, up to the first that is not whole."""
        self._file.seek(self._first)
        while payload := self._payload():
            notes, _, rows = payload.partition(b"\n")
            yield np.frombuffer(rows, self.kind), json.loads(notes)

    def _payload(self) -> bytes | None:
        digest, length = self._file.read(DIGEST_BYTES), self._file.read(LENGTH_BYTES)
        size = int.from_bytes(length, "little")
        left = os.fstat(self._file.fileno()).st_size - self._file.tell()
        if len(length) < LENGTH_BYTES or size > left:
            return None
        payload = self._file.read(size)
        return payload if hashlib.sha256(length + payload).digest() == digest else None


@contextlib.contextmanager
def open_journal(
    path: Path, identity: dict[str, str], kind: np.dtype, *, restart: bool = False
) -> Iterator[Journal]:
    """The journal of a run: a new one, or the one that an interrupted run has left.

    Args:
        path: the file; if it has rows, it stays until `Journal.discard`.
        identity: hashes of what the run depends on; if they differ from those in the file, the file
            is refused.
        kind: the structured dtype of the rows.
        restart: begin anew, even if there is a journal.

    Raises:
        UserError: the journal is of another run, or another process writes to it.

    Example:
        >>> import tempfile
        >>> path, kind = Path(tempfile.mkdtemp()) / "journal", np.dtype([("x", "<f8")])
        >>> with open_journal(path, {"data": "abc"}, kind) as journal:
        ...     journal.append(np.zeros(3, kind), ["as far as it went"])
        >>> with open_journal(path, {"data": "abc"}, kind) as journal:
        ...     print(journal.rows)
        ...     journal.discard()
        3
    """
    head = {"format": FORMAT, **identity, "columns": [list(field) for field in kind.descr]}
    with open(path, "a+b") as file:
        _lock(file, path)
        file.seek(0)
        stored, begun = _parse(file.readline()), file.read(1)
        if restart or stored is None or not begun:
            file.truncate(0)
            file.write(json.dumps(head).encode() + b"\n")
        else:
            _check_same(path, stored, head)
        file.seek(0)
        file.readline()
        journal = Journal(path, file, kind)
        try:
            yield journal
        finally:
            if journal.rows == 0:
                journal.discard()


def _lock(file: IO[bytes], path: Path) -> None:
    """Keep other processes from writing; the system releases the lock when this process ends."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(f"another process is writing to {path}: wait for it") from None


def _parse(line: bytes) -> dict | None:
    """The first line of a journal; None if it is missing or was cut short."""
    try:
        return json.loads(line)
    except ValueError:
        return None


def _check_same(path: Path, stored: dict, head: dict) -> None:
    changed = [name for name in head if stored.get(name) != head[name]]
    if changed:
        raise UserError(
            f"{path} is of an interrupted run with other {' and '.join(changed)}; "
            "--restart discards it and begins anew"
        )
