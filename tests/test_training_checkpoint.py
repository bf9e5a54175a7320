"""A checkpoint is whole or absent, whatever happens while it is written or afterwards."""

import os
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fockjax.training import UserError, checkpoint, files


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


def damage_everywhere(path):
    """Every truncation and every flipped bit of a file, a few at a time."""
    content = path.read_bytes()
    for length in {0, 1, 20, 21, 52, 53, len(content) // 2, len(content) - 1}:
        yield content[:length]
    for position in range(0, len(content), 5):
        flipped = bytearray(content)
        flipped[position] ^= 1 << (position % 8)
        yield bytes(flipped)


def test_damage_is_loud_and_falls_back_to_the_one_before(tmp_path):
    checkpoint.save(tmp_path, 1, "", tree(1.0))
    newest = checkpoint.save(tmp_path, 2, "", tree(2.0))
    for content in damage_everywhere(newest):
        newest.write_bytes(content)
        said = []
        assert loaded(tmp_path, said.append) == 1
        assert len(said) == 1 and newest.name in said[0] and "damaged" in said[0]


def test_if_every_file_is_damaged_the_user_decides(tmp_path):
    for epoch in (1, 2):
        checkpoint.save(tmp_path, epoch, "", tree(1.0)).write_bytes(b"junk")
    with pytest.raises(UserError, match="every checkpoint .* damaged; --overwrite"):
        checkpoint.latest(tmp_path, lambda message: None)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ({"other": jnp.zeros(2)}, r"no array \['other'\]"),
        ({"w": jnp.zeros(3)}, r"float32\[2\], the model's float32\[3\]"),
        ({"w": jnp.zeros(2, jnp.int32)}, r"float32\[2\], the model's int32\[2\]"),
    ],
)
def test_a_checkpoint_of_another_model_is_refused(template, message):
    with pytest.raises(UserError, match=message):
        checkpoint.restore(template, {"['w']": np.zeros(2, np.float32)})


@pytest.mark.parametrize("call", ["fsync", "replace", "fdopen", "chmod"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_failing_disk_leaves_the_old_checkpoint(tmp_path, monkeypatch, call, count):
    """The n-th call of each kind fails: what is read next is the old state or the new one."""
    checkpoint.save(tmp_path, 1, "", tree(1.0))
    original, calls = getattr(os, call), []

    def failing(*arguments, **options):
        calls.append(call)
        if len(calls) == count:
            if call == "fdopen":
                os.close(arguments[0])
            raise OSError(28, "No space left on device")
        return original(*arguments, **options)

    monkeypatch.setattr(os, call, failing)
    failed = False
    try:
        checkpoint.save(tmp_path, 2, "", tree(2.0))
    except OSError:
        failed = True
    assert failed or len(calls) < count
    assert loaded(tmp_path) in ((1.0, 2.0) if failed else (2.0,))
    if failed and call != "fsync":  # the second fsync is the folder's, after the rename
        assert loaded(tmp_path) == 1
    assert not list(tmp_path.glob(".*"))


def test_an_atomic_file_is_readable_by_others_as_any_new_file(tmp_path):
    with files.atomic_writer(tmp_path / "a", "w") as file:
        file.write("x")
    (tmp_path / "b").write_text("x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode
