"""A checkpoint is whole or absent, whatever happens while it is written or afterwards."""

import os
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fockjax import _files as files
from fockjax.training import checkpoint


class Tree(NamedTuple):
    weights: dict
    step: jnp.ndarray


def tree(value):
    weights = {"w": jnp.full((3, 2), value), "phase": jnp.asarray(1j * value)}
    return Tree(weights, jnp.asarray(7, jnp.int32))


def loaded(folder, warn=pytest.fail):
    stored = checkpoint.latest(folder, warn)
    return None if stored is None else float(stored[1][".weights['w']"][0, 0])


def test_a_tree_comes_back_bit_for_bit(tmp_path):
    saved = Tree(
        {"w": jnp.asarray([0.1, -0.0, 1e-42, jnp.inf]), "phase": jnp.asarray(1j)}, jnp.int32(3)
    )
    checkpoint.save(tmp_path, 3, "same", saved)
    identity, arrays = checkpoint.latest(tmp_path, pytest.fail)
    restored = checkpoint.restore(saved, arrays)
    assert identity == "same"
    for before, after in zip(jax.tree.leaves(saved), jax.tree.leaves(restored), strict=True):
        assert before.dtype == after.dtype
        assert np.asarray(before).tobytes() == after.tobytes()


def test_the_last_two_are_kept_and_the_newest_is_read(tmp_path):
    for epoch in (1, 2, 10):
        checkpoint.save(tmp_path, epoch, "", tree(float(epoch)))
    assert [path.name for path in checkpoint.paths(tmp_path)] == [
        "epoch-00000010.ckpt",
        "epoch-00000002.ckpt",
    ]
    assert loaded(tmp_path) == 10


def test_no_folder_and_no_files_are_no_checkpoint(tmp_path):
    assert loaded(tmp_path / "none") is None
    (tmp_path / "notes.txt").write_text("mine")
    assert loaded(tmp_path) is None


@pytest.mark.parametrize("umask", [0o022, 0o007, 0o077])
def test_an_atomic_file_is_readable_by_others_as_any_new_file(tmp_path, monkeypatch, umask):
    before = os.umask(umask)
    try:
        with monkeypatch.context() as patch:  # which is that of all threads
            patch.setattr(os, "umask", lambda mask: pytest.fail("the umask was changed"))
            with files.atomic_writer(tmp_path / "a", "w") as file:
                file.write("x")
        (tmp_path / "b").write_text("x")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_a_newer_one_that_could_not_be_read_makes_room(tmp_path):
    for epoch in (45, 50):
        checkpoint.save(tmp_path, epoch, "run", {"a": np.zeros(2)})
    (tmp_path / "epoch-00000050.ckpt").write_bytes(b"junk")
    checkpoint.save(tmp_path, 47, "run", {"a": np.ones(2)})
    assert [path.name for path in checkpoint.paths(tmp_path)] == [
        "epoch-00000047.ckpt",
        "epoch-00000045.ckpt",
    ]


def test_an_atomic_file_replaces_what_a_link_points_to(tmp_path):
    target, link = tmp_path / "elsewhere" / "target", tmp_path / "link"
    target.parent.mkdir()
    link.symlink_to(target)
    for text in ("new", "newer"):
        leftover = target.with_name(".target.abc.tmp")
        leftover.write_text("of a process that was killed")
        files.remove_leftovers(link)
        with files.atomic_writer(link, "w") as file:
            file.write(text)
        assert link.is_symlink() and target.read_text() == text
        assert list(target.parent.iterdir()) == [target]
    with pytest.raises(ZeroDivisionError), files.atomic_writer(link, "w") as file:
        file.write("half" if 1 / 0 else "")
    assert target.read_text() == "newer" and list(target.parent.iterdir()) == [target]
