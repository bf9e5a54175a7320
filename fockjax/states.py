"""Pure states as products of independent factors, and what can be read from them.

Modes that no gate has coupled stay separate factors, so memory grows with the modes that are
entangled. Which modes share a factor is
static: under `jax.jit` the bookkeeping costs nothing. All readouts are of one sample, batch by
    `jax.vmap`, and
differentiate in both directions.

Expectation values are taken in the state as it is, of norm below one where the cutoff lost
something: like Strawberry Fields, nothing is renormalised.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from string import ascii_letters
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fockjax._linear import contract
from fockjax._numerics import canonical_complex, checked_hbar, safe_sqrt
from fockjax.kets.array import checked as checked_ket
from fockjax.layout import Box
from fockjax.operators import Operator


class Moments(NamedTuple):
    """Mean and variance of an observable, real scalars."""

    mean: jax.Array
    variance: jax.Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Factor:
    """The joint state of some modes, independent of all others.

    Attributes:
        ket: amplitudes, stored as `layout` says.
        modes: the modes, increasing.
        layout: how the amplitudes are stored.
    """

    ket: jax.Array
    modes: tuple[int, ...] = field(metadata={"static": True})
    layout: Box = field(metadata={"static": True})

    @staticmethod
    def of_ket(ket: jax.Array, modes: tuple[int, ...]) -> "Factor":
        """A factor from amplitudes whose axes stand in the order of ``modes``."""
        order = sorted(range(len(modes)), key=modes.__getitem__)
        ket = ket.transpose(order)
        return Factor(ket, tuple(sorted(modes)), Box(ket.shape))

    def scaled(self, number: jax.Array) -> "Factor":
        labels = ascii_letters[: self.ket.ndim]
        return replace(self, ket=contract(self.ket, number, f"{labels},->{labels}"))

    def apply(self, operator: Operator, modes: tuple[int, ...]) -> "Factor":
        positions = tuple(self.modes.index(mode) for mode in modes)
        return Factor(self.layout.apply(operator, self.ket, positions), self.modes, self.layout)

    def join(self, other: "Factor") -> "Factor":
        modes = self.modes + other.modes
        order = sorted(range(len(modes)), key=modes.__getitem__)
        layout, ket = self.layout.join(self.ket, other.layout, other.ket, order)
        return Factor(ket, tuple(sorted(modes)), layout)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class State:
    """A pure state of several modes in the Fock basis.

    Made by `vacuum`, `from_ket` or by calling a `fockjax.Circuit`. A pytree of one sample: under
    `jax.vmap` every array in it and every readout gains the batch axis.

    Attributes:
        factors: the independent factors, ordered by their first mode.
        truncations: how many of the operators applied so far could lose probability at the cutoff.
        reflects: whether one of them was cut before it was exponentiated, as Strawberry Fields'
            cubic phase gate is, or normalised after the cut, as its GKP state: what crosses the
            cutoff then comes back unnoticed, `leakage` is only a lower bound, and `error_bound`
            infinite.
        hbar: the convention its quadratures are read in, unless a readout is given another.
    """

    factors: tuple[Factor, ...]
    truncations: int = field(default=0, metadata={"static": True})
    reflects: bool = field(default=False, metadata={"static": True})
    hbar: float = field(default=2.0, metadata={"static": True})

    @property
    def modes(self) -> int:
        """The number of modes."""
        return sum(len(factor.modes) for factor in self.factors)

    @property
    def cutoffs(self) -> tuple[int, ...]:
        """The cutoff of each mode."""
        of = {m: c for f in self.factors for m, c in zip(f.modes, f.layout.cutoffs, strict=True)}
        return tuple(of[mode] for mode in sorted(of))

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """The modes of each factor."""
        return tuple(factor.modes for factor in self.factors)

    def __repr__(self) -> str:
        dtype = self.factors[0].ket.dtype.name
        return f"State(cutoffs={self.cutoffs}, groups={self.groups}, dtype={dtype})"

    # amplitudes

    def ket(self) -> jax.Array:
        """The amplitudes <n1, n2, ..|psi>, shape ``cutoffs``. Memory: the product of all cutoffs.

        >>> import fockjax as fj
        >>> fj.vacuum(cutoffs=(2, 3)).ket().shape
        (2, 3)
        """
        joined, *others = self.factors
        for factor in others:
            joined = joined.join(factor)
        return joined.ket

    @property
    def norm(self) -> jax.Array:
        """The 2-norm of the amplitudes, below 1 where the cutoff lost probability."""
        return safe_sqrt(self._norm_squared())

    @property
    def leakage(self) -> jax.Array:
        """The probability lost at the cutoff, ``1 - norm^2``.

        Exact gate elements make it an honest number, after a gate that `reflects` a lower bound;
        rounding alone may give it the size and sign of the precision.
        """
        return 1 - self._norm_squared()

    @property
    def error_bound(self) -> jax.Array:
        """A bound on the 2-norm of the difference between the exact ket and this one.

        Leakage is not accuracy: with e_k lost at gate k the amplitudes are off by at most sum_k
        sqrt(e_k), and that is at most ``sqrt(truncations * leakage)`` by the Cauchy-Schwarz
        inequality. Infinite where a gate `reflects`.
        """
        leakage = self.leakage
        if self.reflects:
            return jnp.full((), jnp.inf, leakage.dtype)
        return safe_sqrt(self.truncations * jnp.maximum(leakage, 0))

    # photon numbers

    def probabilities(self, modes: tuple[int, ...] | int | None = None) -> jax.Array:
        """Joint photon-number probabilities of ``modes`` (default: all), the others summed over.

        Returns:
            Real array with one axis for each of ``modes``, in that order, as long as its cutoff.
        """
        if modes is None:
            modes = tuple(range(self.modes))
        modes = (modes,) if isinstance(modes, int | np.integer) else tuple(modes)
        for mode in modes:
            self._check(mode)
        if len(set(modes)) != len(modes):
            raise ValueError(f"Argument `modes` must not repeat a mode, got {modes}.")
        labels = {mode: ascii_letters[k] for k, mode in enumerate(modes)}
        joint, so_far = jnp.ones((), jnp.finfo(self.factors[0].ket.dtype).dtype), ""
        for factor in self.factors:
            kept = [mode for mode in factor.modes if mode in labels]
            positions = tuple(factor.modes.index(mode) for mode in kept)
            part = factor.layout.probabilities(factor.ket, positions)
            mine = "".join(labels[mode] for mode in kept)
            joint = contract(joint, part, f"{so_far},{mine}->{so_far}{mine}")
            so_far += mine
        return joint.transpose([so_far.index(labels[mode]) for mode in modes])

    def photon_number(self, mode: int) -> Moments:
        """Mean and variance of the photon number of a mode."""
        p = self._diagonal(mode)
        n = np.arange(p.shape[-1], dtype=p.dtype)
        mean = _weighted(n, p)
        return Moments(mean, _weighted(n**2, p) - mean**2)

    # quadratures

    def mean_amplitude(self, mode: int) -> jax.Array:
        """<a> of a mode, complex: ``(<x> + i <p>) / sqrt(2 hbar)``."""
        coherence = self._coherence(mode, 1)
        n = np.arange(1, coherence.shape[-1] + 1)
        return _weighted(np.sqrt(n), coherence)

    def quadrature(
        self, mode: int, angle: float | jax.Array = 0.0, hbar: float | None = None
    ) -> Moments:
        """Mean and variance of ``x cos(angle) + p sin(angle)`` of a mode.

        With ``x = sqrt(hbar/2) (a + a^dagger)``, ``p = -i sqrt(hbar/2) (a - a^dagger)``: angle 0 is
        x, pi/2 is p. The square is that of the infinite operator between the truncated states, so
        the edge of the cutoff does not bias it.

        Args:
            mode: the mode.
            angle: in radians.
            hbar: the convention for the size of a quadrature, by default that of the state; the
                vacuum has variance ``hbar/2``.
        """
        hbar = self.hbar if hbar is None else checked_hbar(hbar)
        p = self._diagonal(mode)
        n = np.arange(p.shape[-1], dtype=p.dtype)
        a = self.mean_amplitude(mode)
        a_squared = _weighted(np.sqrt(n[1:-1] * n[2:]), self._coherence(mode, 2))
        angle = jnp.asarray(angle, p.dtype)
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        cos2, sin2 = jnp.cos(2 * angle), jnp.sin(2 * angle)
        mean = math.sqrt(2 * hbar) * (cos * a.real + sin * a.imag)
        square = (
            hbar
            / 2
            * (2 * (cos2 * a_squared.real + sin2 * a_squared.imag) + _weighted(2 * n + 1, p))
        )
        return Moments(mean, square - mean**2)

    # one mode, overlaps

    def reduced(self, mode: int) -> jax.Array:
        """The density matrix of one mode, all others traced out, shape ``(cutoff, cutoff)``."""
        factor, position = self._locate(mode)
        density = factor.layout.reduced(factor.ket, position)
        return contract(density, self._norm_squared(without=factor), "mn,->mn")

    def fidelity(self, ket: jax.Array) -> jax.Array:
        """``|<ket|psi>|^2`` with a ket of shape ``cutoffs``.

        Raises:
            ValueError: if the shape differs.
        """
        ket = jnp.asarray(ket).astype(self.factors[0].ket.dtype)
        if ket.shape != self.cutoffs:
            raise ValueError(
                f"Argument `ket` must have shape {self.cutoffs}, the cutoffs of the state, got "
                f"{ket.shape}."
            )
        rest = ket.conj()
        labels = ascii_letters[: self.modes]
        for factor in self.factors:
            mine = "".join(ascii_letters[mode] for mode in factor.modes)
            left = "".join(label for label in labels if label not in mine)
            rest = contract(rest, factor.ket, f"{labels},{mine}->{left}")
            labels = left
        return rest.real**2 + rest.imag**2

    def _norm_squared(self, without: Factor | None = None) -> jax.Array:
        parts = [f.layout.norm_squared(f.ket) for f in self.factors if f is not without]
        return reduce(jnp.multiply, parts, jnp.ones((), jnp.finfo(self.factors[0].ket.dtype).dtype))

    def _diagonal(self, mode: int) -> jax.Array:
        factor, position = self._locate(mode)
        p = factor.layout.probabilities(factor.ket, (position,))
        return p * self._norm_squared(without=factor)

    def _coherence(self, mode: int, order: int) -> jax.Array:
        factor, position = self._locate(mode)
        c = factor.layout.coherence(factor.ket, position, order)
        return contract(c, self._norm_squared(without=factor), "n,->n")

    def _locate(self, mode: int) -> tuple[Factor, int]:
        self._check(mode)
        factor = next(factor for factor in self.factors if mode in factor.modes)
        return factor, factor.modes.index(mode)

    def _check(self, mode: int) -> None:
        if not isinstance(mode, int | np.integer) or not 0 <= mode < self.modes:
            raise ValueError(
                f"Argument `mode` must be an integer from 0 to {self.modes - 1}, got {mode!r}."
            )


def vacuum(cutoffs: tuple[int, ...], dtype=None, *, hbar: float = 2.0) -> State:
    """The vacuum of ``len(cutoffs)`` modes, a factor for each mode.

    >>> import fockjax as fj
    >>> fj.vacuum(cutoffs=(4, 5)).groups
    ((0,), (1,))
    """
    dtype = canonical_complex(dtype)
    listed = cutoffs if isinstance(cutoffs, Sequence) else ()
    if not listed or any(not isinstance(c, int | np.integer) or c < 1 for c in listed):
        raise ValueError(
            f"Argument `cutoffs` must be an integer >= 1 for each mode, got {cutoffs!r}."
        )
    boxes = [Box((int(cutoff),)) for cutoff in listed]
    factors = tuple(Factor(box.vacuum(dtype), (mode,), box) for mode, box in enumerate(boxes))
    return State(factors, hbar=checked_hbar(hbar))


def from_ket(ket: jax.Array, dtype=None, *, hbar: float = 2.0) -> State:
    """A state from its amplitudes, one axis for each mode.

    A norm below one counts as probability lost before, in one truncation.

    Raises:
        ValueError: if it is a scalar or empty; where the amplitudes are known, not traced, if they
            are not finite, all zero, or of norm above one (by 1e-6, or 1e-4 in single precision).
    """
    ket = jnp.asarray(checked_ket(ket, "Argument `ket`")).astype(canonical_complex(dtype))
    factor = Factor.of_ket(ket, tuple(range(ket.ndim)))
    return State((factor,), truncations=1, hbar=checked_hbar(hbar))


def _weighted(weights: np.ndarray, values: jax.Array) -> jax.Array:
    """``sum_n weights[n] values[n]``, zero for a cutoff too small to have terms."""
    if values.shape[-1] == 0:
        return jnp.zeros((), values.dtype)
    return contract(weights.astype(jnp.finfo(values.dtype).dtype), values, "n,n->")
