"""Entropy of a density matrix, with derivatives that are right at equal and at zero eigenvalues."""

import jax
import jax.numpy as jnp

from fockjax._linear import contract


@jax.custom_jvp
def entropy_of(rho: jax.Array) -> jax.Array:
    """``-trace(rho ln rho)`` of a Hermitian matrix without negative eigenvalues.

    Eigenvectors of equal eigenvalues have no derivatives, but a trace of a function of rho has:
    ``d trace f(rho) = trace(f'(rho) drho)``. The logarithm in it is set to 0 at eigenvalues of 0.
    Any finite number gives the first derivative of a state, whose eigenvalues have a minimum there,
    and in the second it cancels. Right up to second derivatives, where they exist; the third goes
    through the eigenvectors.
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
    far = jnp.where(near, 0.5, u)
    series = 1 + u**2 / 3 + u**4 / 5 + u**6 / 7
    quotient = 2 * jnp.where(near, series, jnp.arctanh(far) / far) / total
    larger = jnp.maximum(a, b)
    one = larger > 0
    quotient = jnp.where(
        both, quotient, jnp.where(one, _log(larger) / jnp.where(one, larger, 1), 0)
    )
    inside = contract(contract(vectors.conj(), drho, "ia,ij->aj"), vectors, "aj,jb->ab")
    change = contract(quotient, inside, "ab,ab->ab")
    return _logarithm(rho), _from_eigenbasis(vectors, change)


def _from_eigenbasis(vectors, matrix):
    return contract(contract(vectors, matrix, "ia,ab->ib"), vectors.conj(), "ib,jb->ij")


def _log(values):
    positive = values > 0
    return jnp.where(positive, jnp.log(jnp.where(positive, values, 1)), 0)
