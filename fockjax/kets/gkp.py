"""Gottesman-Kitaev-Preskill states of finite energy."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fockjax._given import in_range
from fockjax._linear import contract
from fockjax._numerics import real_dtype
from fockjax._spec import Spec
from fockjax.kets.recurrence import amplitudes

_TEETH = 32  # how many on either side of 0; one further out needs photon numbers above 6000


def gkp(
    theta: Any = 0.0,
    phi: Any = 0.0,
    epsilon: Any = 0.2,
    *,
    cutoff: int,
    ampl_cutoff: float = 1e-12,
    exact: bool = False,
    dtype=None,
) -> jax.Array:
    """A finite-energy GKP state on the square lattice, shape ``(cutoff,)``.

    ``e^{-epsilon n}`` acts on ``cos(theta/2) |0> + e^{-i phi} sin(theta/2) |1>``, where ``|mu>`` is
    the sum of the position eigenstates at ``x = (2t + mu) sqrt(pi hbar)`` over integers t. Each
    then is a displaced squeezed state (a tooth). Global phase: ``<n|0>`` and ``<n|1>`` are real.

    By default exactly what Strawberry Fields prepares: normalised after the cut, so that the
    leakage does not show what lies over the cutoff. ``exact=True`` normalises before it.

    Args:
        theta: polar angle of the qubit in radians, a real scalar.
        phi: its azimuth in radians.
        epsilon: the damping, positive, at least 0.0022 at the default ``ampl_cutoff`` for
            ``exact=True``. Zero, which a circuit refuses, gives the ideal state cut to the cutoff.
        cutoff: photon numbers below it are kept.
        ampl_cutoff: teeth are kept down to the square root of it in amplitude, as Strawberry Fields
            keeps them. The number of teeth has no derivative.
        exact: whether to keep the norm that the cut leaves.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Raises:
        ValueError: if ``epsilon`` is negative, or ``ampl_cutoff`` not between 0 and 1.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> print(np.asarray(fj.kets.gkp(cutoff=5)).real.round(3) + 0)
        [ 0.852  0.    -0.366  0.     0.374]

    Reference:
        J. E. Bourassa et al., Fast simulation of bosonic qubits via Gaussian functions in phase
        space, PRX Quantum 2, 040315 (2021).
    """
    _check_ampl_cutoff(ampl_cutoff)
    real = real_dtype(dtype)
    theta, phi = jnp.asarray(theta, real), jnp.asarray(phi, real)
    epsilon = in_range(epsilon, "epsilon", 0, math.inf, real)

    # Tooth m stands at m sqrt(pi hbar) / cosh(epsilon) and is squeezed: e^{-2 r} = tanh(epsilon).
    teeth = np.arange(-2 * _TEETH, 2 * _TEETH + 2)
    mu, t = teeth % 2, teeth // 2
    damping = jnp.tanh(epsilon)
    positions = (math.sqrt(math.pi / 2) * teeth).astype(real) / jnp.cosh(epsilon)
    up = 2 / (1 + damping)  # 1 + tanh r
    log_height = (-math.pi / 2 * teeth**2).astype(real) * damping
    quadratic = ((damping - 1) / (damping + 1))[None, None]

    def tooth(position, log_height):
        log_vacuum = log_height - position * position * up / 2
        return amplitudes(quadratic, (position * up)[None], log_vacuum, (cutoff,))

    inside = (np.maximum(abs(t) - 1, 0) ** 2).astype(real) * damping
    kept = (inside < -math.log(ampl_cutoff) / (4 * math.pi)).astype(real)
    cos, sin = jnp.cos(theta / 2), jnp.sin(theta / 2)
    qubit = lax.complex(
        kept * jnp.where(mu, sin * jnp.cos(phi), cos), -kept * jnp.where(mu, sin * jnp.sin(phi), 0)
    )
    ket = contract(qubit, jax.vmap(tooth)(positions, log_height), "t,tn->n")
    if exact:
        weights = contract(qubit, jnp.exp(log_height), "t,t->t")
        apart = positions[:, None] - positions[None]
        overlaps = jnp.exp(-apart * apart / (2 * damping))
        squared = contract(
            weights.conj(), contract(overlaps, weights, "st,t->s"), "s,s->", real=True
        )
        scale = jnp.sqrt(2 * jnp.sqrt(damping) / (1 + damping) / squared)  # sech r / norm^2
    else:
        squared = contract(ket.conj(), ket, "n,n->", real=True)
        scale = lax.rsqrt(jnp.where(squared > 0, squared, 1))
    return ket * scale.astype(ket.dtype)


def _check_ampl_cutoff(ampl_cutoff) -> None:
    if not 0 < ampl_cutoff < 1:
        raise ValueError(f"Option `ampl_cutoff` must lie between 0 and 1, got {ampl_cutoff!r}.")


def _check(parameters, modes, options):
    epsilon = parameters["epsilon"]
    if isinstance(epsilon, float) and epsilon <= 0:
        raise ValueError(f"Argument `epsilon` must be positive, got {epsilon:g}.")
    _check_ampl_cutoff(options["ampl_cutoff"])


SPEC = Spec(
    "gkp",
    ("theta", "phi", "epsilon"),
    1,
    gkp,
    defaults={"theta": 0.0, "phi": 0.0, "epsilon": 0.2},
    options={"ampl_cutoff": 1e-12, "exact": False},
    check=_check,
    reflects=lambda options: not options["exact"],
)
