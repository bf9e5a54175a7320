"""The log of runs: it never costs a result, and one bad line does not cost the others."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest

from fockjax.cli import main
from fockjax.runtime import Runner
from fockjax.runtime.run_record import RunRecord, read_records

X = np.linspace(0, 1, 50, dtype=np.float32)[:, None]


def double(_, x):
    return 2 * x


def test_a_log_that_cannot_be_written_costs_no_result(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    runners = [Runner(double, None, log=gone / "runs.jsonl")]
    gone.rmdir()
    if Path("/dev/full").exists():
        runners.append(Runner(double, None, log="/dev/full"))
    for runner in runners:
        with pytest.warns(RuntimeWarning, match="could not be appended to .*No s"):
            results = runner(X)
        np.testing.assert_array_equal(results.values, 2 * X)


def test_a_line_cut_short_by_a_full_disk_costs_no_other(tmp_path, capsys):
    resource = pytest.importorskip("resource")
    log = tmp_path / "runs.jsonl"
    runner = Runner(double, None, log=log)
    runner(X)
    size, limits = log.stat().st_size, resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, limits[1]))
    try:
        with pytest.warns(RuntimeWarning, match="could not be appended to .*File too large"):
            runner(X[:9])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert log.stat().st_size == size + 20
    runner(X[:3])
    with pytest.warns(RuntimeWarning, match="left out: line 2$"):
        assert [record.rows for record in read_records(log)] == [50, 3]
    assert main(["report", str(log)]) == 0
    told = capsys.readouterr()
    assert "2, 100.0% of them" in told.out and "left out: line 2\n" in told.err


def test_lines_that_are_not_records_are_left_out(tmp_path):
    log = tmp_path / "runs.jsonl"
    begun = json.dumps(dataclasses.asdict(RunRecord.begin("", jax.devices(), ["0"])))  # no seconds
    log.write_bytes(b"12\n[]\n{}\n\xff\n\n" + begun.encode() + b"\n")
    with pytest.raises(ValueError, match="line 1: "):
        read_records(log)
    Runner(double, None, log=log)(X)
    with pytest.warns(RuntimeWarning, match="left out: lines 1, 2, 3, 4, 6$"):
        assert [record.rows for record in read_records(log)] == [50]


def test_a_run_that_does_not_end_is_not_recorded_as_completed(tmp_path, capsys):
    log = tmp_path / "runs.jsonl"

    def interrupted(_, x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Runner(interrupted, None, log=log)(X)
    stream = Runner(double, None, log=log).stream([X, X, X])
    next(stream)
    stream.close()
    first, second = read_records(log)
    assert first.error["type"] == "KeyboardInterrupt" and first.error["count"] == 50
    assert second.error["type"] == "GeneratorExit" and second.error["count"] == 0
    assert main(["report", str(log)]) == 0
    assert "2, 0.0% of them completed" in capsys.readouterr().out
