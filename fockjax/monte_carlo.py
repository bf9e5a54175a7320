"""Averages over random runs of a circuit, with their standard errors."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fockjax._given import check_key, checked_integer
from fockjax._numerics import ratio, safe_sqrt
from fockjax.states import State


class Estimate(NamedTuple):
    """A mean over random runs, and the standard deviation of that mean, of the same structure."""

    mean: Any
    standard_error: Any


def monte_carlo(
    run: Callable[[jax.Array], State],
    readout: Callable[[State], Any],
    key: jax.Array,
    samples: int,
    *,
    batch_size: int = 256,
) -> Estimate:
    """The mean of a readout over random runs of a circuit.

    Runs differ in what is measured, and with ``unravel=True`` also in what channels, mixed
    preparations and modes that are traced out do to a pure state: these are quantum trajectories. A
    trajectory is a ket, while the density matrix has the square of its size. The mean of an
    expectation value over trajectories is that of the density matrix, including leakage. This does
    not hold for what is not linear in the density matrix, such as an entropy or a variance.

    The mean is that given what the circuit selects: a run in which the selection is less likely
    counts less, in proportion to `State.selection_probability`. (The probability of the selection
    in all runs is the plain mean of that, by `jax.vmap` over keys.)

    The mean is differentiable, with an unbiased derivative. It accounts for outcomes becoming
    likelier (`State.weight`), with the mean of the other runs of a batch as baseline. Where the
    circuit selects, the mean is a ratio of two means; it and its derivative are biased then, by
    about 1 / ``samples``.

    Args:
        run: makes one random run from a key.
        readout: from the `State` of a run to numbers: a pytree of real or complex arrays.
        key: a JAX random key.
        samples: the number of runs, at least 2.
        batch_size: how many run at a time at most; memory grows with it.

    Returns:
        An `Estimate`. If there are many samples, the true mean is within three standard errors in
        99.7 % of cases. Both are NaN if what is selected was impossible in all runs, or all of it
        too improbable for the precision.

    Raises:
        ValueError: for fewer than 2 samples or a batch size below 1.
        TypeError: if ``run`` returns no `State`, or ``readout`` one.

    Example:
        >>> import jax, fockjax as fj
        >>> circuit = fj.Circuit(1).displace(1.0, mode=0).kerr(0.4, mode=0).loss(0.7, mode=0)
        >>> run = lambda key: circuit({}, cutoff=12, key=key, unravel=True)
        >>> position = lambda state: state.quadrature(0).mean
        >>> mean, error = fj.monte_carlo(run, position, jax.random.key(0), 2000)
        >>> exact = circuit({}, cutoff=12).quadrature(0).mean
        >>> print(abs(mean - exact) < 3 * error, error < 0.02)
        True True

    Reference:
        J. Dalibard, Y. Castin, K. Molmer, Phys. Rev. Lett. 68, 580 (1992); the derivative:
        J. Foerster et al., DiCE, Proc. ICML (2018).
    """
    check_key(key)
    samples = checked_integer(samples, "Argument `samples`", 2)
    size = min(checked_integer(batch_size, "Argument `batch_size`"), samples)
    # Each size is compiled by itself, so an even split is taken where there is one.
    size = next((s for s in range(size, size // 2, -1) if samples % s == 0), size)
    batches, rest = divmod(samples, size)

    def one(key):
        state = run(key)
        if not isinstance(state, State):
            raise TypeError(f"Argument `run` must return a State, got {type(state).__name__}.")
        read = readout(state)
        if isinstance(read, State):
            raise TypeError(
                "Argument `readout` must return numbers, got a State: read some from it."
            )
        values = jax.tree.map(lambda value: _number(value, state.weight), read)
        return values, state.weight, state.selected

    @jax.checkpoint
    def batch(keys) -> _Sums:
        return _sums(*jax.vmap(one)(keys))

    keys = jax.random.split(key, samples)
    whole = keys[: batches * size].reshape(batches, size, *keys.shape[1:])
    if batches == 1:
        found = batch(whole[0])
    else:

        def add(found, own):
            return _join(found, batch(own)), None

        # Not only the shape: in `jax.shard_map` each device may have a key of its own.
        nothing = jax.tree.map(jnp.zeros_like, jax.eval_shape(batch, whole[0]))
        found, _ = lax.scan(add, nothing, whole)
    if rest:
        found = _join(found, batch(keys[batches * size :]))
    error = jax.tree.map(lambda s: safe_sqrt(s * (samples / (samples - 1))), found.square)
    return jax.tree.map(
        lambda e: jnp.where(found.total > 0, e, np.nan), Estimate(found.mean, error)
    )


class _Sums(NamedTuple):
    """What is kept of some runs. Run t has the value f_t, and the selection the probability s_t, 1
    where nothing is selected.

    Attributes:
        total: the sum of s_t; its derivative is that of their mean over all that may be drawn.
        mean: the weighted mean m of f_t.
        norm, moment, square: the sums of q_t^2, q_t^2 (f_t - m) and q_t^2 |f_t - m|^2, where q_t is
            s_t / total. The last is the variance of m to first order in the fluctuations of its
            numerator and its denominator. They are constants for automatic differentiation.
    """

    total: jax.Array
    mean: Any
    norm: jax.Array
    moment: Any
    square: Any


def _sums(values: Any, weights: jax.Array, selected: jax.Array | None) -> _Sums:
    """The sums of a batch of runs."""
    if selected is None:
        chances = jnp.ones_like(weights)
        mean = jax.tree.map(lambda v: jnp.mean(_scored(v, weights), 0), values)
    else:
        chances = weights * selected
        # What is read after an impossible selection means nothing, and may be NaN.
        values = jax.tree.map(lambda v: jnp.where(_along(selected, v) == 0, 0, v), values)
        parts = ratio(chances, jnp.sum(chances))
        mean = jax.tree.map(lambda v: jnp.sum(_along(parts, v) * v, 0), values)
    total = jnp.sum(chances)
    shares = lax.stop_gradient(ratio(chances, total))
    off = jax.tree.map(lambda v, m: lax.stop_gradient(v - m[None]), values, mean)
    return _Sums(
        total,
        mean,
        jnp.sum(shares**2),
        jax.tree.map(lambda d: jnp.sum(_along(shares, d) ** 2 * d, 0), off),
        jax.tree.map(lambda d: jnp.sum(_square(_along(shares, d) * d), 0), off),
    )


def _join(one: _Sums, other: _Sums) -> _Sums:
    """The sums of two sets of runs.

    For equal weights: T. F. Chan, G. H. Golub, R. J. LeVeque, The American Statistician 37, 242
    (1983).
    """
    total = one.total + other.total
    share = ratio(other.total, total)
    mean = jax.tree.map(lambda a, b: a + share.astype(a.dtype) * (b - a), one.mean, other.mean)
    center, known = lax.stop_gradient((mean, share))
    sides = _about(center, one, 1 - known), _about(center, other, known)
    return _Sums(total, mean, *jax.tree.map(jnp.add, *sides))


def _about(center: Any, sums: _Sums, part: jax.Array) -> tuple[jax.Array, Any, Any]:
    """Norm, moment and square of runs that are ``part`` of those whose mean is ``center``."""
    norm = part**2 * sums.norm
    by = jax.tree.map(lambda m, c: lax.stop_gradient(m) - c, sums.mean, center)

    def moment(first, d):
        return part.astype(d.dtype) ** 2 * first + norm.astype(d.dtype) * d

    def square(second, first, d):
        whole = part.astype(second.dtype) ** 2 * (second + 2 * (first * d.conj()).real)
        return whole + norm.astype(second.dtype) * _square(d)

    return (
        norm,
        jax.tree.map(moment, sums.moment, by),
        jax.tree.map(square, sums.square, sums.moment, by),
    )


def _number(value: Any, like: jax.Array) -> jax.Array:
    """A value as an inexact number: integers and booleans become real."""
    value = jnp.asarray(value)
    return value if jnp.issubdtype(value.dtype, jnp.inexact) else value.astype(like.dtype)


def _scored(values: jax.Array, weights: jax.Array) -> jax.Array:
    """Each value times its weight, with a baseline subtracted that does not depend on the value."""
    weights = _along(weights, values)
    known = lax.stop_gradient(values)
    baseline = (jnp.sum(known, 0, keepdims=True) - known) / max(len(known) - 1, 1)
    return (values - baseline) * weights + baseline


def _along(numbers: jax.Array, values: jax.Array) -> jax.Array:
    """Numbers, one for each run, as factors of the values of all runs."""
    return numbers.reshape(-1, *[1] * (values.ndim - 1)).astype(values.dtype)


def _square(values: jax.Array) -> jax.Array:
    return values.real**2 + values.imag**2
