"""Factors, pure and mixed, against NumPy on dense random kets and density matrices."""

from dataclasses import replace

import dense
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compare import close_to_13_digits as close

import fockjax as fj
from fockjax.factors import Mixed, Pure

MODES, CUTOFFS = (1, 2, 5), (3, 2, 4)


def random_matrix(rng, cutoffs, rank=3):
    """A density matrix of trace 0.9, with complex coherences."""
    kets = [dense.random_ket(rng, cutoffs) for _ in range(rank)]
    return sum(
        p * np.multiply.outer(ket, ket.conj())
        for p, ket in zip(0.9 * rng.dirichlet(np.ones(rank)), kets, strict=True)
    )


def both(rng):
    """The same pure state as either kind, and a mixed one, with their density matrices."""
    ket = 0.8 * dense.random_ket(rng, CUTOFFS)
    pure, rho = np.multiply.outer(ket, ket.conj()), random_matrix(rng, CUTOFFS)
    return [
        (Pure.of_ket(jnp.asarray(ket), MODES), pure),
        (Mixed.of_matrix(jnp.asarray(pure), MODES), pure),
        (Mixed.of_matrix(jnp.asarray(rho), MODES), rho),
    ]


def test_constructors_take_modes_in_any_order(x64):
    rng = np.random.default_rng(0)
    ket = dense.random_ket(rng, CUTOFFS)
    pure = Pure.of_ket(jnp.asarray(ket), (5, 1, 2))
    assert pure.modes == MODES and pure.cutoffs == (2, 4, 3) and pure.is_pure
    close(pure.array, ket.transpose(1, 2, 0))
    mixed = Mixed.of_matrix(jnp.asarray(np.multiply.outer(ket, ket.conj())), (5, 1, 2))
    assert mixed.modes == MODES and mixed.cutoffs == (2, 4, 3) and not mixed.is_pure
    close(mixed.array, pure.mixed().array)
    close(pure.mixed().array, np.multiply.outer(pure.array, pure.array.conj()))
    assert mixed.mixed() is mixed


def test_operators_act_on_both_sides(x64):
    factors, matrices = zip(*both(np.random.default_rng(1)), strict=True)

    @jax.jit
    def act(factors):
        gate = fj.gates.beamsplitter(0.7, 0.4, cutoff=(4, 3))  # on modes 5 and 1: another order
        turn = fj.gates.squeezing(0.4, 0.9, cutoff=2) @ fj.gates.kerr(0.3, cutoff=2)
        after = [factor.apply(gate, (5, 1)).apply(turn, (2,)).mixed().array for factor in factors]
        return after, gate.to_dense(), turn.to_dense()

    after, gate, turn = act(factors)
    U = np.einsum("caCA,bB->abcABC", gate, turn)
    for found, rho in zip(after, matrices, strict=True):
        close(found, np.einsum("abcABC,ABCxyz,defxyz->abcdef", U, rho, U.conj(), optimize=True))


def test_joining_is_mixed_where_one_is(x64):
    rng = np.random.default_rng(2)
    ket = dense.random_ket(rng, (2, 3))
    other = Pure.of_ket(jnp.asarray(ket), (0, 3))
    for factor, rho in both(rng):
        joint = factor.join(other)
        assert joint.is_pure == factor.is_pure and joint.modes == (0, 1, 2, 3, 5)
        expected = np.einsum("abcABC,zd,ZD->zabdcZABDC", rho, ket, ket.conj())
        close(joint.mixed().array, expected)
        close(other.join(factor).mixed().array, expected)


def test_weights_scale_the_density_matrix(x64):
    for factor, rho in both(np.random.default_rng(3)):
        after = factor.weighted(jnp.asarray(0.3))
        assert after.is_pure == factor.is_pure
        close(after.mixed().array, 0.3 * rho)


def test_tracing_out(x64):
    for factor, rho in both(np.random.default_rng(4)):
        left = factor.trace_out((2, 1))
        assert left.modes == (5,) and not left.is_pure
        close(left.array, np.einsum("abcabC->cC", rho))
        close(factor.trace_out((1,)).array, np.einsum("abcaBC->bcBC", rho))
        trace = factor.trace_out(MODES)
        assert trace.dtype == np.float64
        close(trace, np.einsum("abcabc->", rho).real)


@pytest.mark.parametrize("terms", [1, 3])
def test_projecting_modes_one_by_one(terms, x64):
    rng = np.random.default_rng(5)
    weights = rng.uniform(size=terms)
    bras = [rng.normal(size=(terms, c, 2)) @ [1, 1j] for c in CUTOFFS]
    first, second, third = (np.einsum("j,jx,jX->xX", weights, b, b.conj()) for b in bras)
    for factor, rho in both(rng):
        left = factor.project(2, jnp.asarray(weights), jnp.asarray(bras[1]))
        assert left.modes == (1, 5) and left.is_pure == (factor.is_pure and terms == 1)
        expected = np.einsum("abcABC,bB->acAC", rho, second)
        close(left.mixed().array, expected)
        left = left.project(5, jnp.asarray(weights), jnp.asarray(bras[2]))
        probability = left.project(1, jnp.asarray(weights), jnp.asarray(bras[0]))
        assert probability.dtype == np.float64
        close(probability, np.einsum("acAC,cC,aA->", expected, third, first).real)


class Flip:
    """A channel that swaps the rows and the columns of two axes apart: it sees which are which."""

    def apply(self, rho, rows, columns):
        return (
            rho.at[(slice(None),) * rows[0] + (0,)]
            .multiply(2)
            .at[(slice(None),) * columns[1] + (0,)]
            .multiply(3)
        )


def test_channels_are_given_row_and_column_axes(x64):
    for factor, rho in both(np.random.default_rng(6)):
        after = factor.apply_channel(Flip(), (5, 1))
        assert not after.is_pure
        expected = np.array(rho)
        expected[:, :, 0] *= 2
        expected[:, :, :, 0] *= 3
        close(after.array, expected)


def test_factors_batch_and_differentiate(x64):
    """Everything a measured and coupled factor goes through, along a line; of a weight too."""
    rng = np.random.default_rng(7)
    starts = [factor for factor, _ in both(rng)]
    slopes = [0.3 * rng.normal(size=(*f.array.shape, 2)) @ [1, 1j] for f in starts]
    bras = rng.normal(size=(2, 2, 2)) @ [1, 1j]
    readers = rng.normal(size=(3, 4, 3, 4, 2)) @ [1, 1j]

    def along(t):
        total = 0.0
        for start, slope in zip(starts, slopes, strict=True):
            factor = replace(start, array=start.array + t.astype(complex) * slope)
            for weights in (jnp.stack([1 + t**2]), jnp.stack([t, 1 + t])):
                left = factor.project(2, weights, bras[: len(weights)].astype(complex))
                left = left.apply(fj.gates.rotation(t, cutoff=4), (5,)).weighted(2 + t)
                total = total + jnp.sum(left.mixed().array * readers).real
                total = total + left.trace_out((1,)).probabilities((5,))[1]
        return total

    def orders(t):
        return along(t), jax.grad(along)(t), jax.jvp(along, (t,), (1.0,))[1]

    points = np.array([0.0, 0.4]) + 1e-3 * np.arange(-2.0, 3.0)[:, None]
    value, gradient, forward = jax.jit(jax.vmap(jax.vmap(orders)))(points)
    difference = np.array([1.0, -8, 0, 8, -1]) / 12e-3 @ np.asarray(value)
    close(gradient[2], difference, 1e-8)
    close(forward, gradient, 1e-10)
    close(value[2], [jax.jit(along)(t) for t in points[2]], 1e-12)
