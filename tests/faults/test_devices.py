"""The n-th compilation, transfer, execution or fetch fails: for every n, once and for good.

After SQLite's anomaly tests (https://sqlite.org/testing.html): whatever fails, the answers are
those of an undisturbed run, or the run says which rows it lacks.
"""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from faulty import FaultyDevice

from fockjax.runtime import Checked, Executables, Patience, RunError, Runner
from fockjax.runtime.recovery import TRANSIENT

ROWS, BATCH = 45, 16
DEVICES = jax.local_device_count()  # 1; or 2, by the last test
X = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)
PARAMS = {"a": np.float32(0.7)}
PROGRAMS = Executables()  # shared where compilations are not what fails


def function(params, x):
    return Checked(jnp.sin(params["a"] * x), jnp.sum(x * x))


def runner(device, executables=PROGRAMS, **options):
    return Runner(
        function,
        PARAMS,
        memory="100GB",
        largest_batch=BATCH // DEVICES,
        patience=Patience(delay=0),
        gateway=device,
        executables=executables,
        **options,
    )


@pytest.fixture(scope="module")
def undisturbed():
    device = FaultyDevice()
    return runner(device, Executables())(X), device.calls


def operations(undisturbed, kind):
    return range(1, 1 + sum(kind in (call, "any") for call in undisturbed[1]))


def same(found, expected):
    return all(
        np.array_equal(one, other)
        for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
    )


@pytest.mark.parametrize("kind", ["compile", "put", "execute", "fetch"])
def test_a_fault_that_passes_changes_nothing(undisturbed, kind):
    for at in operations(undisturbed, kind):
        executables = Executables() if kind == "compile" else PROGRAMS
        run = runner(FaultyDevice(kind, at), executables)
        assert same(run(X), undisturbed[0])
        assert len(run.record.recoveries) == 1 and "another try" in run.record.recoveries[0]
        assert run.record.error is None


@pytest.mark.parametrize("kind", ["compile", "put", "execute", "fetch"])
@pytest.mark.parametrize("status", ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "INVALID_ARGUMENT"])
def test_a_fault_for_good_keeps_what_is_finished(undisturbed, kind, status):
    for at in operations(undisturbed, kind):
        executables = Executables() if kind == "compile" else PROGRAMS
        run = runner(FaultyDevice(kind, at, status, for_good=True), executables)
        with pytest.raises((RunError, jax.errors.JaxRuntimeError), match=status) as caught:
            run(X)
        assert run.record.error["count"] > 0 and status in run.record.error["message"]
        if isinstance(caught.value, RunError):
            error, kept = caught.value, 0
            if error.results is not None:
                kept = len(error.results.ok)
                assert same(error.results.values, undisturbed[0].values[:kept])
            assert error.missing.tolist() == list(range(kept, ROWS))
        else:
            assert status == "INVALID_ARGUMENT" and not run.record.recoveries
        if status == "UNAVAILABLE":
            assert len(run.record.recoveries) in (3, 6)  # of the last success, and of this


@pytest.mark.parametrize("kind", ["compile", "put", "execute", "fetch"])
def test_out_of_memory_halves_the_batch_and_goes_on(undisturbed, kind):
    for at in operations(undisturbed, kind):
        executables = Executables() if kind == "compile" else PROGRAMS
        run = runner(FaultyDevice(kind, at, "RESOURCE_EXHAUSTED"), executables)
        results = run(X)
        np.testing.assert_allclose(results.values, undisturbed[0].values, atol=1e-6)
        assert results.ok.all() and run.plan(X).batch == BATCH // 2
        assert run.record.recoveries[0].startswith("a batch of half the size")
        assert same(run(X), undisturbed[0]) and run.plan(X).batch == BATCH  # what passed is over


def test_memory_that_frees_only_for_few_rows():
    class Small(FaultyDevice):
        """Has room for two rows."""

        def execute(self, program, params, x):
            if len(x) > 2:
                raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
            return super().execute(program, params, x)

    run = runner(Small())
    assert run(X).ok.all() and run.plan(X).batch == 2
    assert len(run.record.recoveries) == 3  # 16, 8, 4


class Full(FaultyDevice):
    """Has room for a batch only from the n-th try on."""

    def __init__(self, begin):
        super().__init__()
        self.begin, self.sizes = begin, []

    def execute(self, program, params, x):
        self.sizes.append(len(x) // DEVICES)
        if len(self.sizes) < self.begin:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        return super().execute(program, params, x)


def test_the_batch_that_did_not_fit_is_halved_not_one_that_never_ran():
    run = runner(device := Full(begin=3))
    run.warm_up(X)  # powers of four
    results = run(X[: 4 * DEVICES])
    assert device.sizes[:3] == [4, 2, 1] and set(device.sizes[2:]) == {1} and results.ok.all()
    assert [text.split(" from")[0] for text in run.record.recoveries] == [
        "a batch of half the size"
    ] * 2


def test_a_row_that_does_not_fit_for_the_moment_is_waited_for(monkeypatch):
    waited = []
    monkeypatch.setattr("fockjax.runtime.recovery.time.sleep", waited.append)
    run = runner(device := Full(begin=4), Executables())
    run.warm_up(X)
    compiled = run.executables.compiled
    assert run(X[:1]).ok.all() and device.sizes == [1] * 4 and len(waited) == 3
    assert run.executables.compiled == compiled
    assert [text.split(" from")[0] for text in run.record.recoveries] == ["another try"] * 3
    device.begin = 9  # four tries are not enough
    with pytest.raises(RunError, match="RESOURCE_EXHAUSTED"):
        run(X[:1])


@pytest.mark.parametrize("status", TRANSIENT)
def test_what_passes_is_tried_again(undisturbed, status):
    assert same(runner(FaultyDevice("execute", 2, status))(X), undisturbed[0])


def test_tries_are_counted_and_wait_longer_each_time(monkeypatch):
    waits = []
    monkeypatch.setattr("time.sleep", waits.append)
    device = FaultyDevice("execute", 1, for_good=True)
    run = Runner(function, PARAMS, patience=Patience(retries=4, delay=0.5), gateway=device)
    with pytest.raises(RunError, match="45 rows .* of 45 could not be finished"):
        run(X)
    assert waits == [0.5, 1, 2, 4] and len(device.calls) == 5


def test_a_failed_run_can_be_finished_later(undisturbed):
    with pytest.raises(RunError) as caught:
        runner(FaultyDevice("execute", 3, for_good=True))(X)
    error = caught.value
    rest = runner(FaultyDevice())(X[error.missing])
    values = np.concatenate([error.results.values, rest.values])
    np.testing.assert_allclose(values, undisturbed[0].values, atol=1e-6)


def test_an_error_of_the_function_is_its_own():
    with pytest.raises(KeyError, match="b"):
        Runner(lambda params, x: params["b"], PARAMS)(X)


@pytest.mark.slow
@pytest.mark.skipif(DEVICES > 1, reason="it is what runs now")
def test_all_of_this_holds_on_two_devices():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "2", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert done.returncode == 0, done.stdout
    assert "1 skipped" in done.stdout  # this test: there were two devices indeed
