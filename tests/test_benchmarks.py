"""What the benchmarks count; the scripts themselves check their answers where they run."""

import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

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
