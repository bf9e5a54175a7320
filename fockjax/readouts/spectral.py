"""Entropy, fidelity and logarithmic derivatives of density matrices, with derivatives that are
right at equal and at zero eigenvalues.
"""

import jax
import jax.numpy as jnp
from jax import lax

from fockjax._linear import contract


@jax.custom_jvp
def entropy_of(rho: jax.Array) -> jax.Array:
    """``-trace(rho ln rho)`` of a Hermitian matrix without negative eigenvalues.

    Eigenvectors of equal eigenvalues have no derivatives, but the trace of a function of rho has:
    ``d trace f(rho) = trace(f'(rho) drho)``. The logarithm in f' is set to 0 at eigenvalues of 0.
    Any finite number would do: the eigenvalues of a state have a minimum there, so it does not
    matter for the first derivative, and it cancels in the second. The result is right up to second
    derivatives, where they exist; the third goes through the eigenvectors.
    """
    values = jnp.linalg.eigh(rho)[0]
    return -jnp.sum(values * _log(values))


@entropy_of.defjvp
def _entropy_jvp(primals, tangents):
    (rho,), (drho,) = primals, tangents
    slope = contract(_logarithm(rho), drho, "ij,ji->", real=True) + jnp.trace(drho).real
    return entropy_of(rho), -slope


@jax.custom_jvp
def _logarithm(rho):
    """ln rho, with 0 for the logarithm of eigenvalues that are not positive."""
    values, vectors = jnp.linalg.eigh(rho)
    return _from_eigenbasis(vectors, jnp.diag(_log(values)).astype(rho.dtype))


@_logarithm.defjvp
def _logarithm_jvp(primals, tangents):
    """Divided differences in the eigenbasis: Daleckii and Krein (1965)."""
    (rho,), (drho,) = primals, tangents
    values, vectors = jnp.linalg.eigh(rho)
    a, b = jnp.meshgrid(values, values)
    both = (a > 0) & (b > 0)
    total = jnp.where(both, a + b, 1)
    u = jnp.where(both, (a - b) / total, 0)  # ln(a / b) = 2 artanh u
    near = jnp.abs(u) < 1e-2
    apart = jnp.abs(u) > 0.5  # up to where u rounds to 1, and its artanh would be infinite
    far = jnp.where(near | apart, 0.5, u)
    series = 1 + u**2 / 3 + u**4 / 5 + u**6 / 7
    quotient = 2 * jnp.where(near, series, jnp.arctanh(far) / far) / total
    quotient = jnp.where(apart, (_log(a) - _log(b)) / jnp.where(apart, a - b, 1), quotient)
    larger = jnp.maximum(a, b)
    one = larger > 0
    quotient = jnp.where(
        both, quotient, jnp.where(one, _log(larger) / jnp.where(one, larger, 1), 0)
    )
    return _logarithm(rho), _change(vectors, quotient, drho)


@jax.custom_jvp
def root_fidelity(rho: jax.Array, sigma: jax.Array) -> jax.Array:
    """``trace sqrt(sqrt(rho) sigma sqrt(rho))`` of two Hermitian matrices without negative
    eigenvalues: the sum of the singular values of ``sqrt(rho) sqrt(sigma)``.

    If A is the `_map` that takes sigma to rho, and B the one that takes rho to sigma, its
    derivative is ``trace(A dsigma + B drho) / 2``: no eigenvector is differentiated. Eigenvalues
    that are zero within rounding are taken to be zero and to stay so. If they do not stay zero, the
    derivative is infinite, and this one lacks the infinite part. The result is right up to second
    derivatives, as for `entropy_of`.
    """
    return jnp.sum(_singular(rho, sigma)[1])


@root_fidelity.defjvp
def _root_fidelity_jvp(primals, tangents):
    (rho, sigma), (drho, dsigma) = primals, tangents
    slope = contract(_map(rho, sigma), dsigma, "ij,ji->", real=True)
    slope = slope + contract(_map(sigma, rho), drho, "ij,ji->", real=True)
    return root_fidelity(rho, sigma), slope / 2


@jax.custom_jvp
def _map(rho, sigma):
    """The positive A of ``A sigma A = rho``: ``sqrt(rho) M^(-1/2) sqrt(rho)`` with ``M = sqrt(rho)
    sigma sqrt(rho)``, inverted on its range.
    """
    root = _root(rho)[0]
    left, singular = _singular(rho, sigma)
    half = contract(root, left, "ij,ja->ia")
    return _from_eigenbasis(half, jnp.diag(_inverse(singular)).astype(rho.dtype))


@_map.defjvp
def _map_jvp(primals, tangents):
    """The product rule, with divided differences for the derivatives of both roots."""
    (rho, sigma), (drho, dsigma) = primals, tangents
    root, values, vectors = _root(rho)
    left, singular = _singular(rho, sigma)
    inverse = _from_eigenbasis(left, jnp.diag(_inverse(singular)).astype(rho.dtype))

    a, b = jnp.meshgrid(jnp.sqrt(values), jnp.sqrt(values))
    droot = _change(vectors, _inverse(a + b), drho)
    dm = _product(droot, sigma, root)
    dm = dm + dm.T.conj() + _product(root, dsigma, root)
    a, b = jnp.meshgrid(singular, singular)
    both = -_inverse(a) * _inverse(b) * _inverse(a + b)  # (1/a - 1/b) / (a^2 - b^2)
    quotient = jnp.where((a > 0) & (b > 0), both, _inverse(a + b) ** 3)
    # For two small singular values the quotient would consist of rounding errors only.
    least = jnp.finfo(a.dtype).eps ** (1 / 3) * jnp.max(singular)
    quotient = jnp.where(a + b > least, quotient, 0)
    dinverse = _change(left, quotient, dm)
    out = _product(droot, inverse, root)
    return _map(rho, sigma), out + out.T.conj() + _product(root, dinverse, root)


def logarithmic_derivatives(rho: jax.Array, slopes: jax.Array) -> jax.Array:
    """The symmetric logarithmic derivatives L of a Hermitian matrix without negative eigenvalues,
    ``(rho L + L rho) / 2 = slope`` for each of ``slopes``, shape (slopes, size, size).

    Between eigenvectors of rho, ``L_ij = 2 slope_ij / (l_i + l_j)``. It is set to 0 where both
    eigenvalues are zero within rounding: there the slope of a state is zero as well, and L is not
    determined. A small eigenvalue may hold much information, so the rounding allowed for is that of
    one number, not of the whole matrix. The derivatives of L are those of this linear equation, so
    that no eigenvector is differentiated. They are right to any order where the rank of rho stays
    the same.
    """
    values, vectors = jnp.linalg.eigh(lax.stop_gradient(rho))
    sums = values[:, None] + values[None, :]
    weights = 2 * _inverse(jnp.where(sums > jnp.finfo(sums.dtype).eps * values[-1], sums, 0))

    def anticommutator(x):
        return (contract(rho, x, "ij,ajk->aik") + contract(x, rho, "aij,jk->aik")) / 2

    def solve(_, x):
        inside = contract(contract(vectors.conj(), x, "ib,aij->abj"), vectors, "abj,jc->abc")
        inside = contract(vectors, contract(weights, inside, "bc,abc->abc"), "ib,abc->aic")
        return contract(inside, vectors.conj(), "aic,jc->aij")

    def solve_transposed(_, x):
        return solve(None, x.swapaxes(1, 2)).swapaxes(1, 2)

    return lax.custom_linear_solve(anticommutator, slopes, solve, solve_transposed)


def _root(rho):
    """The square root of a matrix, its eigenvalues (0 where they are so within rounding) and its
    eigenvectors.
    """
    values, vectors = jnp.linalg.eigh(rho)
    values = _rounded(values)
    return _from_eigenbasis(vectors, jnp.diag(jnp.sqrt(values)).astype(rho.dtype)), values, vectors


def _singular(rho, sigma):
    """The left singular vectors of ``sqrt(rho) sqrt(sigma)`` and its singular values."""
    left, singular, _ = jnp.linalg.svd(_product(_root(rho)[0], _root(sigma)[0]))
    return left, _rounded(singular)


def _rounded(values):
    """The values, with those that are 0 within rounding set to 0; NaN stays NaN."""
    return jnp.where(
        values <= values.size * jnp.finfo(values.dtype).eps * jnp.max(values), 0, values
    )


def _inverse(values):
    """1 / values, 0 where they are 0."""
    return jnp.where(values > 0, 1 / jnp.where(values > 0, values, 1), 0)


def _change(vectors, quotients, change):
    """The change of a function of a matrix, by divided differences in the eigenbasis."""
    inside = contract(contract(vectors.conj(), change, "ia,ij->aj"), vectors, "aj,jb->ab")
    return _from_eigenbasis(vectors, contract(quotients, inside, "ab,ab->ab"))


def _product(a, b, *more):
    whole = contract(a, b, "ij,jk->ik")
    return _product(whole, *more) if more else whole


def _from_eigenbasis(vectors, matrix):
    return contract(contract(vectors, matrix, "ia,ab->ib"), vectors.conj(), "ib,jb->ij")


def _log(values):
    positive = values > 0
    return jnp.where(positive, jnp.log(jnp.where(positive, values, 1)), 0)
