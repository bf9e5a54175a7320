"""States as products of independent factors, each pure or mixed.

Modes that no gate has coupled stay separate factors, so memory grows with the modes that are
entangled. Which modes share a factor, and which factors are mixed, is static: under `jax.jit` the
bookkeeping costs nothing. Most readouts are in `fockjax.readouts`; here are those that need the
whole state.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from string import ascii_letters
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from fockjax import _validated, kets
from fockjax._eager import is_known, jit_when_eager
from fockjax._given import as_real, checked_hbar, checked_integer, cutoffs_of, is_integer
from fockjax._numerics import canonical_complex, resized, safe_sqrt
from fockjax.factors import Factor, Mixed, Pure
from fockjax.layout import Box, Layout, Simplex, TotalPhotons
from fockjax.readouts import Readouts
from fockjax.readouts.factored import joined, outer, readout
from fockjax.readouts.overlap import fidelity, overlap, trace_of_product


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class State(Readouts):
    """A state of several modes in the Fock basis.

    It is made by `vacuum`, `from_ket`, `from_density_matrix` or by calling a `fockjax.Circuit`. It
    is a pytree of one sample: under `jax.vmap` every array in it and every readout gains the batch
    axis. It counts `truncations` statically, so a loop of your own (`jax.lax.scan`) cannot carry it
    through a circuit that cuts: use `Circuit.repeat`, or carry its `ket` or `density_matrix`.

    Attributes:
        factors: the independent factors, ordered by their first mode.
        outcomes: what the circuit has measured or selected, by the names of the measurements.
            Photon numbers and clicks are integers, homodyne outcomes real (in the units of `hbar`),
            heterodyne outcomes complex. A measurement in a repeated block has one for each layer.
            Those of an ``initial`` state stay, unless a measurement of the same name follows.
        selected, rarest, score: see `selection_probability`, `rarest_selection` and `weight`.
        truncations: how many of the operators applied so far could lose probability at the cutoff.
        reflects: whether one of them was cut before it was exponentiated, as Strawberry Fields'
            cubic phase gate is, or normalised after the cut, as its GKP state is, or given as a
            matrix of its own, as `unitary` and `kraus` (unless ``truncated``) are. Then what
            crosses the cutoff may come back unnoticed, `leakage` is only a lower bound, and
            `error_bound` is infinite.
        hbar: the convention for quadratures, unless a readout is given another.
    """

    factors: tuple[Factor, ...]
    outcomes: dict[str, jax.Array] = field(default_factory=dict)
    selected: jax.Array | None = None
    rarest: jax.Array | None = None
    score: jax.Array | None = None
    truncations: int = field(default=0, metadata={"static": True})
    reflects: bool = field(default=False, metadata={"static": True})
    hbar: float = field(default=2.0, metadata={"static": True})

    def __repr__(self) -> str:
        mixed = "" if self.is_pure else f", mixed={self._mixed_groups}"
        kept, dtype = self.truncation, self.dtype.name
        return f"State(cutoffs={kept}, groups={self.groups}{mixed}, dtype={dtype})"

    def _without_past(self) -> "State":
        return State(self.factors, hbar=self.hbar)

    @property
    def is_pure(self) -> bool:
        """Whether all its factors are kets, known before tracing. A factor that is held as a
        density matrix counts as mixed, whatever its purity.

        Example:
            >>> import fockjax as fj
            >>> circuit = fj.Circuit(2).displace(0.5, mode=0)
            >>> circuit({}, cutoff=4).is_pure, circuit.loss(0.9, mode=0)({}, cutoff=4).is_pure
            (True, False)
        """
        return not self._mixed_groups

    @property
    def _mixed_groups(self) -> tuple[tuple[int, ...], ...]:
        return tuple(factor.modes for factor in self.factors if not factor.is_pure)

    def require_pure(self, what: str, instead: str = "see `density_matrix` and `reduced`") -> None:
        """Raise ValueError, saying that ``what`` needs a pure state, and what to do ``instead``, if
        it is mixed.
        """
        if not self.is_pure:
            raise ValueError(
                f"{what} needs a pure state, but the modes {self._mixed_groups} of {self} are held "
                f"in density matrices: {instead}."
            )

    def ket(self) -> jax.Array:
        """The amplitudes <n1, n2, ..|psi>, shape ``cutoffs``. Memory: the product of all cutoffs.

        Raises:
            ValueError: if the state is mixed, or the ket would take more than 8 GiB.

        Example:
            >>> import fockjax as fj
            >>> fj.vacuum(cutoff=(2, 3)).ket().shape
            (2, 3)
        """
        self.require_one_sample()
        self.require_pure("`ket`")
        self._check_joint("ket", range(self.modes))
        labels = dict(zip(range(self.modes), ascii_letters, strict=False))
        parts = (
            (factor.kets.boxed(factor.array), "".join(labels[mode] for mode in factor.modes))
            for factor in self.factors
        )
        return outer(parts, "".join(labels.values()))

    def amplitudes(self) -> jax.Array:
        """The amplitudes of the Fock states that are kept. Under a truncation by total photons they
        stand along one axis, in the order of `TotalPhotons.states`; otherwise they are the `ket`.

        Factors are joined, which drops what exceeds the total.

        Raises:
            ValueError: if the state is mixed, or the array would take more than 8 GiB.

        Example:
            >>> import fockjax as fj
            >>> fj.vacuum(fj.TotalPhotons(6), modes=8).amplitudes().shape
            (1287,)
        """
        self.require_one_sample()
        self.require_pure("`amplitudes`")
        return joined("amplitudes", self.factors).array

    def density_matrix(self) -> jax.Array:
        """The matrix elements <m1, m2, ..| rho |n1, n2, ..> of all modes, rows first: shape
        ``(*cutoffs, *cutoffs)``. Memory: the square of the product of all cutoffs.

        Raises:
            OverLimit: if the array would take more than 8 GiB, and more than any factor.

        Example:
            >>> import fockjax as fj
            >>> fj.vacuum(cutoff=(2, 3)).density_matrix().shape
            (2, 3, 2, 3)
        """
        self._check_joint("density_matrix", range(self.modes), sides=2)
        return self.reduced(range(self.modes))

    @property
    def selection_probability(self) -> jax.Array:
        """The probability of the outcomes that were post-selected, or its density if they are
        continuous; 1 if there are none.

        It is the product over the selections of the probability given what came before and that
        nothing was lost. Of many selections it may be too small for its precision, and zero though
        each of them is possible. See `rarest_selection`.

        Example:
            >>> import fockjax as fj
            >>> circuit = fj.Circuit(2).two_mode_squeeze(0.5).measure_photons(modes=0, select=1)
            >>> state = circuit({}, cutoff=6)
            >>> print(state.selection_probability.round(4))  # (tanh 0.5 / cosh 0.5)^2
            0.168
            >>> print(state.photon_number(1).mean)
            1.0
        """
        return jnp.ones((), self._real) if self.selected is None else self.selected

    @property
    def rarest_selection(self) -> jax.Array:
        """The least probability that a single selection had, given what came before, or its density
        if it is continuous; infinite if there are none. Those of an ``initial`` state do not count.

        If it is zero, or not more than rounding, the state means nothing.

        Example:
            >>> import fockjax as fj
            >>> pair = fj.Circuit(2).two_mode_squeeze(0.5).measure_photons(modes=0, select=1)
            >>> print(fj.Circuit(2).repeat(pair, 2)({}, cutoff=6).rarest_selection.round(4))
            0.168
        """
        return jnp.full((), jnp.inf, self._real) if self.rarest is None else self.rarest

    @property
    def weight(self) -> jax.Array:
        """The number 1, with the derivative of log(p), p the probability of what was drawn at
        random.

        The mean over keys of ``state.weight * f(state)`` has the derivative of the mean of f. The
        mean of ``f(state)`` alone does not, since it misses that other outcomes become likelier
        (the score function estimator). `fockjax.monte_carlo` uses it.

        Example:
            >>> import jax, fockjax as fj
            >>> circuit = fj.Circuit(1).displace(fj.Weight("r"), mode=0).measure_homodyne(mode=0)
            >>> key = jax.random.key(0)
            >>> def run(r):
            ...     return circuit({"r": r}, cutoff=16, key=key)
            >>> x = run(0.5).outcomes["m0"]
            >>> slope = jax.grad(lambda r: run(r).weight)(0.5)
            >>> print(run(0.5).weight, abs(slope - 2 * (x - 1)) < 0.01)  # log p = -(x - 2 r)^2 / 2
            1.0 True

        Reference:
            J. Foerster et al., DiCE, ICML 2018.
        """
        return jnp.ones((), self._real) if self.score is None else self.score

    @property
    def error_bound(self) -> jax.Array:
        """A bound on the distance of this state from the exact one: the 2-norm of the difference of
        the kets if it is pure, the trace norm of the difference of the density matrices if not.

        Leakage is not accuracy: with e_k lost at gate k the amplitudes are off by at most sum_k
        sqrt(e_k), and that is at most ``sqrt(truncations * leakage)`` by the Cauchy-Schwarz
        inequality. It is infinite if a gate `reflects`, and for one branch of many, which is left
        by a measurement, a selection or ``unravel``: dividing by the probability of the branch
        enlarges the error, without a limit if outcomes are continuous. So it is for a norm above 1,
        by more than rounding: amplitudes that were traced when they were prepared could not be
        refused.

        It is computed from `leakage`, which rounding moves by up to 1e-6 in complex64 and 1e-15 in
        complex128. So below the roots of these, 1e-3 and 3e-8, it may be too small, even 0.

        A density matrix of trace t <= 1 that loses e_k at the cutoff moves by at most ``2 sqrt(t
        e_k)`` in trace norm (the gentle measurement lemma). What comes afterwards keeps or lowers
        the trace, and so takes no two matrices further apart. This gives twice the bound of a ket,
        which also bounds the error of every probability.

        Example:
            >>> import fockjax as fj
            >>> circuit = fj.Circuit(1).displace(0.5, mode=0)
            >>> state = circuit({}, cutoff=4)
            >>> print(state.leakage.round(5), state.error_bound.round(3))
            0.00013 0.012

        Reference:
            A. Winter, IEEE Trans. Inf. Theory 45, 2481 (1999), with sqrt(8) for the 2 of T. Ogawa
            and H. Nagaoka, IEEE Trans. Inf. Theory 53, 2261 (2007).
        """
        self.require_one_sample()
        is_branch = self.selected is not None or self.score is not None
        if self.reflects or is_branch:
            return jnp.full((), jnp.inf, self._real)
        return _error_bound(self._without_past(), self.truncations)

    def fidelity(self, other: "ArrayLike | State") -> jax.Array:
        """The fidelity with another state, ``(trace sqrt(sqrt(rho) sigma sqrt(rho)))^2``.

        It is ``|<other|psi>|^2`` for two pure states, and ``<psi|rho|psi>`` if one is pure. Neither
        is renormalised. Factors are compared only with the factors of the other state that share
        modes with them. Under a truncation by total photons, factors of one state that share modes
        with the same factor of the other are joined first.

        Two mixed factors are diagonalised. First and second derivatives are finite at eigenvalues
        that are zero or equal. Where the rank of a matrix is about to change the derivatives may be
        infinite; the result is what they would be if the rank stayed the same.

        Args:
            other: a `State`; a ket of shape ``cutoffs``; or a density matrix of shape ``(*cutoffs,
                *cutoffs)``, row axes first.

        Returns:
            A real scalar.

        Raises:
            ValueError: if the cutoffs differ, or if an array that is known, not traced, is no
                state, as `from_ket` and `from_density_matrix` tell.

        Example:
            >>> import numpy as np, fockjax as fj
            >>> state = fj.Circuit(1).displace(1.0, mode=0)({}, cutoff=20)
            >>> print(state.fidelity(fj.vacuum((20,))).round(4))  # e^-1
            0.3679
            >>> coin, other = np.diag([0.5, 0.5]), np.diag([0.9, 0.1])
            >>> print(fj.from_density_matrix(coin).fidelity(other))  # (sqrt 0.45 + sqrt 0.05)^2
            0.8

        Reference:
            A. Uhlmann, Rep. Math. Phys. 9, 273 (1976); R. Jozsa, J. Mod. Opt. 41, 2315 (1994).
        """
        return fidelity(self.factors, self._comparable(other).factors)

    def overlap(self, other: "ArrayLike | State") -> jax.Array:
        """The inner product ``<self|other>`` of two pure states, with its phase.

        Neither is renormalised. Factors are compared as in `fidelity`, which is its modulus
        squared. A mixed state has no inner product with a phase: see `hilbert_schmidt`.

        Args:
            other: a pure `State`, or a ket of shape ``cutoffs``.

        Returns:
            A complex scalar.

        Raises:
            ValueError: as `fidelity`, or if one of the states is mixed.

        Example:
            >>> import fockjax as fj
            >>> state = fj.from_ket([0.6, 0.8j])
            >>> print(state.overlap([0, 1]))
            -0.8j
        """
        other = self._comparable(other)
        for state in (self, other):
            state.require_pure(
                "`overlap`", "use `hilbert_schmidt`, trace(rho sigma), or `fidelity`"
            )
        return overlap(self.factors, other.factors)

    def hilbert_schmidt(self, other: "ArrayLike | State") -> jax.Array:
        """The Hilbert-Schmidt inner product ``trace(rho sigma)`` with another state, pure or mixed.

        It is ``|<self|other>|^2`` for two pure states, and the `purity` for a state with itself.
        Neither is renormalised. Factors are compared as in `fidelity`, but nothing is diagonalised.

        Args:
            other: as in `fidelity`.

        Returns:
            A real scalar.

        Raises:
            ValueError: as `fidelity`.

        Example:
            >>> import numpy as np, fockjax as fj
            >>> state = fj.from_density_matrix(np.diag([0.5, 0.5]))
            >>> print(state.hilbert_schmidt(np.diag([0.9, 0.1])), state.hilbert_schmidt(state))
            0.5 0.5
        """
        return trace_of_product(self.factors, self._comparable(other).factors)

    def _comparable(self, other: "ArrayLike | State") -> "State":
        """Another state of the same modes and cutoffs."""
        if not isinstance(other, State):
            other = self._given(other)
        if other.modes != self.modes:
            raise ValueError(
                f"Argument `other` must have the {self.modes} modes of the state, got "
                f"{other.modes}."
            )
        if other.truncation != self.truncation:
            raise ValueError(
                f"Argument `other` must have the cutoffs of the state, {self.truncation}, got "
                f"{other.truncation}."
            )
        self.require_one_sample()
        other.require_one_sample()
        return other

    def _given(self, other: ArrayLike) -> "State":
        """The state in a ket, as `ket` or `amplitudes` gives it, or in a density matrix that has an
        axis for each mode.
        """
        shape, layout = np.shape(other), self.layout
        if shape in (self.cutoffs, layout.shape):
            return ket_in(
                layout, jnp.asarray(_validated.ket(other, "Argument `other`")), self.dtype
            )
        if shape == self.cutoffs * 2:
            rho = jnp.asarray(_validated.density_matrix(other, "Argument `other`"))
            modes = tuple(range(self.modes))
            return State((Mixed.of_matrix(rho.astype(self.dtype), modes, layout),))
        stored = "" if layout.shape == self.cutoffs else f" or {layout.shape}, as of `amplitudes`"
        raise ValueError(
            f"Argument `other` must have shape {self.cutoffs}, the cutoffs of the state{stored}, "
            f"or {self.cutoffs * 2} as a density matrix, got {shape}."
        )

    @readout()
    def fidelity_coherent(self, r: Any, phi: Any = 0.0) -> jax.Array:
        """``|<alpha_1, alpha_2, ..|psi>|^2`` with coherent states of ``alpha = r e^{i phi}``.

        The part of a coherent state beyond the cutoff does not contribute.

        Args:
            r: moduli, one for each mode, or one number for all modes.
            phi: phases in radians, likewise.

        Returns:
            A real scalar.

        Example:
            >>> import fockjax as fj
            >>> print(fj.vacuum((8, 8)).fidelity_coherent([0.6, 0.8], [0.1, 0.2]).round(4))  # e^-1
            0.3679
        """
        r, phi = (self._for_each_mode(name, value) for name, value in (("r", r), ("phi", phi)))
        alphas = zip(r, phi, self.cutoffs, strict=True)
        coherent = [kets.coherent(*alpha, cutoff=c, dtype=self.dtype) for *alpha, c in alphas]
        factors = (
            Pure.of_ket(ket, (mode,), self.layout.of((mode,))) for mode, ket in enumerate(coherent)
        )
        return self.fidelity(State(tuple(factors)))

    def _for_each_mode(self, name: str, value: Any) -> jax.Array:
        value = as_real(name, value, self._real)
        if value.shape not in ((), (self.modes,)):
            raise ValueError(
                f"Argument `{name}` must be a number or have shape ({self.modes},), got shape "
                f"{value.shape}."
            )
        return jnp.broadcast_to(value, (self.modes,))


def pasts_of(states: Sequence[State]) -> dict[str, jax.Array | None]:
    """The attributes `selected`, `rarest` and `score` of what several states make up."""
    how = {"selected": jnp.multiply, "rarest": jnp.minimum, "score": jnp.multiply}
    known = {
        name: [value for state in states if (value := getattr(state, name)) is not None]
        for name in how
    }
    return {name: reduce(how[name], own) if own else None for name, own in known.items()}


def vacuum(
    cutoff: int | Sequence[int] | TotalPhotons,
    dtype=None,
    *,
    modes: int | None = None,
    hbar: float = 2.0,
) -> State:
    """The vacuum, a factor for each mode.

    Args:
        cutoff: one for each mode; or one for all or a truncation by total photons, which need
            ``modes``.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.
        modes: the number of modes.
        hbar: the convention for the size of a quadrature.

    Example:
        >>> import fockjax as fj
        >>> fj.vacuum(cutoff=(4, 5)).groups
        ((0,), (1,))
    """
    if isinstance(cutoff, TotalPhotons):
        layout = Simplex(cutoff.below, checked_integer(modes, "Argument `modes`"))
    else:
        if is_integer(cutoff):
            checked_integer(modes, "Argument `modes`")
        layout = Box(cutoffs_of(cutoff, modes, instead=" or fj.TotalPhotons"))
    return vacuum_in(layout, dtype, hbar=hbar)


def vacuum_in(layout: Layout, dtype=None, *, hbar: float = 2.0) -> State:
    """The vacuum of all modes of a layout."""
    dtype = canonical_complex(dtype)
    alone = [layout.of((mode,)) for mode in range(len(layout.cutoffs))]
    factors = tuple(Pure(own.vacuum(dtype), (mode,), own) for mode, own in enumerate(alone))
    return State(factors, hbar=checked_hbar(hbar))


def from_ket(
    ket: Any, dtype=None, *, cutoff: TotalPhotons | None = None, hbar: float = 2.0
) -> State:
    """A state from its amplitudes, one axis for each mode.

    A norm below one counts as probability lost before, in one truncation.

    Args:
        ket: the amplitudes, shape ``(cutoff of mode 0, cutoff of mode 1, ..)``.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.
        cutoff: a truncation by total photons; by default the lengths of the axes are the cutoffs.
        hbar: the convention for the size of a quadrature.

    Raises:
        ValueError: if it is a scalar or empty; where the amplitudes are known, not traced, if they
            are not finite, all zero, of norm above one (by 1e-6, or 1e-4 in single precision), or
            not zero outside the truncation.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> state = fj.from_ket(np.array([[0, 0.6], [0.8j, 0]]))  # a photon in one of two modes
        >>> state
        State(cutoffs=(2, 2), groups=((0, 1),), dtype=complex64)
        >>> print(state.photon_number(0).mean.round(2), state.entropy(0).round(3))
        0.64 0.653
    """
    ket = jnp.asarray(_validated.ket(ket, "Argument `ket`"))
    layout = _layout_of(cutoff, ket.shape, "ket")
    refuse_outside(layout, ket, "Argument `ket`")
    return ket_in(layout, resized(ket, layout.cutoffs), dtype, hbar=hbar)


def ket_in(layout: Layout, ket: jax.Array, dtype=None, *, hbar: float = 2.0) -> State:
    """A state from its amplitudes, stored as the layout says or with an axis for each mode."""
    ket = ket.astype(canonical_complex(dtype))
    if ket.shape != layout.shape:
        ket = layout.unboxed(ket)
    factor = Pure(ket, tuple(range(len(layout.cutoffs))), layout)
    return State((factor,), truncations=1, hbar=checked_hbar(hbar))


def from_density_matrix(
    rho: Any, dtype=None, *, cutoff: TotalPhotons | None = None, hbar: float = 2.0
) -> State:
    """A mixed state from its density matrix: a row axis for each mode, then a column axis for each.

    A trace below one counts as probability lost before, in one truncation.

    Args:
        rho: the density matrix.
        dtype, cutoff, hbar: as in `from_ket`.

    Raises:
        ValueError: if the column axes are not as long as the row axes; where the values are known,
            not traced, if they are not finite, not Hermitian, have a negative eigenvalue, a trace
            of zero or above one (by 1e-6, or 1e-4 in single precision), or are not zero outside
            the truncation.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> state = fj.from_density_matrix(np.diag([0.7, 0.3]))
        >>> state
        State(cutoffs=(2,), groups=((0,),), mixed=((0,),), dtype=complex64)
        >>> print(state.photon_number(0).mean, state.purity(0).round(2))
        0.3 0.58
    """
    rho = jnp.asarray(_validated.density_matrix(rho, "Argument `rho`"))
    modes = rho.ndim // 2
    layout = _layout_of(cutoff, rho.shape[:modes], "rho")
    refuse_outside(layout, rho, "Argument `rho`")
    rho = resized(rho, layout.cutoffs * 2).astype(canonical_complex(dtype))
    factor = Mixed.of_matrix(rho, tuple(range(modes)), layout)
    return State((factor,), truncations=1, hbar=checked_hbar(hbar))


def _layout_of(cutoff: TotalPhotons | None, shape: tuple[int, ...], name: str) -> Layout:
    """The layout for an array whose axes have this shape."""
    if cutoff is None:
        return Box(shape)
    if not isinstance(cutoff, TotalPhotons):
        raise TypeError(
            f"Argument `cutoff` must be a TotalPhotons, got {cutoff!r}: cutoffs of modes are the "
            f"lengths of the axes of `{name}`; pad or cut these."
        )
    return Simplex(cutoff.below, len(shape))


def refuse_outside(layout: Layout, array: jax.Array | np.ndarray, name: str) -> None:
    """Raise ValueError if a ket or a density matrix, with an axis for each mode, is known not to be
    zero outside the truncation.
    """
    if isinstance(layout, Box) or not is_known(array):
        return
    photons = np.argwhere(np.asarray(array)).reshape(-1, len(layout.cutoffs))
    outside = photons[~layout.keeps(photons)]
    if len(outside):
        raise ValueError(
            f"{name} has an amplitude for {tuple(map(int, outside[0]))} photons, outside "
            f"{layout.truncation}. Raise the truncation, or set it to zero."
        )


@jit_when_eager()
def _error_bound(state: State, truncations: ArrayLike) -> jax.Array:
    leakage = state.leakage
    bound = safe_sqrt(truncations * jnp.maximum(leakage, 0))
    bound = bound if state.is_pure else 2 * bound
    # Above norm 1 it is no state, and what was lost cannot be told from its trace.
    most = (1 + _validated.state_tolerance(state.dtype)) ** 2
    return jnp.where(leakage < 1 - most, jnp.inf, bound)
