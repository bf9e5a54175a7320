"""The journal: what was finished is there again, whatever happened to the end of the file."""

import errno
import os
import subprocess
import sys

import numpy as np
import pytest

from fockjax.journal import open_journal
from fockjax.training import UserError

KIND = np.dtype([("label", "<U2"), ("x", "<f8"), ("usable", "?")])
NEEDS_LOCKS = pytest.mark.skipif(sys.platform == "win32", reason="no flock")
IDENTITY = {"data": "abc", "model": "def"}


def rows(start, count):
    part = np.zeros(count, KIND)
    part["x"], part["label"] = np.arange(start, start + count), "é"
    return part


def opened(path, **options):
    return open_journal(path, IDENTITY, KIND, **options)


def stored(journal):
    return [(part["x"].tolist(), notes) for part, notes in journal.chunks()]


@pytest.fixture
def three(tmp_path):
    """A journal of three records, and where in the file each ends."""
    path, ends = tmp_path / "journal", []
    with opened(path) as journal:
        for start, count, notes in ((0, 3, ["one\ntwo", "é"]), (3, 1, []), (4, 2, ["x"])):
            journal.append(rows(start, count), notes)
            ends.append(path.stat().st_size)
    return path, ends


WHOLE = [([0, 1, 2], ["one\ntwo", "é"]), ([3], []), ([4, 5], ["x"])]


def test_a_journal_gives_back_what_was_put_in(three):
    with opened(three[0]) as journal:
        assert journal.rows == 6 and stored(journal) == WHOLE == stored(journal)


def test_a_journal_knows_whether_all_rows_are_there(three):
    path, ends = three
    with opened(path) as journal:
        assert not journal.finished
        journal.finish()
        journal.finish()
    size = path.stat().st_size
    with opened(path) as journal:
        assert journal.finished and journal.rows == 6 and stored(journal) == WHOLE
        journal.finish()
    assert path.stat().st_size == size
    path.write_bytes(path.read_bytes()[: ends[2] + 5])
    with opened(path) as journal:
        assert not journal.finished and journal.rows == 6


def test_a_record_cut_anywhere_does_not_count_and_is_written_over(three):
    path, ends = three
    content = path.read_bytes()
    for size in range(ends[0], ends[2]):
        path.write_bytes(content[:size])
        with opened(path) as journal:
            whole = sum(size >= end for end in ends)
            assert stored(journal) == WHOLE[:whole] and journal.rows == (0, 3, 4)[whole]
            journal.append(rows(0, 3), WHOLE[0][1])
        with opened(path) as journal:
            assert stored(journal) == [*WHOLE[:whole], WHOLE[0]]


def test_a_flipped_bit_ends_what_counts(three):
    path, ends = three
    content = path.read_bytes()
    for place in range(ends[0], ends[1]):
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        with opened(path) as journal:
            assert stored(journal) == WHOLE[:1]


def test_a_full_disk_is_told_by_the_name_of_the_file(three, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with opened(three[0]) as journal:
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=f"No space left on device: '{three[0]}'"):
            journal.append(rows(6, 1))


@pytest.mark.parametrize("begun", [True, False])
def test_a_disk_that_is_full_in_earnest_is_told_so_too(three, tmp_path, begun):
    """Closing the file must not fail anew, without its name."""
    resource = pytest.importorskip("resource")
    path = three[0] if begun else tmp_path / "new"
    size, limits = len(three[0].read_bytes()) if begun else 0, resource.RLIMIT_FSIZE
    before = resource.getrlimit(limits)
    resource.setrlimit(limits, (size + 20, before[1]))
    try:
        with pytest.raises(OSError, match=f"File too large: '{path}'"), opened(path) as journal:
            journal.append(rows(6, 1))
    finally:
        resource.setrlimit(limits, before)
    with opened(path) as journal:
        assert stored(journal) == (WHOLE if begun else [])


def test_where_no_open_file_can_be_removed_it_is_closed_before(three, monkeypatch):
    unlink, path, files = os.unlink, three[0], []

    def as_on_windows(self, missing_ok=False):
        assert all(file.closed for file in files)
        unlink(self)

    with opened(path) as open_one:
        files.append(open_one._file)
        monkeypatch.setattr("fockjax.journal.CLOSED_FIRST", True)
        monkeypatch.setattr(type(path), "unlink", as_on_windows)
        open_one.discard()
    assert not path.exists()


def test_damage_while_it_is_open_is_told(three):
    path, ends = three
    content = path.read_bytes()
    place = ends[1] - 1
    with opened(path) as journal:
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        with pytest.raises(UserError, match="3 of 6 rows are left; the same command goes on"):
            stored(journal)
    with opened(path) as journal:
        assert journal.rows == 3


def test_a_file_cut_within_its_first_line_is_begun_anew(three):
    path, _ = three
    content = path.read_bytes()
    for size in (0, 1, content.index(b"\n")):
        path.write_bytes(content[:size])
        with opened(path) as journal:
            assert journal.rows == 0
            journal.append(rows(0, 3))
        with opened(path) as journal:
            assert journal.rows == 3


def test_another_run_is_refused_by_what_differs(three):
    path, _ = three
    before = path.read_bytes()
    for identity, kind, message in (
        (IDENTITY | {"data": "x"}, KIND, "other data; --restart"),
        ({"data": "x", "model": "y"}, KIND, "other data and model; --restart"),
        (IDENTITY, np.dtype([("x", "<f8")]), "other columns; --restart"),
    ):
        with pytest.raises(UserError, match=message), open_journal(path, identity, kind):
            pass
    assert path.read_bytes() == before
    with opened(path, restart=True) as journal:
        assert journal.rows == 0 and stored(journal) == []
        journal.append(rows(7, 1))
        assert stored(journal) == [([7], [])]


def test_a_journal_without_rows_leaves_nothing_and_hinders_nothing(tmp_path):
    path = tmp_path / "journal"
    with pytest.raises(KeyboardInterrupt), opened(path):
        raise KeyboardInterrupt
    assert not path.exists()
    path.write_text('{"format": 0, "data": "of a run killed before its first chunk"}\n')
    with opened(path) as journal:
        assert journal.rows == 0


def test_a_failed_write_can_be_repeated(three, monkeypatch):
    path, _ = three
    with opened(path) as journal:
        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", lambda descriptor: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                journal.append(rows(6, 2))
        journal.append(rows(6, 2))
        assert journal.rows == 8 and stored(journal) == [*WHOLE, ([6, 7], [])]


@pytest.mark.parametrize(
    "content",
    [
        b"my notes\nof this week\n",
        b"my notes",
        b"12\n",
        b"[1]\n",
        b'{"data": "x"}\n',
        b'{"format": 1, \n',
        b"\xff\xfe\n",
        b"\n",
        b"\0" * 200,
    ],
)
def test_a_file_that_is_not_a_journal_is_left_alone(tmp_path, content):
    path = tmp_path / "journal"
    path.write_bytes(content)
    with pytest.raises(UserError, match="journal is not a journal.*move it away, or --restart"):
        with opened(path):
            pass
    assert path.read_bytes() == content
    with opened(path, restart=True) as journal:
        journal.append(rows(0, 3))
    with opened(path) as journal:
        assert journal.rows == 3


@NEEDS_LOCKS
def test_a_lock_on_a_file_that_is_gone_does_not_count(three, monkeypatch):
    """The process before discards its journal, or another begins one, just before the lock."""
    import fcntl

    path, _ = three
    new, flock, replaced = path.with_name("new"), fcntl.flock, []
    for begins_another in (False, True):
        with open_journal(new, {"data": "x"}, KIND) as journal:
            journal.append(rows(0, 2))

        def late(*arguments, begins_another=begins_another):
            if not replaced:
                replaced.append(new.replace(path) if begins_another else path.unlink())
            flock(*arguments)

        replaced.clear()
        with monkeypatch.context() as patch:
            patch.setattr(fcntl, "flock", late)
            if begins_another:
                with pytest.raises(UserError, match="other data"), opened(path):
                    pass
                continue
            with opened(path) as journal:
                assert journal.rows == 0
                journal.append(rows(0, 1))
        with opened(path) as journal:
            assert journal.rows == 1


@NEEDS_LOCKS
def test_a_file_system_without_locks_does(three, monkeypatch):
    def unsupported(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", unsupported)
    with opened(three[0]) as journal:
        assert journal.rows == 6


@NEEDS_LOCKS
def test_two_processes_do_not_write_to_one_journal(three):
    path, _ = three
    code = f"import fcntl; fcntl.flock(open({str(path)!r}, 'rb'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    with opened(path):
        with pytest.raises(UserError, match="another process is writing"), opened(path):
            pass
        assert subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE).returncode == 1
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
