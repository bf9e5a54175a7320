"""Distributions in phase space: of one quadrature, and the Wigner function of both."""

import math
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from fockjax._given import as_real
from fockjax._linear import contract, skew
from fockjax._numerics import resized
from fockjax._phases import phase_factor
from fockjax.gates.beamsplitter import quarter_turns
from fockjax.gates.phases import powers_of_i
from fockjax.hermite import hermite_functions
from fockjax.readouts.factored import readout
from fockjax.readouts.subsystems import Subsystems


class PhaseSpace(Subsystems):
    """Readouts on points or grids of phase space."""

    @readout("mode", "hbar")
    def quadrature_distribution(
        self,
        mode: int,
        x: ArrayLike,
        angle: float | jax.Array = 0.0,
        hbar: float | None = None,
    ) -> jax.Array:
        """The probability density of ``x cos(angle) + p sin(angle)`` of a mode.

        Its integral is the squared norm of the state.

        Args:
            mode: the mode.
            x: real array ``(points,)``, values of the quadrature.
            angle: in radians.
            hbar: the convention for the size of a quadrature, by default that of the state.

        Returns:
            Real array ``(points,)``.

        Example:
            >>> import numpy as np, fockjax as fj
            >>> density = fj.vacuum((3,)).quadrature_distribution(0, np.array([0.0, 1.0]))
            >>> print(density.round(4))  # the normal distribution of variance hbar/2
            [0.3989 0.242 ]
        """
        mode, hbar = self._checked_mode(mode), self._checked_hbar(hbar)
        x = _points("x", x, self._real)
        cutoff = self.cutoffs[mode]
        n = np.arange(cutoff)
        turns = phase_factor(self._checked_number("angle", angle), n - n[:, None])
        density = contract(turns, self.reduced(mode), "mn,mn->mn", real=True)
        waves = hermite_functions(x / math.sqrt(hbar), cutoff)
        half = contract(density, waves, "mn,nx->mx")
        return contract(waves, half, "mx,mx->x") / math.sqrt(hbar)

    @readout("mode", "hbar")
    def wigner(self, mode: int, x: ArrayLike, p: ArrayLike, hbar: float | None = None) -> jax.Array:
        """Wigner's function of a mode on a grid,
        ``W(x, p) = 1 / (pi hbar) int e^{2 i p y / hbar} <x - y| rho |x + y> dy``.

        Its integral over x and p is the squared norm of the state.

        Args:
            mode: the mode.
            x, p: real arrays of one axis, in any order and spacing.
            hbar: the convention for the size of a quadrature, by default that of the state.

        Returns:
            Real array ``(len(p), len(x))``, as Strawberry Fields returns it and contour plots take
            it: element [i, j] is at ``(x[j], p[i])``.

        Example:
            >>> import numpy as np, fockjax as fj
            >>> one_photon = fj.from_ket([0, 1])
            >>> print(one_photon.wigner(0, np.array([0.0, 1.0, 2.0]), np.zeros(1)).round(4))
            [[-0.1592  0.      0.0646]]

        Note:
            The kernel ``<q1| rho |q2>`` is a two-mode wave function whose amplitudes in Hermite
            functions are ``rho``. A balanced beamsplitter takes it to ``u = (q1 + q2) / sqrt 2``
            and ``v = (q2 - q1) / sqrt 2``. The integral is a Fourier transform in v, of which
            Hermite functions are eigenfunctions. So W is two matrix products with Hermite functions
            of x and of p, and no step can lose digits. The beamsplitter is a constant of 4 cutoff^3
            numbers, computed once.
        """
        mode, hbar = self._checked_mode(mode), self._checked_hbar(hbar)
        x, p = _points("x", x, self._real), _points("p", p, self._real)
        cutoff = self.cutoffs[mode]
        size = 2 * cutoff - 1  # how many values the total photon number of both can have
        rho = resized(self.reduced(mode), (size, cutoff))
        # A skew puts rho[N - n, n] at [N, n] for the beamsplitter, a second one leads to [u, v].
        turn = lax.optimization_barrier(jnp.asarray(_balanced(cutoff).astype(self._real)))
        sectors = contract(turn, skew(rho, column=1, row=0, sign=1), "Nvn,Nn->Nv")
        kernel = skew(sectors, column=1, row=0, sign=-1)
        fourier = powers_of_i(np.arange(size)).astype(self.dtype)
        kernel = contract(kernel, fourier, "uv,v->uv", real=True)
        scale = math.sqrt(2 / hbar)
        half = contract(kernel, hermite_functions(scale * x, size), "uv,ux->vx")
        grid = contract(hermite_functions(scale * p, size), half, "vp,vx->px")
        return grid / (math.sqrt(math.pi) * hbar)


@lru_cache(maxsize=8)
def _balanced(cutoff: int) -> np.ndarray:
    """The balanced beamsplitter on photon numbers below the cutoff, float64: ``[N, v, n]``.

    Of N photons in all, n are in the mode q2 before and v in the mode v afterwards, with ``q2 =
    (u + v) / sqrt 2`` and ``q1 = (u - v) / sqrt 2``.
    """
    size = 2 * cutoff - 1
    turn = np.zeros((size, size, cutoff))
    for total, matrix in enumerate(quarter_turns(size)):
        n = np.arange(max(0, total - cutoff + 1), min(total + 1, cutoff))
        turn[total, : total + 1, n] = matrix[:, n].T
    return turn


def _points(name: str, values, dtype) -> jax.Array:
    values = as_real(name, values, dtype)
    if values.ndim != 1:
        raise ValueError(f"Argument `{name}` must have one axis, got shape {values.shape}.")
    return values
