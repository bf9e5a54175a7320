"""How fast a machine is, measured once, to turn counted work into time."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from fockjax._linear import contract
from fockjax._numerics import HIGHEST, canonical_complex, real_dtype
from fockjax._passes import Pass, foresee

REPEATS = 16  # passes in a program that is timed
TIMED = 0.1  # seconds for which it is run repeatedly
SIZES = (2**17, 2**22, 2**26)  # bytes of a pass: fit a core's cache, the shared cache, only memory


@dataclass(frozen=True)
class Machine:
    """How fast a device runs passes, from `fockjax.calibrate`.

    Attributes:
        call: seconds to call a compiled program.
        start: seconds that even the smallest pass takes.
        bandwidths: bytes per second of passes that move 2^17, 2^22 and 2^26 bytes.
        rates: FLOPs per second of sums of products, and of real and complex matrix products.
    """

    call: float
    start: float
    bandwidths: tuple[float, ...]
    rates: tuple[float, float, float]

    def seconds(self, one: Pass) -> float:
        """Seconds that all runs of a pass take: to start, then to move bytes or to compute,
        whichever takes longer.
        """
        logarithms = np.log(self.bandwidths)
        bandwidth = np.exp(np.interp(np.log(max(one.bytes, 1)), np.log(SIZES), logarithms))
        sums, products, complex_products = self.rates
        rate = {"products": products, "complex products": complex_products}.get(one.kind, sums)
        run = max(one.bytes / float(bandwidth), one.flops / rate)
        return one.starts * self.start + one.times * run


def calibrate(dtype=None) -> Machine:
    """Measure the default device with a few kernels. This takes some seconds.

    Args:
        dtype: the precision in which circuits will compute, complex64 or complex128; by default
            complex64, or complex128 if x64 is enabled.

    Returns:
        A `Machine`, for `Cost.seconds`. It looks slower if the machine is busy with other work.

    Example:
        >>> import fockjax as fj
        >>> machine = fj.calibrate()                                       # doctest: +SKIP
        >>> fj.Circuit(2).beamsplitter().cost(cutoff=8).seconds(machine)   # doctest: +SKIP
        5.1e-05
    """
    dtype = canonical_complex(dtype)
    real, size = real_dtype(dtype), dtype.itemsize

    def passes(terms: int, moved: int) -> tuple[float, Pass]:
        """Time a sum of this many products of states with real numbers, and the bytes it moves."""
        rows = max(1, moved // (2 * size * terms * 128))
        state, matrix = jnp.ones((terms, rows, 128), dtype), jnp.eye(terms, dtype=real)
        return _timed(lambda x: contract(matrix, x, "ac,cnb->anb"), state)

    def product(kind) -> float:
        """FLOPs per second of a matrix product."""
        matrix = jnp.eye(64, dtype=kind)
        seconds, one = _timed(
            lambda x: jnp.matmul(matrix, x, precision=HIGHEST), jnp.ones((64, 512), kind)
        )
        return one.flops / seconds

    call, _ = _timed(lambda x: x + 1, jnp.ones(1), repeats=1)
    start, _ = passes(2, 0)
    bandwidths = [one.bytes / seconds for seconds, one in (passes(2, moved) for moved in SIZES)]
    seconds, one = passes(8, SIZES[0])
    return Machine(
        call=call,
        start=start,
        bandwidths=tuple(bandwidths),
        rates=(one.flops / seconds, product(real), product(dtype)),
    )


def _timed(step: Callable, x: jax.Array, repeats: int = REPEATS) -> tuple[float, Pass]:
    """The shortest time of a step, as one of several in a program; and the step as one pass."""

    def program(x):
        for _ in range(repeats):
            x = jax.lax.optimization_barrier(step(x))
        return x

    compiled = jax.jit(program).lower(x).compile()
    jax.block_until_ready(compiled(x))
    best, end = float("inf"), time.perf_counter() + TIMED
    while (begin := time.perf_counter()) < end:
        jax.block_until_ready(compiled(x))
        best = min(best, time.perf_counter() - begin)
    found = foresee(jax.make_jaxpr(step)(x).jaxpr).passes
    return best / repeats, Pass("", sum(p.flops for p in found), sum(p.bytes for p in found))
