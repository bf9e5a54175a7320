"""Files that are either whole or absent: written beside their place, synced, then renamed."""

import contextlib
import errno
import glob
import hashlib
import io
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from fockjax._advice import UserError

CHECKSUM = "sha256"  # in sealed JSON


@contextlib.contextmanager
def atomic_writer(path: Path, mode: str = "wb", **options: Any) -> Iterator[IO[Any]]:
    """Open a file that appears at ``path``, complete and on disk, if the block ends without error.

    If ``path`` is a link, the file that it points to is replaced.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with atomic_writer(folder / "a.txt", "w") as file:
        ...     _ = file.write("whole")
        >>> (folder / "a.txt").read_text()
        'whole'
    """
    path = _behind_links(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    # Not by `tempfile`, which makes private files: this is the mode that open() would give.
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        with naming(path):
            with os.fdopen(descriptor, mode, **options) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    sync_folder(path.parent)


def remove_leftovers(path: Path) -> None:
    """Remove the files that processes killed while writing ``path`` have left beside it."""
    path = _behind_links(path)
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        leftover.unlink(missing_ok=True)


def same_file(first: Path, second: Path) -> bool:
    """Whether two paths name one file, through whatever links; it need not exist.

    >>> same_file(Path("here/new.csv"), Path("here/there/../new.csv"))
    True
    """
    if first.exists() and second.exists():
        return first.samefile(second)
    return _behind_links(first) == _behind_links(second)


def _behind_links(path: Path) -> Path:
    return Path(os.path.realpath(path))


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Have an error of the disk within the block, say for want of space, name this file."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def write_all(file: io.RawIOBase, content: bytes) -> None:
    """Write to a file opened without a buffer, which may take a part at a time.

    What a buffer holds after an error is written again when the file is closed.
    """
    while content:
        content = content[file.write(content) :]


def write_sealed(path: Path, value: dict) -> None:
    """Write JSON together with its checksum, by which `read_sealed` tells whether it is whole."""
    with atomic_writer(path, "w", encoding="utf-8") as file:
        sealed = value | {CHECKSUM: _checksum(value)}
        file.write(json.dumps(sealed, indent=2, allow_nan=False) + "\n")


def read_sealed(path: Path, remedy: str) -> dict:
    """What `write_sealed` has written.

    Raises:
        FileNotFoundError: if there is no such file.
        UserError: if it cannot be read, is damaged or was edited; with what to do then.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): {remedy}") from None
    if not isinstance(value, dict) or value.pop(CHECKSUM, None) != _checksum(value):
        raise UserError(f"{path} is damaged or was edited (its checksum does not match): {remedy}")
    return value


def _checksum(value: dict) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` durable, where the system allows it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows cannot open a folder
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some systems cannot sync one
            raise
    finally:
        os.close(descriptor)


def lock(descriptor: int, path: Path) -> None:
    """Keep other processes from locking an open file or folder, until it is closed.

    Raises:
        UserError: if another process holds it.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(f"another process is writing to {path}: wait for it") from None
    except OSError:  # some file systems have no locks
        return
