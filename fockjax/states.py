"""Pure states as products of independent factors.

Modes that no gate has coupled stay separate factors, so memory grows with the modes that are
entangled. Which modes share a factor is static: under `jax.jit` the bookkeeping costs nothing. What
can be read from a state stands in `fockjax.readouts`; here is what needs its ket.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from string import ascii_letters
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fockjax import kets
from fockjax._linear import contract
from fockjax._numerics import canonical_complex, checked_hbar, safe_sqrt
from fockjax.kets.array import checked as checked_ket
from fockjax.layout import Box
from fockjax.operators import Operator
from fockjax.readouts import Readouts


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
        ket = self.layout.apply(operator, self.ket, self.positions(modes))
        return Factor(ket, self.modes, self.layout)

    def join(self, other: "Factor") -> "Factor":
        modes = self.modes + other.modes
        order = sorted(range(len(modes)), key=modes.__getitem__)
        layout, ket = self.layout.join(self.ket, other.layout, other.ket, order)
        return Factor(ket, tuple(sorted(modes)), layout)

    # what readouts ask of it: see `fockjax.readouts.Part`

    @property
    def cutoffs(self) -> tuple[int, ...]:
        return self.layout.cutoffs

    @property
    def dtype(self) -> np.dtype:
        return self.ket.dtype

    def norm_squared(self) -> jax.Array:
        return self.layout.norm_squared(self.ket)

    def probability(self, photons: Mapping[int, Any]) -> jax.Array:
        return self.layout.probability(self.ket, [photons[mode] for mode in self.modes])

    def probabilities(self, modes: tuple[int, ...]) -> jax.Array:
        return self.layout.probabilities(self.ket, self.positions(modes))

    def coherence(self, mode: int, order: int) -> jax.Array:
        return self.layout.coherence(self.ket, self.modes.index(mode), order)

    def reduced(self, modes: tuple[int, ...]) -> jax.Array:
        return self.layout.reduced(self.ket, self.positions(modes))

    def spectrum_of(self, modes: tuple[int, ...]) -> jax.Array:
        """Both sides of a pure state have the same spectrum: the smaller one's density matrix."""
        others = tuple(mode for mode in self.modes if mode not in modes)
        smaller = min(modes, others, key=lambda side: self.layout.size(self.positions(side)))
        size = self.layout.size(self.positions(smaller))
        return self.reduced(smaller).astype(self.dtype).reshape(size, size)

    def gram(self, frame: Callable[[Box, jax.Array], jax.Array]) -> jax.Array:
        vectors = frame(self.layout, self.ket)
        labels = ascii_letters[: vectors.ndim - 1]
        return contract(vectors.conj(), vectors, f"Y{labels},Z{labels}->YZ")

    def positions(self, modes: Sequence[int]) -> tuple[int, ...]:
        """Where some of its modes stand among them."""
        return tuple(self.modes.index(mode) for mode in modes)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class State(Readouts):
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

    def __repr__(self) -> str:
        return f"State(cutoffs={self.cutoffs}, groups={self.groups}, dtype={self.dtype.name})"

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

    def fidelity(self, other: "jax.Array | State") -> jax.Array:
        """``|<other|psi>|^2`` with another pure state.

        Neither is renormalised. Of two products of factors only the factors are contracted.

        Args:
            other: a `State`, or a ket of shape ``cutoffs``.

        Raises:
            ValueError: if the cutoffs differ.

        Example:
            >>> import fockjax as fj
            >>> state = fj.Circuit(1).displace(1.0, mode=0)({}, cutoff=20)
            >>> print(state.fidelity(fj.vacuum((20,))).round(4))  # e^-1
            0.3679
        """
        if not isinstance(other, State):
            ket = jnp.asarray(other).astype(self.dtype)
            other = State((Factor.of_ket(ket, tuple(range(ket.ndim))),))
        if other.cutoffs != self.cutoffs:
            raise ValueError(
                f"Argument `other` must have shape {self.cutoffs}, the cutoffs of the state, got "
                f"{other.cutoffs}."
            )
        overlap = jnp.ones((), self.dtype)
        # Each mode stands once on each side: follow the modes from factor to factor.
        left = [(f.ket.conj().astype(self.dtype), f.modes) for f in other.factors]
        left += [(f.ket, f.modes) for f in self.factors]
        while left:
            ket, modes = left.pop(0)
            while modes:
                partner = next(k for k, (_, more) in enumerate(left) if modes[0] in more)
                next_ket, more = left.pop(partner)
                mine = "".join(ascii_letters[mode] for mode in modes)
                others = "".join(ascii_letters[mode] for mode in more)
                modes = tuple(sorted(set(modes) ^ set(more)))
                open_ends = "".join(ascii_letters[mode] for mode in modes)
                ket = contract(ket, next_ket, f"{mine},{others}->{open_ends}")
            overlap = overlap * ket
        return overlap.real**2 + overlap.imag**2

    def fidelity_coherent(self, r: Any, phi: Any = 0.0) -> jax.Array:
        """``|<alpha_1, alpha_2, ..|psi>|^2`` with coherent states of ``alpha = r e^{i phi}``.

        What a coherent state has beyond the cutoff counts as missed.

        Args:
            r: moduli, one for each mode; one number for all of them.
            phi: phases in radians, likewise.

        Example:
            >>> import fockjax as fj
            >>> print(fj.vacuum((8, 8)).fidelity_coherent([0.6, 0.8], [0.1, 0.2]).round(4))  # e^-1
            0.3679
        """
        r, phi = (self._for_each_mode(name, value) for name, value in (("r", r), ("phi", phi)))
        alphas = zip(r, phi, self.cutoffs, strict=True)
        coherent = [kets.coherent(*alpha, cutoff=c, dtype=self.dtype) for *alpha, c in alphas]
        factors = (Factor.of_ket(ket, (mode,)) for mode, ket in enumerate(coherent))
        return self.fidelity(State(tuple(factors)))

    def _for_each_mode(self, name: str, value: Any) -> jax.Array:
        value = jnp.asarray(value, self._real)
        if value.shape not in ((), (self.modes,)):
            raise ValueError(
                f"Argument `{name}` must be a number or have shape ({self.modes},), got shape "
                f"{value.shape}."
            )
        return jnp.broadcast_to(value, (self.modes,))


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
