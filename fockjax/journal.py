"""A journal of finished chunks, so that a run that was killed can continue where it stopped.

The file is a line of JSON, which identifies the run, followed by records:

    SHA-256 of the rest, length of the payload (8 bytes), payload

The payload is a line of JSON, then the rows as NumPy holds them in memory; the last record of a
run has no rows, and says that all are there. A record is on the disk before `append` returns. One
that was cut short or is damaged does not match its checksum: it and all that follows is ignored,
and the next record is written in its place.
"""

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from fockjax._advice import UserError
from fockjax._files import lock, naming, sync_folder, write_all

DIGEST_BYTES, LENGTH_BYTES = 32, 8
FORMAT = 2
BEGIN = b'{"format": '  # of every journal
CLOSED_FIRST = os.name == "nt"  # Windows removes no file that is open; elsewhere its lock remains


class Journal:
    """Rows of a structured dtype, appended in chunks, each with notes; from `open_journal`.

    Attributes:
        path: the file.
        kind: the dtype of the rows.
        rows: how many rows are in the journal; a run continues after these.
        finished: whether these are all, so that the run may have written its output.
    """

    def __init__(self, path: Path, file: io.FileIO, kind: np.dtype):
        self.path, self.kind, self.rows, self.finished = path, kind, 0, False
        self._file = file
        self._first = self._end = file.tell()
        for part, _ in self._records():
            self.rows += len(part)
            self.finished = not len(part)
            self._end = file.tell()

    def append(self, rows: np.ndarray, notes: Sequence[str] = ()) -> None:
        """Add finished rows, at least one; they are on the disk when this returns."""
        assert len(rows)
        self._append(rows, notes)
        self.rows += len(rows)

    def finish(self) -> None:
        """Note that all rows are there and in the output, before that takes its name."""
        if not self.finished:
            self._append(np.empty(0, self.kind), [])
            self.finished = True

    def _append(self, rows: np.ndarray, notes: Sequence[str]) -> None:
        payload = json.dumps(list(notes)).encode() + b"\n" + rows.astype(self.kind).tobytes()
        record = len(payload).to_bytes(LENGTH_BYTES, "little") + payload
        with naming(self.path):
            self._file.truncate(self._end)  # what a kill or a full disk has left half-written
            write_all(self._file, hashlib.sha256(record).digest() + record)
            os.fsync(self._file.fileno())
        self._end = self._file.tell()

    def discard(self) -> None:
        """Remove the file, once its rows are no longer needed."""
        if CLOSED_FIRST:
            self._file.close()
        self.path.unlink(missing_ok=True)
        sync_folder(self.path.parent)

    def chunks(self) -> Iterator[tuple[np.ndarray, list[str]]]:
        """The rows and notes of each record, in order.

        Raises:
            UserError: at the end, if there were fewer rows than were stored.
        """
        found = 0
        for rows, notes in self._records():
            found += len(rows)
            if len(rows):
                yield rows, notes
        if found < self.rows:
            raise UserError(
                f"{self.path} was damaged meanwhile: {found:,} of {self.rows:,} rows are left; the "
                "same command goes on from there, without --restart"
            )

    def _records(self) -> Iterator[tuple[np.ndarray, list[str]]]:
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


def stored_identity(path: Path, identity: dict[str, Any]) -> dict[str, Any]:
    """The identity of the interrupted run whose journal this is; empty if there is none.

    Raises:
        UserError: if the file is not a journal, or has other values for any of `identity`.
    """
    try:
        file = open(path, "rb")
    except FileNotFoundError:
        return {}
    with file:
        stored = _read_head(file, path)
        if not stored or not file.read(1):
            return {}
    _check_same(path, stored, {"format": FORMAT, **identity})
    return stored


@contextlib.contextmanager
def open_journal(
    path: Path, identity: dict[str, Any], kind: np.dtype, *, restart: bool = False
) -> Iterator[Journal]:
    """Open the journal of a run: a new one, or the one that an interrupted run left behind.

    Args:
        path: the file. If it has rows, it stays until `Journal.discard`.
        identity: hashes and other JSON that identify the run; they must equal those in the file.
        kind: structured dtype of the rows.
        restart: begin anew, whatever the file holds.

    Raises:
        UserError: if the file is not a journal, or belongs to another run, or if another process is
            writing to it.

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
    with _opened(path) as file:
        file.seek(0)
        stored = {} if restart else _read_head(file, path)
        if not stored or not file.read(1):  # rows of whatever run would be after the head
            with naming(path):
                file.truncate(0)
                write_all(file, json.dumps(head).encode() + b"\n")
            sync_folder(path.parent)
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


def _opened(path: Path) -> io.FileIO:
    """The file, made if need be, which no other process may open so until this one closes it.

    Raises:
        UserError: if another process has it open.
    """
    while True:
        file = open(path, "a+b", buffering=0)
        try:
            lock(file.fileno(), path)
            # The process that had the lock before may have removed the file that it was on.
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def _read_head(file: IO[bytes], path: Path) -> dict[str, Any]:
    """The first line of a journal, which is then the position; empty if it was cut short.

    Raises:
        UserError: if this is no journal.
    """
    begin = file.read(len(BEGIN))
    line = begin + (file.readline() if begin == BEGIN else b"")
    if BEGIN.startswith(begin) and not line.endswith(b"\n"):
        return {}
    if begin == BEGIN:
        with contextlib.suppress(ValueError):
            return json.loads(line)
    raise UserError(
        f"{path} is not a journal, and is where the journal belongs: move it away, or --restart "
        "replaces it"
    )


def _check_same(path: Path, stored: dict, head: dict) -> None:
    changed = [name for name in head if stored.get(name) != head[name]]
    if changed:
        raise UserError(
            f"{path} belongs to an interrupted run with other {' and '.join(changed)}; "
            "--restart discards it and begins anew"
        )
