"""Readouts of some of the modes: their density matrix, its purity and its entropy."""

from string import ascii_letters

import jax
import jax.numpy as jnp

from fockjax.readouts.factored import Factored, Modes, outer, readout
from fockjax.readouts.spectral import entropy_of


class Subsystems(Factored):
    """Readouts of a part of the modes, the others traced out."""

    @readout("modes")
    def reduced(self, modes: Modes) -> jax.Array:
        """The density matrix of ``modes``, all others traced out.

        Args:
            modes: one mode or several, in any order.

        Returns:
            Complex array: the row axes (ket) of ``modes`` in the order asked for, then their
            column axes (bra); ``(cutoff, cutoff)`` for one mode. Strawberry Fields interleaves
            them: its axes (ket, bra, ket, bra) of two modes are
            ``reduced((0, 1)).transpose(0, 2, 1, 3)``.

        Raises:
            OverLimit: if the array would take more than 8 GiB, and more than any factor.

        Example:
            >>> import numpy as np, fockjax as fj
            >>> bell = fj.from_ket(np.eye(2) / np.sqrt(2))
            >>> print(bell.reduced(0).real)
            [[0.5 0. ]
             [0.  0.5]]
            >>> bell.reduced((1, 0)).shape
            (2, 2, 2, 2)
        """
        modes = self._checked_modes(modes)
        self._check_joint("reduced", modes, sides=2)
        row = dict(zip(modes, ascii_letters, strict=False))
        column = dict(zip(modes, ascii_letters[len(modes) :], strict=False))

        def labels(modes):
            return "".join(row[mode] for mode in modes) + "".join(column[mode] for mode in modes)

        parts = ((factor.reduced(own), labels(own)) for factor, own in self._split(modes))
        return outer(parts, labels(modes)).astype(self.dtype)

    @readout("modes")
    def purity(self, modes: Modes | None = None) -> jax.Array:
        """``trace(rho^2)`` of the density matrix of ``modes`` (default: all).

        It is 1 if these modes are in a pure state of their own. Nothing is renormalised: for a
        state that lost probability it is lower (``norm^4`` for all modes of a pure state).

        Args:
            modes: one mode or several.

        Returns:
            A real scalar.

        Example:
            >>> import numpy as np, fockjax as fj
            >>> print(fj.from_ket(np.eye(2) / np.sqrt(2)).purity(0))
            0.5
        """
        total = jnp.ones((), self._real)
        for rho in self._spectra(modes):
            total = total * jnp.sum(rho.real**2 + rho.imag**2)
        return total

    @readout("modes")
    def entropy(self, modes: Modes | None = None) -> jax.Array:
        """``-trace(rho ln rho)`` of the density matrix of ``modes`` (default: all): von Neumann's
        entropy, in nats.

        For a pure state it is the entanglement with the other modes, and the smaller side is
        diagonalised. Nothing is renormalised: a trace t < 1 adds ``-t ln t``. First and second
        derivatives are finite at eigenvalues that are zero or equal.

        Args:
            modes: one mode or several.

        Returns:
            A real scalar.

        Example:
            >>> import numpy as np, fockjax as fj
            >>> print(fj.from_ket(np.eye(2) / np.sqrt(2)).entropy(0).round(4))  # ln 2
            0.6931
        """
        entropy, trace = jnp.zeros((), self._real), jnp.ones((), self._real)
        for rho in self._spectra(modes):  # the entropy of a product is S1 t2 + t1 S2
            mine = jnp.trace(rho).real
            entropy = entropy * mine + trace * entropy_of(rho)
            trace = trace * mine
        return entropy

    def _spectra(self, modes: Modes | None) -> list[jax.Array]:
        """Matrices, one for each factor, whose tensor product has the same nonzero eigenvalues as
        the density matrix of ``modes``.
        """
        modes = self._checked_modes(modes)
        return [factor.isospectral(own) for factor, own in self._split(modes)]
