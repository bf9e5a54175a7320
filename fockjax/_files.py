"""Files that are either whole or absent: written beside their place, synced, then renamed."""

import contextlib
import errno
import glob
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from fockjax._advice import UserError


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
        with os.fdopen(descriptor, mode, **options) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # that could not be written, say for want of space
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


def write_json(path: Path, value: object) -> None:
    """Write ``value`` as indented JSON, atomically."""
    with atomic_writer(path, "w", encoding="utf-8") as file:
        file.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


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
