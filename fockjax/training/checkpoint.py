"""Checkpoints: one small file each, whole or absent, checked by SHA-256, the last two kept.

A model here is a few kilobytes, saved many times a minute. Flax's msgpack takes 3 ms for that,
orbax 100 ms, and a digest of the whole file finds any flipped bit. Array leaves are stored under
the names of their paths in the tree, so a file describes itself, and reading it never runs code.
"""

import hashlib
import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import serialization

from fockjax._advice import UserError
from fockjax._files import atomic_writer

KEPT = 2
_MAGIC = b"fockjax-checkpoint-1\n"
_DIGEST_BYTES = 32
_NAME = re.compile(r"epoch-(\d{8})\.ckpt")


class DamagedCheckpoint(Exception):
    """A checkpoint file that is damaged, cannot be read, or was written by another version."""


def save(folder: Path, epoch: int, identity: str, tree: Any) -> Path:
    """Save a pytree of arrays as the checkpoint of `epoch`, and remove all but this and the one
    before. A newer one is from before a damage: it could not be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    payload = serialization.msgpack_serialize({"identity": identity, "arrays": _named(tree)})
    path = folder / f"epoch-{epoch:08d}.ckpt"
    with atomic_writer(path) as file:
        file.write(_MAGIC + hashlib.sha256(payload).digest() + payload)
    kept = [each for each in paths(folder) if each.name <= path.name][:KEPT]
    for other in set(paths(folder)) - set(kept):
        other.unlink(missing_ok=True)
    return path


def paths(folder: Path) -> list[Path]:
    """Checkpoint files of a folder, newest first."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
    return sorted(found, reverse=True)


def read(path: Path) -> tuple[str, dict[str, np.ndarray]]:
    """The identity hash and the named arrays of a file; raises DamagedCheckpoint."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DamagedCheckpoint(f"{path} cannot be read ({error.strerror})") from None
    start = len(_MAGIC)
    digest, payload = content[start : start + _DIGEST_BYTES], content[start + _DIGEST_BYTES :]
    if not content.startswith(_MAGIC):
        raise DamagedCheckpoint(f"{path} is damaged, or of another version of fockjax")
    if hashlib.sha256(payload).digest() != digest:
        raise DamagedCheckpoint(f"{path} is damaged (its checksum does not match)")
    value: Any = serialization.msgpack_restore(payload)
    return value["identity"], value["arrays"]


def latest(folder: Path, warn) -> tuple[str, dict[str, np.ndarray]] | None:
    """The newest whole checkpoint, or None if there are no files.

    A damaged file is reported through `warn(message)` and the one before it is used. If no file can
    be read, this raises UserError, since the user must decide what to do.
    """
    files = paths(folder)
    for left, path in enumerate(files, 1 - len(files)):
        try:
            return read(path)
        except DamagedCheckpoint as error:
            warn(f"{error}; falling back to the checkpoint before it" if left else str(error))
    if files:
        raise UserError(
            f"no checkpoint in {folder} can be read: put a copy in its place, or train anew "
            "(fockjax train --overwrite)"
        )
    return None


def restore(template: Any, arrays: dict[str, np.ndarray], prefix: str = "") -> Any:
    """Replace each leaf of `template` by the array of its name; shapes and dtypes must agree."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(template)
    restored = []
    for path, leaf in leaves:
        name = prefix + jax.tree_util.keystr(path)
        if name not in arrays:
            raise UserError(f"the checkpoint has no array {name}: it belongs to another model")
        array = arrays[name]
        if array.shape != leaf.shape or array.dtype != leaf.dtype:
            raise UserError(
                f"the checkpoint's {name} is {array.dtype}{list(array.shape)}, the model's "
                f"{leaf.dtype}{list(leaf.shape)}: it belongs to another model"
            )
        restored.append(array)
    return jax.tree_util.tree_unflatten(structure, restored)


def _named(tree: Any) -> dict[str, np.ndarray]:
    """The leaves of a pytree by the names of their paths."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}
