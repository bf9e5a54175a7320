"""The base class of detectors."""

import abc
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from fockjax._linear import contract, inexact
from fockjax._numerics import ratio


class Detector(abc.ABC):
    """A measurement of one mode: it draws an outcome and tells in what state this leaves the rest.

    A pytree of one sample; batch it with `jax.vmap`.
    """

    cutoff: int

    @abc.abstractmethod
    def sample(self, key: jax.Array, rho: jax.Array) -> jax.Array:
        """An outcome drawn from the distribution of ``rho / trace(rho)``.

        It is not differentiated. If ``rho`` is not finite or is zero, the outcome is NaN, or -1 if
        outcomes are integers.

        Args:
            key: a JAX random key.
            rho: density matrix of the mode, shape (cutoff, cutoff), of any trace.
        """

    @abc.abstractmethod
    def effect(self, outcome: Any) -> tuple[jax.Array, jax.Array]:
        """What an outcome leaves of the other modes: ``sum_j weights[j] <bra_j| rho |bra_j>``.

        Args:
            outcome: a scalar, which may be traced.

        Returns:
            The weights, real, shape (J,), and the bras, shape (J, cutoff):
            ``<bra_j| = sum_n bras[j, n] <n|``. J is known before tracing; where it is 1 a pure
            state of the other modes stays pure.
        """

    def probability(self, outcome: Any, rho: ArrayLike) -> jax.Array:
        """The probability of an outcome in ``rho / trace(rho)``, or its density if outcomes are
        continuous; 0 if rho is zero, as it is after an impossible outcome.
        """
        rho = inexact(rho)
        return ratio(jnp.sum(self.chances(outcome, rho)), jnp.trace(rho).real)

    def chances(self, outcome: Any, rho: ArrayLike) -> jax.Array:
        """``weights[j] <bra_j| rho |bra_j>`` for each j of the `effect`, shape (J,)."""
        weights, bras = self.effect(outcome)
        left = contract(bras, rho, "jm,mn->jn")
        each = contract(left, bras.conj(), "jn,jn->j", real=True)
        return contract(weights, each, "j,j->j")
