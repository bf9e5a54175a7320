"""Quadratures: their moments in one mode, their covariance and polynomials over modes."""

import math
from functools import lru_cache, partial, reduce
from string import ascii_letters
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fockjax._eager import is_known
from fockjax._given import as_real, checked_integer
from fockjax._linear import contract
from fockjax._phases import cos_sin
from fockjax.readouts.factored import Factored, Modes, Moments, readout


class Quadratures(Factored):
    """Readouts of ``x = sqrt(hbar/2) (a + a^dagger)``, ``p = -i sqrt(hbar/2) (a - a^dagger)``."""

    @readout("mode")
    def mean_amplitude(self, mode: int) -> jax.Array:
        """<a> of a mode, complex: ``(<x> + i <p>) / sqrt(2 hbar)``.

        Args:
            mode: the mode.

        Returns:
            A complex scalar.

        Example:
            >>> import fockjax as fj
            >>> state = fj.from_ket([0.6, 0.8j])
            >>> print(state.mean_amplitude(0).round(2))  # <0|psi>^* <1|psi>
            0.48j
        """
        mode = self._checked_mode(mode)
        return self._band(mode, 1, np.sqrt(np.arange(1, self.cutoffs[mode])))

    @readout("mode", "hbar")
    def quadrature(
        self, mode: int, angle: float | jax.Array = 0.0, hbar: float | None = None
    ) -> Moments:
        """Mean and variance of ``x cos(angle) + p sin(angle)`` of a mode.

        Angle 0 is x, pi/2 is p. The square is that of the infinite operator between the truncated
        states, so the edge of the cutoff does not bias it.

        Args:
            mode: the mode.
            angle: in radians.
            hbar: the convention for the size of a quadrature, by default that of the state; the
                vacuum has variance ``hbar/2``.

        Returns:
            `Moments`, of two real scalars.

        Example:
            >>> import fockjax as fj
            >>> state = fj.Circuit(1).displace(0.5, mode=0)({}, cutoff=12)
            >>> print(*(value.round(4) for value in state.quadrature(0)))
            1.0 1.0
        """
        mean = self.quadrature_moment(mode, 1, angle, hbar)
        return Moments(mean, self.quadrature_moment(mode, 2, angle, hbar) - mean**2)

    @readout("mode", "power", "hbar")
    def quadrature_moment(
        self,
        mode: int,
        power: int,
        angle: float | jax.Array = 0.0,
        hbar: float | None = None,
    ) -> jax.Array:
        """``<(x cos(angle) + p sin(angle))^power>`` of a mode.

        The power is that of the infinite operator between the truncated states.

        Args:
            mode: the mode.
            power: an integer >= 1, known before tracing.
            angle: in radians.
            hbar: as in `quadrature`.

        Returns:
            A real scalar.

        Example:
            >>> import fockjax as fj
            >>> print(fj.vacuum((3,), hbar=1.0).quadrature_moment(0, 4))  # 3 (hbar/2)^2
            0.75
        """
        mode, hbar = self._checked_mode(mode), self._checked_hbar(hbar)
        power = checked_integer(power, "Argument `power`")
        diagonals = _power_of_quadrature(self.cutoffs[mode], power)
        total = jnp.zeros((), self._real)
        if power % 2 == 0:
            total = self._diagonal({mode: diagonals[0]})
        # Turned by the angle, element [n, n + k] of x^power gains the phase e^{-i k angle}.
        orders = [k for k in diagonals if k]
        cosines, sines = cos_sin(self._checked_number("angle", angle), np.array(orders, int))
        for k, cos, sin in zip(orders, cosines, sines, strict=True):
            band = self._band(mode, k, diagonals[k])
            total = total + 2 * (cos * band.real + sin * band.imag)
        return (hbar / 2) ** (power / 2) * total

    @readout("modes", "hbar")
    def quadrature_means(self, modes: Modes | None = None, hbar: float | None = None) -> jax.Array:
        """``<x>`` of each of ``modes`` (default: all), then ``<p>`` of each.

        Args:
            modes: one mode or several.
            hbar: as in `quadrature`.

        Returns:
            Real array ``(2 n,)`` for n modes.

        Example:
            >>> import fockjax as fj
            >>> state = fj.Circuit(2).displace(0.5, mode=1)({}, cutoff=12)
            >>> print(state.quadrature_means().round(4))
            [0. 1. 0. 0.]
        """
        hbar = self._checked_hbar(hbar)
        a = jnp.stack([self.mean_amplitude(mode) for mode in self._checked_modes(modes, 1)])
        return math.sqrt(2 * hbar) * jnp.concatenate([a.real, a.imag])

    @readout("modes", "hbar")
    def covariance(self, modes: Modes | None = None, hbar: float | None = None) -> jax.Array:
        """The covariance matrix ``<r_i r_j + r_j r_i> / 2 - <r_i> <r_j>`` with
        ``r = (x of each of modes, p of each of modes)`` (default: all modes).

        The order is that of Strawberry Fields' Gaussian states. The products are those of the
        infinite operators between the truncated states. It takes the memory of ``2 n + 1`` kets for
        a factor of which n modes are asked for.

        Args:
            modes: one mode or several.
            hbar: as in `quadrature`.

        Returns:
            Real array ``(2 n, 2 n)`` for n modes.

        Example:
            >>> import fockjax as fj
            >>> print(fj.vacuum((2, 3)).covariance())
            [[1. 0. 0. 0.]
             [0. 1. 0. 0.]
             [0. 0. 1. 0.]
             [0. 0. 0. 1.]]
        """
        modes, hbar = self._checked_modes(modes, 1), self._checked_hbar(hbar)
        grams = [
            (own, factor.gram(partial(_frame, factor.positions(own))))
            for factor, own in self._split(modes)
        ]
        own, gram = reduce(_join, grams)
        order = np.array([1 + 2 * own.index(mode) + kind for kind in (0, 1) for mode in modes])
        means = gram.real[0, order]
        return hbar / 2 * (gram.real[np.ix_(order, order)] - contract(means, means, "i,j->ij"))

    def quadrature_polynomial(
        self,
        A: Any = None,
        d: Any = None,
        k: float | jax.Array = 0.0,
        angle: float | jax.Array = 0.0,
        hbar: float | None = None,
        *,
        padding: int = 1,
    ) -> Moments:
        """Mean and variance of ``P = r^T A r + d^T r + k`` with ``r = (x of all modes, p of all
        modes)``: Strawberry Fields' ``poly_quad_expectation``.

        Independent factors are not joined. It takes the memory of about ``4 n`` kets for a factor
        of n modes.

        Args:
            A: real symmetric array ``(2 modes, 2 modes)``, by default zero. If it is traced, its
                symmetric part is taken.
            d: real array ``(2 modes,)``, by default zero.
            k: real scalar.
            angle: by which r is rotated: ``x cos(angle) + p sin(angle)`` replaces x, and
                ``p cos(angle) - x sin(angle)`` replaces p.
            hbar: as in `quadrature`.
            padding: x and p are cut to ``cutoff + padding`` photon numbers before they are
                multiplied. With 1, as in Strawberry Fields, the mean is that of the infinite
                operator, but the P^2 of the variance lacks what reaches further; with 2 it does
                not.

        Returns:
            `Moments`, of two real scalars.

        Raises:
            ValueError: if a shape differs or A is known not to be symmetric.

        Example:
            >>> import numpy as np, fockjax as fj
            >>> state = fj.from_ket([0, 0.6, 0.8j])
            >>> n = np.eye(2) / 4  # (x^2 + p^2) / (2 hbar), hbar = 2
            >>> print(*state.quadrature_polynomial(n, k=-0.5, padding=2))
            1.64 0.2304
            >>> print(*state.photon_number(0))
            1.64 0.2304
        """
        hbar, n = self._checked_hbar(hbar), self.modes
        given, A = A, _coefficients("A", A, (2 * n, 2 * n), self._real)
        d = _coefficients("d", d, (2 * n,), self._real)
        if given is not None and is_known(given) and not np.allclose(given, np.transpose(given)):
            off = np.max(abs(np.asarray(given) - np.transpose(given)))
            raise ValueError(
                "Argument `A` must be symmetric, A[i, j] == A[j, i], got elements that differ by "
                f"{off:.1e}: take (A + A.T) / 2."
            )
        padding = checked_integer(padding, "Argument `padding`")
        return self._polynomial(A, d, k, angle, hbar, padding)

    @readout("hbar", "padding")
    def _polynomial(self, A, d, k, angle, hbar: float, padding: int) -> Moments:
        n = self.modes
        # Coefficients of the quadratures unturned and in units of sqrt(hbar/2), by [mode, x or p].
        angle, k = self._checked_number("angle", angle), self._checked_number("k", k)
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        turn = jnp.stack([jnp.stack([cos, sin]), jnp.stack([-sin, cos])])
        A = contract(hbar / 4 * (A + A.T).reshape(2, n, 2, n), turn, "kilj,ka->ialj")
        A = contract(A, turn, "ialj,lb->iajb")
        d = contract(math.sqrt(hbar / 2) * d.reshape(2, n), turn, "ki,ka->ia")

        grams = []
        for factor in self._parts:
            own = factor.modes
            local = _between(A, own, own), d[np.array(own)].reshape(-1)
            frame = partial(_frame, factor.positions(own), polynomial=local, padding=padding)
            grams.append((own, factor.gram(frame)))
        _, gram = reduce(partial(_join, A=A), grams)
        norm, mean, square = gram[0, 0].real, gram[0, -1].real, gram[-1, -1].real
        total = mean + k * norm
        return Moments(total, square + 2 * k * mean + k**2 * norm - total**2)


@lru_cache(maxsize=64)
def _power_of_quadrature(cutoff: int, power: int) -> dict[int, np.ndarray]:
    """The diagonals k >= 0 of ``(a + a^dagger)^power`` that are not zero, float64."""
    size = cutoff + power // 2 + 1  # at most half of the steps lead out, as they must lead back
    a = np.diag(np.sqrt(np.arange(1.0, size)), 1)
    whole = np.linalg.matrix_power(a + a.T, power)[:cutoff, :cutoff]
    return {k: np.diagonal(whole, k) for k in range(power % 2, power + 1, 2) if k < cutoff}


def _coefficients(name: str, values: Any, shape: tuple[int, ...], dtype) -> jax.Array:
    values = jnp.zeros(shape, dtype) if values is None else as_real(name, values, dtype)
    if values.shape != shape:
        raise ValueError(
            f"Argument `{name}` must have shape {shape}, got {values.shape}: x of all modes comes "
            "first, then p of all modes."
        )
    return values


def _between(A, rows, columns) -> jax.Array:
    """The coefficients between two sets of modes as a matrix."""
    return A[np.array(rows)][:, :, np.array(columns)].reshape(2 * len(rows), 2 * len(columns))


def _frame(positions, layout, ket, *, polynomial=None, padding=1) -> jax.Array:
    """``|ket>``, then ``x |ket>`` and ``p |ket>`` for each mode, then ``P |ket>`` if the
    coefficients of a polynomial P are given; in a layout that keeps ``padding`` more photons.
    """
    layout, ket = layout.padded(ket, padding)
    vectors = [q for position in positions for q in layout.quadratures(ket, position)]
    if polynomial is None:
        return jnp.stack([ket, *vectors])
    A, d = polynomial
    labels = ascii_letters[: ket.ndim]
    slopes = contract(A, jnp.stack(vectors), f"YZ,Z{labels}->Y{labels}")
    slopes = slopes + contract(d, ket, f"Y,{labels}->Y{labels}")
    whole = jnp.zeros_like(ket)
    for k, position in enumerate(positions):
        for kind in (0, 1):
            whole = whole + layout.quadratures(slopes[2 * k + kind], position)[kind]
    return jnp.stack([ket, *vectors, whole])


def _join(a, b, A=None):
    """The Gram matrix of the frame of two independent groups of modes, from that of each group.

    The vectors of the joint frame are combinations (``made``) of products of one vector of each
    group. P is the sum of the P of both groups and of the terms ``2 A`` between them.
    """
    (modes, gram), (more, other) = a, b
    size, more_size = 2 * len(modes), 2 * len(more)
    total = 1 + size + more_size + (A is not None)
    made = np.zeros((*gram.shape[:1], *other.shape[:1], total), gram.real.dtype)
    made[0, 0, 0] = 1
    made[1 + np.arange(size), 0, 1 + np.arange(size)] = 1
    made[0, 1 + np.arange(more_size), 1 + size + np.arange(more_size)] = 1
    if A is not None:
        made[-1, 0, -1] = made[0, -1, -1] = 1
        inner = slice(1, 1 + size), slice(1, 1 + more_size), -1
        made = jnp.asarray(made).at[inner].set(2 * _between(A, modes, more))
    gram = contract(gram, made, "ij,jlm->ilm")
    gram = contract(gram, other, "ilm,kl->ikm")
    return (*modes, *more), contract(made, gram, "ikn,ikm->nm")
