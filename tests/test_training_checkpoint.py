"""A checkpoint is whole or absent, whatever happens while it is written or afterwards."""

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


def test_an_atomic_file_is_readable_by_others_as_any_new_file(tmp_path):
    with files.atomic_writer(tmp_path / "a", "w") as file:
        file.write("x")
    (tmp_path / "b").write_text("x")
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
