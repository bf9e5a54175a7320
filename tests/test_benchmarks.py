"""What the benchmarks count, and that their scripts run; there they check their own answers."""

import os
import runpy
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

import fockjax as fj

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

HLO = """\
HloModule jit_f

%fused (p: f32[4]) -> f32[4] {
  %p = f32[4]{0} parameter(0)
  ROOT %s = f32[4]{0} sine(%p)
}

%body (t: (s32[], f32[4])) -> (s32[], f32[4]) {
  %t = (s32[], f32[4]{0}) parameter(0)
  %x = f32[4]{0} get-tuple-element(%t), index=1
  %f = f32[4]{0} fusion(%x), kind=kLoop, calls=%fused
  %d = f32[4]{0} custom-call(%f), custom_call_target="gemm"
  %i = s32[] fusion(%t), kind=kLoop, calls=%fused
  ROOT %r = (s32[], f32[4]{0}) tuple(%i, %d)
}

%condition (t: (s32[], f32[4])) -> pred[] {
  %t = (s32[], f32[4]{0}) parameter(0)
  ROOT %c = pred[] compare(%t, %t), direction=LT
}

ENTRY %main (a: f32[4]) -> (s32[], f32[4]) {
  %a = f32[4]{0} parameter(0)
  %start = (f32[4]{0}, f32[4]{0}) copy-start(%a)
  %done = f32[4]{0} copy-done(%start)
  %t = (s32[], f32[4]{0}) tuple(%done, %done)
  ROOT %w = (s32[], f32[4]{0}) while(%t), condition=%condition, body=%body, \
backend_config={"known_trip_count":{"n":"10"}}
}
"""


def test_kernels_counts_loops_by_trip_and_nothing_that_moves_no_data():
    kernels = runpy.run_path(str(BENCHMARKS / "_hlo.py"))["kernels"]
    assert kernels(HLO) == 1 + 10 * (3 + 1)
    with pytest.raises(ValueError, match="ENTRY"):
        kernels("HloModule empty")


def test_kernels_reads_what_this_jax_writes():
    kernels = runpy.run_path(str(BENCHMARKS / "_hlo.py"))["kernels"]

    def many(x, times):
        return jax.lax.scan(lambda x, _: (jnp.sin(x) @ x, None), x, length=times)[0]

    x = jnp.eye(8)
    few, more = (
        kernels(jax.jit(many, static_argnums=1).lower(x, times).compile().as_text())
        for times in (10, 30)
    )
    assert more - few >= 20 * 2  # the sine and the product, for each trip
    assert (more - few) % 20 == 0


def test_what_a_total_takes_of_a_box_is_read_between_the_boxes():
    """Where prices are powers of the error, the interpolation is exact."""
    module = SimpleNamespace(**runpy.run_path(str(BENCHMARKS / "truncation.py")))

    def point(truncation, error, price):
        compiled, errors = SimpleNamespace(temp_bytes=price), dict.fromkeys(module.STRENGTHS, error)
        return module.Point(4, truncation, errors, compiled, price)

    boxes = [point(cutoff, 2.0**-cutoff, 8.0**cutoff) for cutoff in (3, 6)]
    totals = [point(fj.TotalPhotons(c), 2.0**-c, 8.0**c / 4) for c in (2, 4, 5, 7)]
    lines = [line.split(" | ") for line in module.shares(boxes + totals)]
    assert [line[1:3] for line in lines] == [[s, c] for s in ("weak", "strong") for c in "45"]
    assert all(line[-2:] == ["25.0%", "25.0% |"] for line in lines)


# Each script at its smallest. Not here: `serving.py` beside Mosec and `peers/`, which make
# environments, and `soak.py`, which tests/faults/test_serving_process.py runs.
SCRIPTS = [
    ["serving.py", "--seconds", "0.5", "--rounds", "1", "--no-mosec"],
    ["million.py", "--rows", "100000"],
    ["by_data.py", "--rounds", "1", "--quick"],
    ["compiling.py", "W4", "--processes", "1"],
    ["cost.py", "--rounds", "1", "--quick"],
    ["cutoffs.py", "--circuits", "2"],
    ["gpu.py", "--quick", "--workloads", "W4", "--no-golden", "-o", "{}/gpu.md"],
    ["import_time.py", "--runs", "1"],
    ["kernel_gradients.py", "--rounds", "1"],
    ["mixed.py", "--rounds", "1", "--samples", "64", "--no-sf", "--quick"],
    ["notebook.py", "--rounds", "1", "--no-sf", "--only", "photon number"],
    ["pauses.py", "--rounds", "1"],
    ["reference.py", "--rounds", "1", "--no-sf"],
    ["runner.py", "batch", "--rounds", "1", "--quick"],
    ["runner.py", "devices", "--rows", "1000", "--rounds", "1"],
    ["runner.py", "flat", "--rows", "20000"],
    ["runner.py", "groups", "--rounds", "1", "--quick"],
    ["runner.py", "memory", "--quick"],
    ["runner.py", "scope"],
    ["runner.py", "start"],
    ["runner.py", "status", "--rounds", "1"],
    ["sampling.py", "--shots", "1000", "--cutoff", "4", "--rounds", "1", "--only", "threshold"],
    ["scaling.py", "cutoff", "--sizes", "4", "6", "--rounds", "1", "-o", "{}/scaling.png"],
    [
        *("training.py", "--rows", "64", "--validation-rows", "16", "--batches", "16"),
        *("--modes", "1", "--cutoff", "4", "--layers", "1", "--rounds", "1", "--seconds", "0.1"),
    ],
    ["truncation.py", "--quick", "-o", "{}/truncation.png"],
    ["workloads.py", "W4", "--rounds", "1"],
]


@pytest.mark.slow
def test_every_script_runs(tmp_path):
    """Two at a time, as most of a script's time is starting and compiling."""
    own = {"PYTHONPATH": str(BENCHMARKS.parent), "JAX_PLATFORMS": "cpu"}
    environment = {**os.environ, **own, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}

    def run(words: list[str]) -> str:
        script, *arguments = (word.format(tmp_path) for word in words)
        command = [sys.executable, str(BENCHMARKS / script), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        return f"{' '.join(words)}: {done.stderr[-2000:]}" if done.returncode else ""

    with ThreadPoolExecutor(2) as pool:
        failed = [told for told in pool.map(run, SCRIPTS) if told]
    assert not failed, "\n\n".join(failed)


def test_every_script_is_run_or_named():
    run = {script for script, *_ in SCRIPTS} | {"soak.py", "naive.py", "textbook.py"}
    scripts = {path.name for path in BENCHMARKS.glob("[!_]*.py")} - {"dense_gates.py"}
    assert run == scripts
