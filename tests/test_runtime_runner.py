"""Rows in order, one program a size, nothing left on the device, nothing silent."""

import gc
import json
import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from fockjax._limits import over_limit
from fockjax.cli import main
from fockjax.runtime import (
    Checked,
    Executables,
    Results,
    RunError,
    Runner,
    TooLarge,
    functional,
    memory,
    report,
)
from fockjax.runtime import runner as runner_module
from fockjax.runtime.ahead import ahead
from fockjax.runtime.rows import Rows
from fockjax.runtime.run_record import RunRecord, Statistics, read_records

X = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
PARAMS = {"a": np.float32(0.7)}


def function(params, x):
    return {"sine": jnp.sin(params["a"] * x), "sum": jnp.sum(x), "sign": x[0] > 0}


@pytest.fixture(scope="module")
def warm():
    runner = Runner(function, PARAMS, largest_batch=64)
    runner.warm_up(X)
    return runner


def test_results_are_those_of_the_function_row_by_row(warm):
    results = warm(X)
    np.testing.assert_allclose(results.values["sine"], np.sin(0.7 * X), atol=1e-6)
    np.testing.assert_allclose(results.values["sum"], X.sum(1), atol=1e-5)
    np.testing.assert_array_equal(results.values["sign"], X[:, 0] > 0)
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(results))
    assert results.ok.all() and results.finite.all() and results.leakage is None
    assert not results.level.any()


@given(st.integers(0, 200))
def test_any_number_of_rows_compiles_nothing_once_warm(warm, rows):
    before, events = warm.executables.compiled, []
    jax.monitoring.register_event_duration_secs_listener(note := lambda *a, **k: events.append(a))
    try:
        results = warm(X[:rows])
    finally:
        jax.monitoring.unregister_event_duration_listener(note)
    assert warm.executables.compiled == before
    assert not [name for name, *_ in events if "backend_compile" in name]
    assert results.values["sine"].shape == (rows, 3)
    np.testing.assert_allclose(results.values["sum"], X[:rows].sum(1), atol=1e-5)


def test_a_run_compiles_one_program_and_few_costly_rows_another(monkeypatch):
    runner = Runner(function, PARAMS, largest_batch=128)
    runner(X)  # 128 and 72 rows
    assert runner.executables.compiled == 1 and runner.record.batches == {"128": 2}
    runner(X[:130])  # 128 and 2 rows
    assert runner.executables.compiled == 1 and runner.record.batches == {"128": 2}
    runner(X[:5])  # cheap
    assert runner.executables.compiled == 1 and runner.record.batches == {"128": 1}
    monkeypatch.setattr(runner_module, "CHEAP", 0)
    runner(X[:5])
    assert runner.executables.compiled == 2 and runner.record.batches == {"16": 1}


def test_inputs_are_left_alone_though_donated():
    runner = Runner(lambda _, x: jnp.sin(x), None, largest_batch=100)
    x = np.zeros((200, 3), np.float32) + 1
    np.testing.assert_allclose(runner(x).values, np.sin(1), atol=1e-6)
    assert (x == 1).all()
    signature = _signature(x)
    text = runner.programs.lower(runner.programs.trace(0, signature, 4), signature, 4).as_text()
    assert "tf.aliasing_output" in text or "jax.buffer_donor" in text


def _signature(x):
    return Rows(x).signature


def test_samples_may_be_pytrees_and_draw_at_random():
    def noisy(params, sample):
        x, seed = sample
        return x + jax.random.normal(jax.random.key(seed), x.shape, x.dtype)

    seeds = np.arange(50, dtype=np.uint32)
    small, large = (
        Runner(noisy, None, largest_batch=size)((X[:50], seeds)).values for size in (4, 64)
    )
    np.testing.assert_allclose(small, large, atol=1e-6)
    assert np.std(small - X[:50]) > 0.5


def test_chunks_come_back_in_order_and_one_is_read_ahead(warm):
    read, second = [], threading.Event()

    def chunks():
        for number, chunk in enumerate(np.array_split(X, 7)):
            read.append(number)
            if number == 1:
                second.set()
            yield chunk

    stream = warm.stream(chunks())
    assert read == []
    parts = [next(stream)]
    assert second.wait(60) and read == [0, 1]
    parts += stream
    sums = np.concatenate([results.values["sum"] for results in parts])
    np.testing.assert_allclose(sums, X.sum(1), atol=1e-5)
    record = warm.record
    assert record.rows == 200 and record.levels == {"0": 200}
    figures = record.outputs["['sum']"]
    for name in ("mean", "std", "min", "max"):
        assert figures[name] == pytest.approx(getattr(sums.astype(float), name)(), abs=1e-6)


def test_a_stream_that_fails_gives_what_came_before_and_counts_from_its_first_row(warm):
    def chunks():
        yield X[:5]
        yield np.where(np.arange(5)[:, None] == 3, np.nan, X[5:10])

    stream = warm.stream(chunks())
    assert len(next(stream).ok) == 5
    with pytest.raises(ValueError, match=r"1 row \(8\)"):
        next(stream)
    assert warm.record.levels == {"0": 5} and warm.record.error["count"] == 5

    def broken():
        yield X[:5]
        raise OSError("the disk is gone")

    stream = warm.stream(broken())
    assert len(next(stream).ok) == 5
    with pytest.raises(OSError, match="gone"):
        next(stream)
    assert warm.record.rows == 5 and warm.record.error["type"] == "OSError"


def test_what_is_ahead_ends_when_nobody_takes_it():
    made = []
    items = ahead(made.append(number) or number for number in range(100))
    before = set(threading.enumerate())
    assert next(items) == 0
    (reader,) = set(threading.enumerate()) - before
    items.close()
    assert not reader.is_alive() and made == [0, 1]


def test_other_parameters_compile_nothing(warm):
    before = warm.executables.compiled
    warm.params = {"a": np.float32(0.2)}
    np.testing.assert_allclose(warm(X).values["sine"], np.sin(0.2 * X), atol=1e-6)
    warm.params = PARAMS
    assert warm.executables.compiled == before
    with pytest.raises(ValueError, match=r"\['a'\] float32\[\].*got .*float32\[2\]"):
        warm.params = {"a": np.ones(2, np.float32)}


def test_the_default_batch_stays_in_the_cache_of_a_cpu():
    runner = Runner(lambda _, x: jnp.sum(jnp.sin(x)), None)
    batch = [runner.plan(np.ones((1, size), np.float32)).batch for size in (10, 10_000, 1_000_000)]
    assert batch[0] == 1024 > batch[1] > batch[2] == 16


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_rows_that_are_not_finite_are_refused_by_number(warm, bad):
    x = X.astype(np.float64)
    x[[3, 77], 1] = bad
    with pytest.raises(ValueError, match=r"2 rows \(3, 77\)"):
        warm(x)


def test_integers_that_do_not_fit_are_refused_and_masked_values_too():
    runner = Runner(lambda _, x: x, None)
    with pytest.raises(ValueError, match=r"`x` must fit in int32, but row 1 \(from 0\) does not"):
        runner(np.array([1, 2**32 + 5, 2**31]))
    with pytest.raises(ValueError, match="must fit in uint32, but row 0"):
        runner(np.array([[2**32]], np.uint64))
    with pytest.raises(ValueError, match="`x` has masked values"):
        runner(np.ma.masked_array([1.0, 999.0], [False, True]))
    whole = np.ma.masked_array([1.0, 2.0], [False, False])
    np.testing.assert_array_equal(runner(whole).values, [1, 2])


@pytest.mark.parametrize("dtype", [">f8", ">i4", np.longdouble, ">c16", bool, np.int8, np.uint8])
def test_numbers_of_other_kinds_are_converted(dtype):
    results = Runner(lambda _, x: jnp.real(x).astype(jnp.float32), None)(np.array([1, 0, 1], dtype))
    np.testing.assert_array_equal(results.values, [1, 0, 1])


@pytest.mark.parametrize("x", [1.0, (X, X[:3]), ()])
def test_arrays_that_do_not_belong_together_are_refused(warm, x):
    with pytest.raises(ValueError, match="rows as their first axis"):
        warm(x)


def test_the_status_tells_rows_that_came_out_not_finite():
    x = np.array([[1.0], [0.0], [2.0]], np.float32)
    results = Runner(lambda _, x: 1 / x, None)(x)
    assert results.finite.tolist() == results.ok.tolist() == [True, False, True]


def level(scale):
    return lambda _, x: Checked(scale * x, x * x / scale)


def test_rows_over_the_tolerance_are_run_again_alone():
    x = np.array([0.1, 2.0, 0.2, 1.0], np.float32)
    runner = Runner(level(1), None, tolerance=0.5, larger=[level(2), level(10)])
    results = runner(x)
    assert results.level.tolist() == [0, 2, 0, 1]
    np.testing.assert_allclose(results.values, [0.1, 20, 0.2, 2])
    np.testing.assert_allclose(results.leakage, [0.01, 0.4, 0.04, 0.5], atol=1e-6)
    assert results.ok.all() and runner.record.levels == {"0": 2, "1": 1, "2": 1}


def test_rows_over_the_tolerance_at_the_largest_cutoff_are_never_silent():
    x = np.array([0.1, 2.0], np.float32)
    with pytest.warns(RuntimeWarning, match=r"1 row \(1\) lose.* tolerance 0.5"):
        results = Runner(level(1), None, tolerance=0.5)(x)
    assert results.ok.tolist() == [True, False] and results.leakage[1] == 4


def test_larger_functions_return_the_types_of_the_first():
    x = np.array([0.1, 2.0], np.float32)
    rounded = Runner(
        lambda _, x: Checked(jnp.int32(x), x * x), None, tolerance=0.5, larger=[level(9)]
    )
    with pytest.raises(RunError, match="function 1 returns other shapes or types"):
        rounded(x)


def test_a_tolerance_needs_to_know_the_leakage():
    with pytest.raises(ValueError, match="checked"):
        Runner(lambda _, x: x, None, tolerance=0.1)(X)
    with pytest.raises(ValueError, match="larger.*tolerance"):
        Runner(level(1), None, larger=[level(2)])


def test_arguments_that_cannot_work_are_refused_before_a_run(tmp_path):
    for named, (one, options) in {
        "`function` must be a function": (3, {}),
        "`larger` must be a function": (level(2), {"tolerance": 0.1, "larger": [None]}),
        "size of memory": (level(2), {"memory": "lots"}),
        "`tolerance` must be at least 0": (level(2), {"tolerance": -1.0}),
        "`trace` must be a folder": (level(2), {"trace": __file__}),
        "`devices` must be JAX devices.*'gpu'": (level(2), {"devices": "gpu"}),
        "`log` must be a file in an existing folder": (
            level(2),
            {"log": tmp_path / "nowhere" / "log"},
        ),
    }.items():
        with pytest.raises((TypeError, ValueError), match=named):
            Runner(one, None, **options)
    with pytest.raises(TypeError, match="`x` must be made of numbers, got dtype <U1"):
        Runner(level(2), None)(np.array(["a"]))
    with pytest.raises(TypeError, match="`x` must be made of numbers, got dtype datetime64"):
        Runner(level(2), None)(np.array(["2026-11-30"], "datetime64[D]"))


def test_a_scoped_run_leaves_nothing_on_the_device():
    gc.collect()
    before = {id(array) for array in jax.live_arrays()}
    with Runner(function, PARAMS, largest_batch=64) as runner:
        results = runner(X)
        assert len(runner.executables)
        gc.collect()
        left = [a for a in jax.live_arrays() if id(a) not in before]
        assert sum(array.size for array in left) == 1  # the parameter
        del left
    gc.collect()
    assert {id(array) for array in jax.live_arrays()} <= before
    assert not len(runner.executables) and results.ok.all()


def test_a_row_that_cannot_fit_is_refused_before_anything_runs(monkeypatch):
    monkeypatch.setattr(memory, "room", lambda *_: 10)
    runner = Runner(function, PARAMS)
    monkeypatch.setattr(runner.gateway, "execute", None)
    with pytest.raises(TooLarge, match="One row needs .* room for 10 B"):
        runner(X)


def test_rows_whose_larger_cutoff_does_not_fit_keep_what_they_have(monkeypatch):
    def lossy(params, x):
        return Checked(x, jnp.max(x))

    def huge(params, x):
        return Checked(x + jnp.sum(jnp.sort(jnp.outer(x, jnp.arange(1e7)))), jnp.zeros(()))

    x = np.full((40, 3), 0.01, np.float32)
    x[7] = 0.5
    runner = Runner(
        lossy, {}, memory=memory.in_use(jax.devices()[0]) + 10**7, tolerance=0.1, larger=[huge]
    )
    with pytest.warns(RuntimeWarning, match="1 row"):
        results = runner(x)
    assert np.flatnonzero(~results.ok).tolist() == [7] and np.array_equal(results.values, x)
    assert runner.record is not None and "not run at" in runner.record.recoveries[0]


def test_a_function_that_does_not_fit_is_tried_once_in_a_run():
    tried = []

    def refused(level):
        def one(params, x):
            tried.append(level)
            raise over_limit("A state", 9, np.complex64, 8, "Lower the cutoffs.")

        return one

    x = np.ones((6, 3), np.float32)
    larger = [refused(1), refused(2)]
    runner = Runner(lambda _, x: Checked(x, jnp.max(x)), {}, tolerance=0.1, larger=larger)
    for _ in range(2):  # what does not fit in one run may in the next
        tried.clear()
        for results in runner.stream([x, 2 * x, x]):
            assert not results.ok.any() and results.finite.all()
        assert set(tried) == {1}
        assert runner.record is not None and len(runner.record.recoveries) == 1


def test_an_empty_result_does_not_fail_the_record():
    runner = Runner(lambda _, x: {"a": x, "b": jnp.zeros((0,))}, {})
    assert runner(X).values["b"].shape == (len(X), 0)
    assert runner.record is not None and list(runner.record.outputs) == ["['a']"]


def test_rows_that_are_not_finite_are_named_with_their_type():
    x = np.arange(3, dtype=np.uint32), np.array([0.1, np.nan, 0.2], np.float32)
    with pytest.raises(ValueError, match="finite in float32, but 1 row \\(1\\)"):
        Runner(lambda _, x: x[1] + x[0], {})(x)


def test_without_a_word_of_the_compiler_the_trace_counts(monkeypatch):
    def refuse(self):
        raise NotImplementedError

    monkeypatch.setattr(jax.stages.Compiled, "memory_analysis", refuse)
    plan = Runner(function, PARAMS, largest_batch=64).plan(X)
    assert plan.source == "its trace"
    assert 64 * 30 <= plan.bytes < 64 * 60  # 12 bytes come in, 18 go out


# Executables


def test_equal_programs_are_shared_and_others_are_not():
    shared = Executables()

    def times(factor):
        return lambda _, x: x * jnp.asarray(factor)

    results = [
        Runner(times(np.full(3, factor, np.float32)), None, executables=shared)(X[:10]).values
        for factor in (2, 3, 2)
    ]
    assert shared.compiled == 2
    np.testing.assert_allclose(results[1], 3 * X[:10], atol=1e-6)
    np.testing.assert_array_equal(results[0], results[2])


def test_a_twin_runs_the_same_programs_at_the_same_time_in_another_thread():
    runner = Runner(function, PARAMS, largest_batch=16)
    runner.warm_up(X)
    twin, compiled = runner.twin(), runner.executables.compiled
    with ThreadPoolExecutor(2) as pool:
        found = list(
            pool.map(lambda one: [one(X[:k]).values for k in range(1, 40)], (runner, twin))
        )
    for k, (one, other) in enumerate(zip(*found, strict=True), start=1):
        np.testing.assert_allclose(one["sine"], np.sin(0.7 * X[:k]), atol=1e-6)
        np.testing.assert_array_equal(one["sum"], other["sum"])
    assert runner.executables.compiled == compiled
    assert runner.record is not twin.record and twin.record.seconds["compute"] > 0
    twin.params = {"a": np.float32(0.1)}
    np.testing.assert_array_equal(runner(X[:5]).values["sum"], found[0][4]["sum"])
    np.testing.assert_allclose(twin(X[:5]).values["sine"], np.sin(0.1 * X[:5]), atol=1e-6)
    twin.close()
    assert len(runner.executables)


def test_the_least_used_program_leaves_first(monkeypatch):
    monkeypatch.setattr(runner_module, "CHEAP", 0)
    runner = Runner(function, PARAMS, largest_batch=64, executables=Executables(2))
    runner(X[:10])  # plans with 64, and runs 16
    runner.programs.get(0, _signature(X), 4)
    assert len(runner.executables) == 2 and runner.executables.compiled == 3
    compiled = runner.executables.compiled
    runner(X[:10])
    assert runner.executables.compiled == compiled
    runner(X[:40])
    assert runner.executables.compiled == compiled + 1


# Records


def test_the_record_says_what_happened(tmp_path):
    log = tmp_path / "runs.jsonl"
    runner = Runner(level(2), None, tolerance=9, about="squares", log=log, largest_batch=64)
    runner(X[:, 0])
    with pytest.raises(TypeError, match="cannot reshape"):
        Runner(lambda _, x: x.reshape(7), None, log=log)(X)
    with open(log, "a") as file:
        file.write('{"started": "cut o')
    first, second = read_records(log)
    assert first.about == "squares" and first.rows == 200 and first.error is None
    assert first.seconds["total"] >= sum(first.seconds[k] for k in ("compute", "compile", "trace"))
    assert first.memory["peak"] >= first.memory["after"] > 0
    assert first.leakage["mean"] == pytest.approx((X[:, 0] ** 2).mean() / 2, rel=1e-5)
    assert first.outputs["result"]["max"] == pytest.approx(2 * X[:, 0].max(), rel=1e-5)
    assert first.batches == {"64": 4} and first.levels == {"0": 200}
    assert second.error["count"] == 200 and len(second.error["sha256"]) == 64


def test_the_profiler_leaves_a_trace_of_a_run(tmp_path):
    runner = Runner(function, PARAMS, largest_batch=64, trace=tmp_path)
    assert runner(X).ok.all()
    assert [path.name for path in tmp_path.rglob("*.trace.json.gz")]


DEVICES = """
import json, sys, jax, numpy as np, jax.numpy as jnp
sys.path.insert(0, {path!r})
import fockjax as fj
from fockjax.runtime import Runner, checked
circuit = fj.Circuit(2).displace(fj.Input(0), mode=0).squeeze(fj.Weight("r"), mode=1)
circuit.beamsplitter(0.4)
function = lambda w, x: checked(circuit(w, x, cutoff=5), fj.nn.quadratures)
x = np.linspace(-0.5, 0.5, 37, dtype=np.float32)[:, None]
assert jax.local_device_count() == 3
results = [Runner(function, {{"r": 0.2}}, largest_batch=4, devices=d)(x)
           for d in (jax.devices(), jax.devices()[:1])]
many, one = (np.c_[r.values, r.leakage] for r in results)
print(json.dumps([float(np.abs(many - one).max()), bool(results[0].ok.all()), len(many)]))
"""


@pytest.mark.slow
def test_several_devices_give_what_one_gives():
    code = DEVICES.format(path=str(Path(__file__).parents[1]))
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "3", "JAX_PLATFORMS": "cpu"}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, env=environment
    )
    assert run.returncode == 0, run.stderr
    difference, ok, rows = json.loads(run.stdout)
    assert difference < 1e-6 and ok and rows == 37


@pytest.mark.loose_promotion
def test_a_flax_module_runs_as_it_is():
    model = nnx.Sequential(nnx.Linear(3, 4, rngs=nnx.Rngs(0)), jnp.tanh)
    results = Runner(*functional(model), largest_batch=64)(X)
    np.testing.assert_allclose(results.values, model(X), atol=1e-6)


@pytest.mark.loose_promotion
def test_the_report_shows_it_all(tmp_path, capsys, monkeypatch):
    log, page = tmp_path / "runs.jsonl", tmp_path / "report.html"
    again = {"tolerance": 1, "larger": [level(99)]}
    runner = Runner(level(1), None, about="squares <&>", log=log, **again)
    runner(X[:, 0])
    with pytest.raises(TypeError, match="cannot reshape"):
        Runner(lambda _, x: x.reshape(7), None, log=log)(X)
    again["labels"] = ("1 1", "99 99")
    unwatched = Runner(level(1), None, log=log, watch_memory=False, **again)
    unwatched(X[:, 0])
    assert unwatched.record.memory == {}
    assert main(["report", str(log)]) == 0
    text = capsys.readouterr().out
    assert "3, 66.7% of them completed" in text and "TypeError 1" in text
    assert re.search("cutoffs +rows.*1 1 .*99 99 ", text, re.DOTALL)
    assert main(["report", str(log), "-o", str(page)]) == 0
    html = page.read_text()
    assert "TypeError" in html and html.count("<img") == 1 and "<script" not in html
    page.write_text("mine")
    kept, link = log.read_bytes(), tmp_path / "link"
    link.symlink_to(log)
    for other, message in ((log, "would replace the records"), (link, "would replace the records")):
        assert main(["report", str(log), "-o", str(other), "--overwrite"]) == 2
        assert message in capsys.readouterr().err and log.read_bytes() == kept
    assert main(["report", str(log), "-o", str(page)]) == 2
    assert "exists: give another name, or --overwrite" in capsys.readouterr().err
    assert page.read_text() == "mine"
    assert main(["report", str(log), "-o", str(page), "--overwrite"]) == 0
    assert page.read_text() == html and "leakage of each run" in html
    monkeypatch.setattr(report, "DRAWN_RUNS", 2)
    assert main(["report", str(log), "-o", str(page), "--overwrite"]) == 0
    assert "leakage of the last 2 runs" in page.read_text()
    (tmp_path / "none.jsonl").write_text("1\n")
    assert main(["report", str(tmp_path / "none.jsonl")]) == 2
    assert "not a file of records" in capsys.readouterr().err


CONSTANTS = """
import numpy as np, jax.numpy as jnp
from fockjax.runtime import Executables, Runner

shared = Executables()
for factor in (2, 3):
    factors = np.full(1000, factor, np.float32)
    runner = Runner(lambda params, x: x * jnp.asarray(factors), {}, executables=shared)
    assert (runner(factors[None]).values == factor**2).all()
assert shared.compiled == 2
"""


def test_programs_whose_constants_are_arguments_are_not_shared():
    """With this option of JAX, read when it is imported, their text does not tell the constants."""
    environment = {**os.environ, "JAX_USE_SIMPLIFIED_JAXPR_CONSTANTS": "1"}
    subprocess.run([sys.executable, "-c", CONSTANTS], check=True, env=environment)


def test_labels_of_one_name_are_refused():
    def same(params, x):
        return Checked(x, jnp.zeros(()))

    with pytest.raises(ValueError, match="Argument `labels` must differ"):
        Runner(same, {}, tolerance=0.1, larger=[same], labels=["8", "8"])


def test_numbers_too_large_to_square_spoil_no_run():
    found = Statistics()
    found.add(np.array([1e200, -1e200, 1.0]))
    assert found.count == 3 and found.high == 1e200 and found.std == np.inf
    record = RunRecord.begin("", jax.devices(), ["0"])
    values = np.array([1e200, -1e200])
    good = np.ones(2, bool)
    record.add(Results(values, good, good, None, np.zeros(2, int)))
    assert set(record.outputs["result"]) == {"mean", "min", "max"}
