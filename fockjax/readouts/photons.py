"""Photon numbers: probabilities, and observables that are diagonal in them."""

from collections.abc import Sequence
from string import ascii_letters
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from fockjax._eager import is_known
from fockjax._given import as_real
from fockjax._linear import contract
from fockjax.readouts.factored import Factored, Modes, Moments, outer, readout


class PhotonNumbers(Factored):
    """Readouts of photon numbers."""

    def probability(self, photons: Sequence[int] | ArrayLike) -> jax.Array:
        """The probability of one pattern of photon numbers, one for each mode.

        Args:
            photons: integers. They may be traced, so that `jax.vmap` runs over many patterns. As no
                error can be raised then, a number outside a cutoff has probability 0.

        Returns:
            A real scalar.

        Raises:
            ValueError: if there is not one for each mode, or they are known to be outside the
                truncation.

        Example:
            >>> import fockjax as fj
            >>> state = fj.Circuit(2).displace(1.0, mode=1)({}, cutoff=5)
            >>> print(state.probability((0, 2)).round(4))  # e^-1 / 2
            0.1839
        """
        numbers = np.asarray(photons) if is_known(photons) else jnp.asarray(photons)
        numbers = numbers.reshape(numbers.shape or (1,))
        if numbers.shape != (self.modes,) or not jnp.issubdtype(numbers.dtype, jnp.integer):
            raise ValueError(
                f"Argument `photons` must be {self.modes} integers, one for each mode, got "
                f"{photons!r}."
            )
        if isinstance(numbers, np.ndarray) and not self._keeps(numbers):
            raise ValueError(
                f"Argument `photons` must be inside the cutoffs {self.truncation}, got "
                f"{tuple(map(int, numbers))}."
            )
        return self._probability(numbers)

    def _keeps(self, photons: np.ndarray) -> bool:
        return bool(np.all(photons >= 0) and self.layout.keeps(photons[None])[0])

    @readout()
    def _probability(self, photons: Any) -> jax.Array:
        total = jnp.ones((), self._real)
        for factor in self._parts:
            total = total * factor.probability({mode: photons[mode] for mode in factor.modes})
        return total

    @readout("modes")
    def probabilities(self, modes: Modes | None = None) -> jax.Array:
        """Joint photon-number probabilities of ``modes`` (default: all), the others summed over.

        Args:
            modes: one mode or several, in any order.

        Returns:
            Real array with one axis for each of ``modes``, in that order, as long as its cutoff.

        Raises:
            OverLimit: if the array would take more than 8 GiB, and more than any factor.

        Example:
            >>> import fockjax as fj
            >>> state = fj.Circuit(2).displace(1.0, mode=1)({}, cutoff=(2, 3))
            >>> print(state.probabilities(1).round(3))
            [0.368 0.368 0.184]
        """
        modes = self._checked_modes(modes)
        self._check_joint("probabilities", modes, dtype=self._real)
        label = dict(zip(modes, ascii_letters, strict=False))
        parts = (
            (factor.probabilities(own), "".join(label[mode] for mode in own))
            for factor, own in self._split(modes)
        )
        return outer(parts, "".join(label[mode] for mode in modes))

    @readout()
    def fidelity_vacuum(self) -> jax.Array:
        """The probability of no photon in any mode, the fidelity with the vacuum.

        Example:
            >>> import fockjax as fj
            >>> state = fj.Circuit(2).displace(1.0, mode=1)({}, cutoff=3)
            >>> print(state.fidelity_vacuum().round(4))  # e^-1
            0.3679
        """
        return self.probability((0,) * self.modes)

    @readout("mode")
    def photon_number(self, mode: int) -> Moments:
        """Mean and variance of the photon number ``n = a^dagger a`` of a mode.

        Args:
            mode: the mode.

        Returns:
            `Moments`, of two real scalars.

        Example:
            >>> import fockjax as fj
            >>> state = fj.Circuit(1).displace(0.5, 0.3, mode=0)({}, cutoff=12)
            >>> print(state.photon_number(0).mean.round(4))
            0.25
        """
        return self.photon_number_product((self._checked_mode(mode),))

    @readout("modes")
    def photon_number_product(self, modes: Modes | None = None) -> Moments:
        """Mean and variance of the product of the photon numbers of ``modes`` (default: all).

        Args:
            modes: one mode or several.

        Returns:
            `Moments`, of two real scalars.

        Example:
            >>> import fockjax as fj
            >>> state = fj.from_ket([[0, 0], [0, 1]])  # |1, 1>
            >>> print(*state.photon_number_product((0, 1)))
            1.0 0.0
        """
        numbers = {mode: np.arange(self.cutoffs[mode]) for mode in self._checked_modes(modes)}
        mean, square = self._diagonals(numbers, {mode: n**2 for mode, n in numbers.items()})
        return Moments(mean, square - mean**2)

    @readout("modes")
    def parity(self, modes: Modes | None = None) -> jax.Array:
        """The mean of ``(-1)^n``, n the photons of ``modes`` (default: all) together.

        Of one mode it is ``pi hbar W(0, 0)``, W the Wigner function.

        Args:
            modes: one mode or several.

        Returns:
            A real scalar.

        Example:
            >>> import fockjax as fj
            >>> print(fj.from_ket([[0, 0], [1, 0]]).parity())  # |1, 0>
            -1.0
        """
        modes = self._checked_modes(modes)
        return self._diagonal({mode: (-1) ** np.arange(self.cutoffs[mode]) for mode in modes})

    @readout("modes")
    def diagonal_expectation(self, values: Any, modes: Modes) -> jax.Array:
        """The mean of an observable that is diagonal in the photon numbers of ``modes``.

        Args:
            values: its eigenvalues, real: an array with an axis for each of ``modes``, as long as
                its cutoff; or, for a product of observables, a tuple of vectors, one for each of
                ``modes``, which costs no joint array.
            modes: one or several modes.

        Returns:
            A real scalar.

        Raises:
            ValueError: if a shape differs.

        Example:
            >>> import numpy as np, fockjax as fj
            >>> state = fj.from_ket([[0, 0.6], [0.8, 0]])
            >>> print(state.diagonal_expectation(np.array([[0, 1], [2, 3]]), (0, 1)))
            1.64
            >>> print(state.diagonal_expectation(([0, 1], [1, 3]), (0, 1)))
            0.64
        """
        modes = self._checked_modes(modes)
        shape = tuple(self.cutoffs[mode] for mode in modes)
        if isinstance(values, tuple):
            vectors = [as_real("values", vector, self._real) for vector in values]
            if [vector.shape for vector in vectors] != [(length,) for length in shape]:
                raise ValueError(
                    f"Argument `values` must be vectors of the lengths {shape}, the cutoffs of "
                    f"modes {modes}, got the shapes {[vector.shape for vector in vectors]}."
                )
            return self._diagonal(dict(zip(modes, vectors, strict=True)))
        try:
            values = as_real("values", values, self._real)
        except ValueError as error:
            raise ValueError(f"{error} Of vectors, one for each mode, give a tuple.") from None
        if values.shape != shape:
            raise ValueError(
                f"Argument `values` must have shape {shape}, the cutoffs of modes {modes}, got "
                f"{values.shape}."
            )
        labels = ascii_letters[: len(modes)]
        return contract(values, self.probabilities(modes), f"{labels},{labels}->")
