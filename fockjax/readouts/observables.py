"""Expectation values of operators."""

import math
from collections.abc import Sequence
from string import ascii_letters

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from fockjax._linear import contract
from fockjax.factors import Factor, Pure
from fockjax.operators import Matrix, Operator
from fockjax.readouts.factored import Modes, outer, readout
from fockjax.readouts.subsystems import Subsystems


class Observables(Subsystems):
    """Readouts of observables given as operators."""

    @readout("modes")
    def expectation(self, operator: Operator | ArrayLike, modes: Modes) -> jax.Array:
        """``trace(O rho)`` of an operator on some modes, ``<psi|O|psi>`` for a pure state.

        The operator need not be Hermitian. Nothing is renormalised: a state of trace t has the
        expectation t of the identity. Only elements between the Fock states that are kept
        contribute; those of gates are the exact ones, and a matrix should have those of the
        infinite operator (so the square of a cut matrix is not the cut square).

        Modes of several factors are joined, in the ket of these factors or in the density matrix of
        the modes, whichever is smaller.

        Args:
            operator: an `Operator`, as ``fj.gates`` makes them, with the cutoffs of ``modes``; or
                its elements ``<m1, m2, ..| O |n1, n2, ..>`` as a real or complex array of shape
                ``(*cutoffs, *cutoffs)`` of ``modes``, out axes first, in the order of ``modes``.
            modes: one or several modes.

        Returns:
            A complex scalar.

        Raises:
            ValueError: if the operator does not have the cutoffs of the modes, or the modes
                together do not fit in 8 GiB.

        Example:
            >>> import numpy as np, fockjax as fj
            >>> state = fj.from_ket([0.6, 0.8j])
            >>> a = np.array([[0, 1], [0, 0]])
            >>> print(state.expectation(a, 0).round(2))  # <0|psi>^* <1|psi>
            0.48j

            A characteristic function, ``trace(D(alpha) rho)``:

            >>> vacuum = fj.vacuum((20,))
            >>> print(vacuum.expectation(fj.gates.displacement(1.0, 0.3, cutoff=20), 0).round(4))
            (0.6065+0j)
        """
        modes = self._checked_modes(modes, 1)
        operator = self._operator(operator, modes)
        touched = [factor for factor, own in self._split(modes) if own]
        size = math.prod(operator.cutoffs)
        amplitudes = math.prod(math.prod(factor.cutoffs) for factor in touched)
        if all(factor.is_pure for factor in touched) and amplitudes < size**2:
            mean = self._in_ket(operator, modes, touched)
            for factor in self._parts:
                if factor not in touched:
                    mean = contract(factor.norm_squared(), mean, ",->")
            return mean
        self._check_joint("expectation", modes, sides=2)
        rho = self.reduced(modes)
        if isinstance(operator, Matrix):
            elements = operator.elements.reshape(size, size)
            return contract(elements, rho.reshape(size, size), "ab,ba->")
        after = operator.apply(rho, tuple(range(len(modes))))
        return jnp.trace(after.reshape(size, size))

    def _in_ket(self, operator: Operator, modes: Sequence[int], touched: list[Factor]) -> jax.Array:
        """The expectation in the ket of the factors that hold some of ``modes``."""
        (whole, *others) = touched
        if others:
            joint = [mode for factor in touched for mode in factor.modes]
            self._check_joint("expectation", joint)
            label = dict(zip(joint, ascii_letters, strict=False))
            parts = (
                (factor.kets.boxed(factor.array), "".join(label[mode] for mode in factor.modes))
                for factor in touched
            )
            whole = Pure.of_ket(outer(parts, "".join(label.values())), tuple(joint))
        after = whole.kets.apply(operator, whole.array, whole.positions(modes))
        labels = ascii_letters[: after.ndim]
        return contract(whole.array.conj(), after, f"{labels},{labels}->")

    def _operator(self, operator: Operator | ArrayLike, modes: Sequence[int]) -> Operator:
        """The operator in the dtype of the state, if it acts on the cutoffs of ``modes``."""
        cutoffs = tuple(self.cutoffs[mode] for mode in modes)
        if isinstance(operator, Operator):
            if operator.cutoffs != cutoffs:
                raise ValueError(
                    f"Argument `operator` has cutoffs {operator.cutoffs}, but modes {modes} have "
                    f"{cutoffs}: build it with those."
                )
            return jax.tree.map(
                lambda leaf: leaf.astype(self.dtype if jnp.iscomplexobj(leaf) else self._real),
                jax.tree.map(jnp.asarray, operator),
            )
        elements = jnp.asarray(operator)
        if elements.shape != cutoffs * 2:
            raise ValueError(
                f"Argument `operator` must have shape {cutoffs * 2}, the cutoffs of modes {modes} "
                f"for its out axes, then again for its in axes, got {elements.shape}."
            )
        return Matrix(elements.astype(self.dtype))
