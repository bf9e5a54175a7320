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

REPEATS = 16  # how many passes a program that is timed has
TIMED = 0.1  # for how many seconds it runs again and again
SIZES = (2**17, 2**22, 2**26)  # bytes of a pass: in a core's cache, in the processor's, in memory


@dataclass(frozen=True)
class Machine:
    """How fast a device runs passes, from `fockjax.calibrate`.

    Attributes:
        call: seconds that calling a compiled program takes.
        start: seconds that a pass takes, however small.
        bandwidths: bytes a second of passes that move 2^17, 2^22 and 2^26 bytes.
        rates: FLOPs a second of sums of products, and of real and complex matrix products.
    """

    call: float
    start: float
    bandwidths: tuple[float, ...]
    rates: tuple[float, float, float]

    def seconds(self, one: Pass) -> float:
        """How long all runs of a pass take: the time to start it, and the time to move its bytes or
        to compute, whichever is longer.
        """
        logarithms = np.log(self.bandwidths)
        bandwidth = np.exp(np.interp(np.log(max(one.bytes, 1)), np.log(SIZES), logarithms))
        sums, products, complex_products = self.rates
        rate = {"products": products, "complex products": complex_products}.get(one.kind, sums)
        run = max(one.bytes / float(bandwidth), one.flops / rate)
        return one.starts * self.start + one.times * run


def calibrate(dtype=None) -> Machine:
    """Measure the default device by a few kernels, in some seconds.

    Args:
        dtype: complex64 or complex128, in which circuits will compute; by default complex64, or
            complex128 where x64 is on.

    Returns:
        A `Machine`, for `Cost.seconds`. Other work on the machine at the time makes it look slower.

    Example:
        >>> import fockjax as fj
        >>> machine = fj.calibrate()                                       # doctest: +SKIP
        >>> fj.Circuit(2).beamsplitter().cost(cutoff=8).seconds(machine)   # doctest: +SKIP
        5.1e-05
    """
    dtype = canonical_complex(dtype)
    real, size = real_dtype(dtype), dtype.itemsize

    def passes(terms: int, moved: int) -> tuple[float, Pass]:
        """The seconds of a real matrix of ``terms`` rows applied to a state, and its pass, which
        moves about ``moved`` bytes.
        """
        rows = max(1, moved // (2 * size * terms * 128))
        state, matrix = jnp.ones((terms, rows, 128), dtype), jnp.eye(terms, dtype=real)
        return _timed(lambda x: contract(matrix, x, "ac,cnb->anb"), state)

    def product(kind) -> float:
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
    """The seconds that a step takes at best as one of several in a program, and the step as one
    pass.
    """

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
