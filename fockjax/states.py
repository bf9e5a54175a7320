"""Pure states as products of independent factors.

Modes that no gate has coupled stay separate factors, so memory grows with the modes that are
entangled. Which modes share a factor is static: under `jax.jit` the bookkeeping costs nothing. What
can be read from a state stands in `fockjax.readouts`; here is what needs its ket.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from string import ascii_letters
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fockjax import kets
from fockjax._linear import contract
from fockjax._numerics import canonical_complex, checked_hbar, safe_sqrt
from fockjax.factors import Factor, Pure
from fockjax.kets.array import checked as checked_ket
from fockjax.layout import Box
from fockjax.readouts import Readouts


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

        Raises:
            ValueError: if the state is mixed.
        """
        self.require_pure("A ket")
        return reduce(Factor.join, self.factors).array

    @property
    def is_pure(self) -> bool:
        """Whether all factors are kets. Static: a mixed factor may hold a pure state."""
        return all(factor.is_pure for factor in self.factors)

    def require_pure(self, what: str) -> None:
        """Raise ValueError for ``what`` only a pure state has."""
        mixed = [factor.modes for factor in self.factors if not factor.is_pure]
        if mixed:
            raise ValueError(
                f"{what} belongs to a pure state, but modes {mixed} are in a mixed one: take "
                "`density_matrix` or `reduced`."
            )

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
            other = State((Pure.of_ket(ket, tuple(range(ket.ndim))),))
        if other.cutoffs != self.cutoffs:
            raise ValueError(
                f"Argument `other` must have shape {self.cutoffs}, the cutoffs of the state, got "
                f"{other.cutoffs}."
            )
        overlap = jnp.ones((), self.dtype)
        # Each mode stands once on each side: follow the modes from factor to factor.
        left = [(f.array.conj().astype(self.dtype), f.modes) for f in other.factors]
        left += [(f.array, f.modes) for f in self.factors]
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
        factors = (Pure.of_ket(ket, (mode,)) for mode, ket in enumerate(coherent))
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
    factors = tuple(Pure(box.vacuum(dtype), (mode,), box) for mode, box in enumerate(boxes))
    return State(factors, hbar=checked_hbar(hbar))


def from_ket(ket: jax.Array, dtype=None, *, hbar: float = 2.0) -> State:
    """A state from its amplitudes, one axis for each mode.

    A norm below one counts as probability lost before, in one truncation.

    Raises:
        ValueError: if it is a scalar or empty; where the amplitudes are known, not traced, if they
            are not finite, all zero, or of norm above one (by 1e-6, or 1e-4 in single precision).
    """
    ket = jnp.asarray(checked_ket(ket, "Argument `ket`")).astype(canonical_complex(dtype))
    factor = Pure.of_ket(ket, tuple(range(ket.ndim)))
    return State((factor,), truncations=1, hbar=checked_hbar(hbar))
