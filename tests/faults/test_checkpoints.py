"""Damaged, foreign and half-written checkpoints: the one before is taken, or nothing is begun."""

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from fockjax._files import write_sealed
from fockjax.training import UserError, checkpoint, folder
from fockjax.training.config import TrainConfig
from fockjax.training.history import MetricsLog
from fockjax.training.probe import read_probe

TREE = {"w": jnp.full((3, 2), 1.0), "phase": jnp.asarray(1j), "step": jnp.asarray(7, jnp.int32)}


def save(place, epoch):
    """A checkpoint whose weights tell the epoch."""
    return checkpoint.save(place, epoch, "", TREE | {"w": TREE["w"] * epoch})


def newest(place, warn=pytest.fail):
    stored = checkpoint.latest(place, warn)
    return None if stored is None else float(stored[1]["['w']"][0, 0])


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
    save(tmp_path, 1)
    path = save(tmp_path, 2)
    for content in damage_everywhere(path):
        path.write_bytes(content)
        said = []
        assert newest(tmp_path, said.append) == 1
        assert len(said) == 1 and path.name in said[0] and "damaged" in said[0]


def test_another_version_is_told_from_damage(tmp_path):
    path = save(tmp_path, 1)
    path.write_bytes(path.read_bytes().replace(b"checkpoint-1\n", b"checkpoint-2\n"))
    with pytest.raises(checkpoint.DamagedCheckpoint, match="another version of fockjax"):
        checkpoint.read(path)


def test_if_no_file_can_be_read_the_user_decides(tmp_path):
    for epoch in (1, 2):
        save(tmp_path, epoch).write_bytes(b"junk")
    said = []
    with pytest.raises(UserError, match="no checkpoint .* can be read: .*--overwrite"):
        checkpoint.latest(tmp_path, said.append)
    assert len(said) == 2


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


@pytest.mark.parametrize("call", ["fsync", "replace", "fdopen", "open"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_failing_disk_leaves_the_old_checkpoint(tmp_path, monkeypatch, call, count):
    """The n-th call of each kind fails: what is read next is the old state or the new one."""
    save(tmp_path, 1)
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
        save(tmp_path, 2)
    except OSError:
        failed = True
    folder_only = call == "open" and count == 2  # a folder that cannot be opened is not synced
    assert failed or len(calls) < count or folder_only
    assert newest(tmp_path) in ((1.0, 2.0) if failed else (2.0,))
    if failed and call != "fsync":  # the second fsync is the folder's, after the rename
        assert newest(tmp_path) == 1
    assert not list(tmp_path.glob(".*"))


KILLED = """
import os, signal, sys
import jax.numpy as jnp
from pathlib import Path
from fockjax.training import checkpoint

place, call, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
original, calls = getattr(os, call), []

def killing(*arguments, **options):
    calls.append(call)
    if len(calls) == count:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments, **options)

setattr(os, call, killing)
checkpoint.save(place, 2, "", {"w": jnp.full((3, 2), 2.0)})
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "count", "left"),
    [("fsync", 1, 1), ("replace", 1, 1), ("fsync", 2, 2)],
)
def test_a_kill_between_writing_and_renaming_leaves_a_whole_one(tmp_path, call, count, left):
    place = tmp_path / folder.CHECKPOINTS
    save(place, 1)
    command = [sys.executable, "-c", KILLED, str(place), call, str(count)]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    assert newest(place) == left
    assert len(list(place.glob(".*.tmp"))) == (left == 1)
    write_sealed(tmp_path / folder.CONFIG, DESCRIPTION)  # as of a run; then the next one begins
    with folder.claimed(tmp_path, DESCRIPTION, TrainConfig(overwrite=True)):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [folder.CONFIG]


# The other files of a model folder


DESCRIPTION = {"format": folder.FORMAT, "identity": {"cutoff": 8}, "scaler": {"mean": [1.5]}}


@pytest.fixture
def described(tmp_path):
    with folder.claimed(tmp_path, DESCRIPTION, TrainConfig()):
        pass
    assert folder.read_config(tmp_path) == DESCRIPTION
    return tmp_path


RESULTS = {"figures": {"photonic": {"accuracy": 0.9}}, "notes": ["best epoch: 1 of 3"]}
PROBE = {"rows": [[1.5, "red", None]], "answer": [0.25], "leakage": [1e-5]}
SEALED = {
    folder.CONFIG: (DESCRIPTION, folder.read_config),
    folder.RESULTS: (RESULTS, folder.read_results),
    folder.PROBE: (PROBE, lambda place: read_probe(place).to_json()),
}


@pytest.mark.parametrize("name", SEALED)
def test_a_flipped_bit_never_goes_unseen(described, name):
    path, (value, read) = described / name, SEALED[name]
    write_sealed(path, value)
    assert read(described) == value
    content = path.read_bytes()
    for position in range(len(content)):
        for bit in (0, 1, 4):
            flipped = bytearray(content)
            flipped[position] ^= 1 << bit
            path.write_bytes(flipped)
            with pytest.raises(UserError, match=name):
                read(described)


@pytest.mark.parametrize("name", SEALED)
def test_a_file_that_is_damaged_or_was_edited_is_refused_with_advice(described, name):
    path, (value, read) = described / name, SEALED[name]
    write_sealed(path, value)
    edited = path.read_bytes().replace(b"1", b"2", 1)
    contents = (b"", b'{"figures": {"pho', b"\0", b"\xff", b"[1]", b"{}", b"null", b'"text"')
    for content in (*contents, edited):
        path.write_bytes(content)
        with pytest.raises(UserError, match=f"{name} is damaged .*: .*--(resume|out)"):
            read(described)


def test_only_what_a_run_has_left_is_overwritten(tmp_path):
    """Other programs have a config.json, too, and folds, and reports."""
    names = (folder.RESULTS, folder.REPORT, folder.METRICS, "roc.png", "fold_0/config.json")
    for content in ('{"model_type": "bert"}', "[]", "{", "\0"):
        with tempfile.TemporaryDirectory(dir=tmp_path) as name:
            foreign = Path(name)
            (foreign / "fold_0").mkdir()
            for each in (folder.CONFIG, *names):
                (foreign / each).write_text(content)
            for options in ({"overwrite": True}, {"overwrite": True, "folds": 2}, {}):
                with pytest.raises(UserError, match="not of fockjax, or is damaged: .* --out"):
                    with folder.claimed(foreign, DESCRIPTION, TrainConfig(**options)):
                        pass
            assert all((foreign / each).read_text() == content for each in (folder.CONFIG, *names))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ("config.json", "fold_1: its config.json is not of fockjax"),
        ("metrics.jsonl", "fold_1 holds no run, but has a metrics.jsonl"),
        (None, "fold_1 is not the folder of a fold"),
    ],
)
def test_nothing_is_removed_if_a_fold_is_not_ours(described, other, message):
    write_sealed(described / folder.RESULTS, RESULTS)
    if other:
        (described / "fold_1").mkdir()
        (described / "fold_1" / other).write_text("{}")
    else:
        (described / "fold_1").write_text("mine")
    with pytest.raises(UserError, match=message):
        with folder.claimed(described, DESCRIPTION, TrainConfig(overwrite=True, folds=2)):
            pass
    assert folder.read_results(described) == RESULTS


def test_a_file_of_another_in_a_fold_stays_and_hinders_nothing(described):
    folds = [described / "fold_0", described / "fold_1"]
    for fold in folds:
        with folder.claimed(fold, DESCRIPTION, TrainConfig(folds=2), fold=True):
            write_sealed(fold / folder.RESULTS, RESULTS)
    (folds[0] / ".DS_Store").write_text("mine")
    options = TrainConfig(overwrite=True, folds=2)
    with folder.claimed(described, DESCRIPTION, options):
        assert not folds[1].exists()
        for fold in folds:  # the first one as if the run were killed here, and resumed
            with folder.claimed(fold, DESCRIPTION, TrainConfig(resume=True, folds=2), fold=True):
                assert folder.read_config(fold) == DESCRIPTION
                assert folder.read_results(fold) is None
    assert (folds[0] / ".DS_Store").read_text() == "mine"


def test_a_checkpoint_that_cannot_be_read_is_skipped(tmp_path, monkeypatch):
    save(tmp_path, 1)
    path, read = save(tmp_path, 2), Path.read_bytes

    def failing(self):
        if self == path:
            raise OSError(errno.EIO, "Input/output error")
        return read(self)

    monkeypatch.setattr(Path, "read_bytes", failing)
    said = []
    assert newest(tmp_path, said.append) == 1
    assert len(said) == 1 and "cannot be read (Input/output error); falling back" in said[0]


def test_a_full_disk_is_told_by_the_name_of_the_log(tmp_path):
    resource = pytest.importorskip("resource")
    path, limits = tmp_path / folder.METRICS, resource.getrlimit(resource.RLIMIT_FSIZE)
    with pytest.raises(OSError, match=f"File too large: '{path}'"):
        with MetricsLog(path, 0, ("loss",), pytest.fail) as log:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20, limits[1]))
            try:
                log.append({"epoch": 1, "loss": 0.1})
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_run_without_results_is_not_finished(described):
    assert folder.read_results(described) is None


def lines(epochs):
    return [json.dumps({"epoch": k, "loss": 0.1 * k, "skipped": 0.0}) for k in epochs]


def test_the_log_is_cut_back_to_the_checkpoint(tmp_path):
    path = tmp_path / folder.METRICS
    for rest in ("", '{"epoch": 4, "lo', "\n".join([*lines([4, 5]), "\x80"])):
        path.write_text("\n".join([*lines([1, 2, 3]), rest]), encoding="latin-1")
        with MetricsLog(path, 3, ("loss", "skipped"), pytest.fail) as log:
            log.append({"epoch": 4, "loss": float("nan"), "skipped": 1.0})
        *before, last = path.read_text().splitlines()
        assert before == lines([1, 2, 3]) and json.loads(last)["loss"] is None
        with MetricsLog(path, 4, ("loss", "skipped"), pytest.fail) as log:
            assert [line["epoch"] for line in log.history] == [1, 2, 3, 4]
    with MetricsLog(path, 0, ("loss", "skipped"), pytest.fail) as log:
        assert log.history == [] and path.read_text() == ""


DAMAGED = [b"\xff\xfe", b"5", b"{}", b"[1]", b"null", b"", b"\0", b'{"epoch": 2, "loss": 0.2']
DAMAGED += [line.encode() for line in lines([1, 3])]  # of another epoch
DAMAGED += [b'{"epoch": 2, "loss": 0.2}', b'{"epoch": 2, "loss": "0.2", "skipped": 0.0}']


@pytest.mark.parametrize("line", DAMAGED)
def test_a_damaged_line_of_the_log_costs_its_metrics_and_is_told(tmp_path, line):
    path = tmp_path / folder.METRICS
    content = b"\n".join([lines([1])[0].encode(), line, lines([3])[0].encode()]) + b"\n"
    path.write_bytes(content)
    told: list[str] = []
    with MetricsLog(path, 3, ("loss", "skipped"), told.append) as log:
        unknown = {"epoch": 2, "loss": None, "skipped": None}
        assert log.history == [json.loads(lines([1])[0]), unknown, json.loads(lines([3])[0])]
    assert told == [f"{path} is damaged: the metrics of 1 of 3 epochs are not known"]
    with MetricsLog(path, 3, ("loss", "skipped"), pytest.fail) as log:
        assert log.history[1] == unknown  # stored so


def test_a_log_that_is_missing_or_too_short_is_told(tmp_path):
    path = tmp_path / folder.METRICS
    for content, missing in ((None, 3), ("\n".join(lines([1, 2])), 1)):
        if content:
            path.write_text(content)
        told: list[str] = []
        with MetricsLog(path, 3, ("loss", "skipped"), told.append) as log:
            assert [line["epoch"] for line in log.history] == [1, 2, 3]
        assert f"the metrics of {missing} of 3 epochs" in told[0]


@pytest.fixture
def read_only():
    """A folder that this process cannot write, even as root."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o555)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            if root:
                os.seteuid(0)


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of folders")
def test_a_folder_that_cannot_be_written_is_refused_before_the_training(read_only):
    for place in (read_only, read_only / "new"):
        with pytest.raises((UserError, PermissionError), match=read_only.name):
            with folder.claimed(place, {}, TrainConfig()):
                pass
    with pytest.raises(PermissionError, match=read_only.name):
        save(read_only, 1)
    assert not any(read_only.iterdir())
