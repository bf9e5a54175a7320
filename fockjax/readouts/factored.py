"""A product of independent factors, and the few things that readouts ask of it."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import reduce, wraps
from typing import Any, Concatenate, NamedTuple, ParamSpec, Self, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from fockjax._eager import jit_when_eager
from fockjax._given import check_number, checked_hbar, mode_of, modes_of
from fockjax._limits import MEMORY_LIMIT, over_limit
from fockjax._linear import contract
from fockjax._numerics import canonical_complex, safe_sqrt
from fockjax.factors import Factor
from fockjax.layout import Layout, Square, TotalPhotons

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="Factored")

Modes = int | Sequence[int]


def readout(
    *static: str,
) -> Callable[[Callable[Concatenate[S, P], R]], Callable[Concatenate[S, P], R]]:
    """A decorator for readouts: `jit_when_eager`, with the past of the state left out, so that
    states that differ in nothing else run the same program.
    """

    def decorate(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
        compiled = jit_when_eager(*static)(method)

        @wraps(method)
        def read(self: S, *args: P.args, **kwargs: P.kwargs) -> R:
            if self.dtype == np.complex128:
                canonical_complex(self.dtype)  # refuses it where JAX computes in 32 bits
            return compiled(self._without_past(), *args, **kwargs)

        return read

    return decorate


class Moments(NamedTuple):
    """Mean and variance of an observable, real scalars."""

    mean: jax.Array
    variance: jax.Array


class Factored:
    """A state that is a product of independent factors."""

    factors: tuple[Factor, ...]
    hbar: float

    @property
    def modes(self) -> int:
        """The number of modes."""
        return sum(len(factor.modes) for factor in self.factors)

    @property
    def cutoffs(self) -> tuple[int, ...]:
        """The cutoff of each mode."""
        of = {m: c for f in self.factors for m, c in zip(f.modes, f.cutoffs, strict=True)}
        return tuple(of[mode] for mode in sorted(of))

    @property
    def truncation(self) -> tuple[int, ...] | TotalPhotons:
        """The truncation: a cutoff for each mode, or a `TotalPhotons`."""
        return self.layout.truncation

    @property
    def layout(self) -> Layout:
        """The layout in which a ket of all its modes would be stored."""
        layout = reduce(lambda a, b: a.beside(b), [factor.kets for factor in self.factors])
        modes = [mode for factor in self.factors for mode in factor.modes]
        return layout.of(tuple(sorted(range(len(modes)), key=modes.__getitem__)))

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """The modes of each factor."""
        return tuple(factor.modes for factor in self.factors)

    @property
    def dtype(self) -> np.dtype:
        """The complex dtype of its amplitudes."""
        return self.factors[0].dtype

    @property
    @readout()
    def trace(self) -> jax.Array:
        """The trace of the density matrix, `norm` squared."""
        return self._norm_squared()

    @property
    @readout()
    def norm(self) -> jax.Array:
        """The square root of the trace, which for a pure state is the 2-norm of its amplitudes. It
        is below 1 if the cutoff lost probability.

        Example:
            >>> import fockjax as fj
            >>> state = fj.from_ket([0.6, 0.0])
            >>> print(state.norm.round(2), state.trace.round(2))
            0.6 0.36
        """
        return safe_sqrt(self._norm_squared())

    @property
    @readout()
    def leakage(self) -> jax.Array:
        """The probability lost at the cutoff, ``1 - trace``.

        As gate elements are exact, it is all that was lost; after a gate that `reflects` it is a
        lower bound. Rounding moves it by about the precision, also below 0.

        Example:
            >>> import fockjax as fj
            >>> state = fj.Circuit(1).displace(2.0, mode=0)({}, cutoff=10)
            >>> print(state.leakage.round(4))  # the probability of 10 or more of 4 photons
            0.0081
        """
        return 1 - self._norm_squared()

    @property
    @readout()
    def is_finite(self) -> jax.Array:
        """Whether all amplitudes are finite numbers, a boolean scalar.

        Amplitudes are not finite if a parameter was infinite or NaN, or so large that a gate
        overflowed. Under `jax.jit` no error can be raised for this: check this flag.

        Example:
            >>> import jax.numpy as jnp, fockjax as fj
            >>> circuit = fj.Circuit(1).displace(fj.Input(0), mode=0)
            >>> print(circuit({}, jnp.array([jnp.nan]), cutoff=4).is_finite)
            False
        """
        return reduce(
            jnp.logical_and, [jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves(self.factors)]
        )

    # for the readouts

    def _without_past(self) -> Self:
        """The state with nothing but its factors and hbar."""
        return self

    @property
    def _real(self) -> np.dtype:
        return jnp.finfo(self.dtype).dtype

    @property
    def _parts(self) -> tuple[Factor, ...]:
        """The factors, of one sample."""
        self.require_one_sample()
        return self.factors

    def require_one_sample(self) -> None:
        if any(factor.is_batch for factor in self.factors):
            raise ValueError(
                "The state is a batch, and readouts are of one sample: batch them too, as "
                "jax.vmap(lambda state: state.photon_number(0).mean)(states), or in the function "
                "that makes the states."
            )

    def _norm_squared(self, without: Factor | None = None) -> jax.Array:
        parts = [f.norm_squared() for f in self._parts if f is not without]
        return reduce(jnp.multiply, parts, jnp.ones((), self._real))

    def _diagonal(self, values: Mapping[int, Any]) -> jax.Array:
        """The mean of ``prod values[mode][n_mode]``, a vector of values for each mode given."""
        return self._diagonals(values)[0]

    def _diagonals(self, *observables: Mapping[int, Any]) -> list[jax.Array]:
        """`_diagonal` of several observables of the same modes, from the same probabilities."""
        totals = [jnp.ones((), self._real)] * len(observables)
        for factor, own in self._split(tuple(observables[0])):
            parts = [
                {mode: jnp.asarray(values[mode], self._real) for mode in own}
                for values in observables
            ]
            totals = [t * mean for t, mean in zip(totals, factor.means(parts), strict=True)]
        return totals

    def _band(self, mode: int, order: int, weights: np.ndarray) -> jax.Array:
        """``sum_n weights[n] <n + order| rho |n>`` of a mode, complex."""
        factor = self._factor(mode)
        if not len(weights):  # the cutoff leaves no terms
            return jnp.zeros((), self.dtype)
        band = factor.band(mode, order, weights.astype(self._real))
        return contract(self._norm_squared(without=factor), band, ",->")

    def _check_joint(self, what: str, modes: Sequence[int], sides: int = 1, dtype=None) -> None:
        """Refuse to put some modes together in an array that would take too much memory.

        One that takes no more than a factor does is always allowed.

        Args:
            what: the readout, for the message.
            modes: the modes; the array has an axis for each, ``sides`` times.
            sides: 2 for a density matrix.
            dtype: of the array, by default that of the amplitudes.

        Raises:
            OverLimit: naming the readout, the modes and the bytes.
        """
        dtype = np.dtype(dtype or self.dtype)
        cutoffs = tuple(self.cutoffs[mode] for mode in modes)
        size = math.prod(cutoffs) ** sides * dtype.itemsize
        kind = "density matrix" if sides == 2 else "array"
        refuse_over(
            f"`{what}` puts modes {list(modes)} with cutoffs {cutoffs} in one {kind}",
            size,
            dtype,
            self.factors,
        )

    def _split(self, modes: tuple[int, ...]) -> Iterator[tuple[Factor, tuple[int, ...]]]:
        """Every factor, with those of ``modes`` that belong to it."""
        for factor in self._parts:
            yield factor, tuple(mode for mode in modes if mode in factor.modes)

    def _factor(self, mode: int) -> Factor:
        return next(factor for factor in self._parts if mode in factor.modes)

    def _checked_mode(self, mode: int) -> int:
        return mode_of(mode, self.modes)

    def _checked_modes(self, modes: Modes | None, least: int = 0) -> tuple[int, ...]:
        if modes is None:
            return tuple(range(self.modes))
        return modes_of(modes, self.modes, least=least)

    def _checked_hbar(self, hbar: float | None) -> float:
        return self.hbar if hbar is None else checked_hbar(hbar)

    def _checked_number(self, name: str, value: Any) -> jax.Array:
        check_number(name, value)
        return jnp.asarray(value).astype(self._real)


def refuse_over(what: str, size: int, dtype, factors: Iterable[Factor]) -> None:
    """Refuse to make an array of ``size`` bytes for a readout, which would take too much memory;
    ``what`` says of what. One that takes no more than one of the ``factors`` is always allowed.

    Raises:
        OverLimit: with advice.
    """
    limit = max([MEMORY_LIMIT, *(f.array.size * f.dtype.itemsize for f in factors)])
    if size > limit:
        raise over_limit(
            what,
            size,
            dtype,
            limit,
            "Lower the cutoffs, read fewer modes at a time, or what is read factor by factor: the "
            "`probability` of one pattern, moments, fidelities of pure states.",
        )


def joined(what: str, factors: Sequence[Factor]) -> Factor:
    """The product of factors, as the readout ``what`` needs it.

    Raises:
        OverLimit: if it would take too much memory.
    """
    kets = reduce(lambda a, b: a.beside(b), [factor.kets for factor in factors])
    is_pure = all(factor.is_pure for factor in factors)
    modes = sorted(mode for factor in factors for mode in factor.modes)
    kind, layout = ("array", kets) if is_pure else ("density matrix", Square(kets))
    dtype = factors[0].dtype
    refuse_over(f"`{what}` puts modes {modes} in one {kind}", layout.bytes(dtype), dtype, factors)
    return reduce(Factor.join, factors)


def outer(parts: Iterable[tuple[jax.Array, str]], order: str) -> jax.Array:
    """The outer product of arrays, each given with a label for each axis; the axes of the product
    stand in the order of the labels in ``order``.
    """
    (joint, labels), *others = parts
    for part, more in others:
        joint = contract(joint, part, f"{labels},{more}->{labels}{more}")
        labels += more
    return joint.transpose([labels.index(label) for label in order])
