"""Pure Gaussian states of any number of modes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fockjax import _validated
from fockjax._eager import is_known
from fockjax._given import checked_hbar, cutoffs_of
from fockjax._linear import contract
from fockjax._numerics import real_dtype
from fockjax._spec import Spec
from fockjax.kets.recurrence import amplitudes


def gaussian(
    cov, mean: Any = 0.0, *, cutoff: int | tuple[int, ...], hbar: float = 2.0, dtype=None
) -> jax.Array:
    """The pure Gaussian state of a covariance matrix and a vector of means, shape ``cutoff``.

    With ``V = 2 cov / hbar``, ``M = 2 (V + 1)^{-1}``, ``B = (M_pp - M_xx - i (M_xp + M_px)) / 2``,
    ``alpha = (mean_x + i mean_p) / sqrt(2 hbar)`` and ``g = alpha - B alpha^*`` it is ``c exp(g .
    a^dagger + a^dagger . B . a^dagger / 2) |0>``, ``c = det((V + 1)/2)^{-1/4} exp(-alpha^* . g /
    2)``. What lies above the cutoff is lost. Global phase: that of the displacement ``D(alpha)``
    acting on a state whose vacuum amplitude is positive, as in The Walrus. Strawberry Fields
    decomposes its `Gaussian` into gates, which leave another phase, with a factor ``e^{i x p / (2
    hbar)}`` for each displaced mode. (Its version 0.23 squeezes the wrong quadrature where ``cov``
    is diagonal with a squeezed p.)

    A covariance matrix known before tracing is checked. A traced one is not: `fj.checks` tells how
    far from pure it is. If it is that of a mixed state, the vacuum probability is right and part of
    the norm is missing at any cutoff, which shows as leakage.

    Args:
        cov: real symmetric matrix of shape (2n, 2n), in the order (x1, .., xn, p1, .., pn); the
            vacuum has ``hbar/2`` times the identity.
        mean: real vector of length 2n in the same order, or 0.
        cutoff: photon numbers below it are kept, one for each of the n modes.
        hbar: the convention of ``cov`` and ``mean``.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Raises:
        ValueError: for shapes that do not fit the cutoffs; where the values are known, if ``cov``
            is not symmetric, breaks the uncertainty relation, or is that of a mixed state.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> print(np.asarray(fj.kets.gaussian(np.diag([0.5, 2.0]), cutoff=5)).real.round(3))
        [ 0.971  0.    -0.229  0.     0.066]

    Reference:
        N. Quesada et al., Simulating realistic non-Gaussian state preparation, Phys. Rev. A 100,
        022341 (2019); the recurrence: `fockjax.kets.recurrence`.
    """
    cutoffs, plus, mean = prepared(cov, mean, cutoff, hbar, dtype, _validated.pure_covariance)
    n = len(cutoffs)
    m = 2 * jnp.linalg.inv(plus)
    sign, log_det = jnp.linalg.slogdet(plus / 2)
    quadratic = lax.complex(m[n:, n:] - m[:n, :n], -(m[:n, n:] + m[n:, :n])) / 2
    alpha = lax.complex(mean[:n], mean[n:])
    linear = alpha - contract(quadratic, alpha.conj(), "ij,j->i")
    log_vacuum = -contract(alpha.conj(), linear, "i,i->") / 2 - log_det.astype(linear.dtype) / 4
    # A determinant that is not positive belongs to no state: zero, instead of NaN from its root.
    physical = (sign > 0).astype(linear.dtype)
    return physical * amplitudes(quadratic, linear, log_vacuum, cutoffs)


def prepared(cov, mean, cutoff, hbar: float, dtype, refuse):
    """The arguments of a Gaussian state, pure or mixed, checked and in units without hbar.

    Args:
        cov, mean, cutoff, hbar, dtype: as in `gaussian`.
        refuse: a function that raises for a covariance matrix, known before tracing, that belongs
            to no such state.

    Returns:
        The cutoffs, ``V + 1`` with ``V = 2 cov / hbar``, and ``mean / sqrt(2 hbar)``.
    """
    cutoffs = cutoffs_of(cutoff, None)
    n, hbar, real = len(cutoffs), checked_hbar(hbar), real_dtype(dtype)
    if is_known(cov):
        refuse(cov, hbar)
    cov, mean = jnp.asarray(cov).astype(real), jnp.asarray(mean).astype(real)
    _check_shapes(cov, mean, n)
    plus = (cov + cov.T) / hbar + np.eye(2 * n, dtype=real)
    return cutoffs, plus, jnp.broadcast_to(mean, 2 * n) / np.sqrt(2 * hbar).astype(real)


def _check_shapes(cov, mean, n: int) -> None:
    if cov.shape != (2 * n, 2 * n):
        raise ValueError(
            f"Argument `cov` must have shape {(2 * n, 2 * n)} for {n} mode(s), got {cov.shape}."
        )
    if mean.shape not in ((), (2 * n,)):
        raise ValueError(
            f"Argument `mean` must have shape {(2 * n,)} for {n} mode(s), got {mean.shape}."
        )


def check_with(refuse):
    """The `Spec.check` of a Gaussian preparation; ``refuse`` as in `prepared`."""

    def check(parameters, modes, options):
        cov, mean = parameters["cov"], parameters["mean"]
        if isinstance(cov, np.ndarray):
            refuse(cov, options["hbar"])
            _check_shapes(cov, mean if isinstance(mean, np.ndarray) else np.zeros(()), len(modes))

    return check


SPEC = Spec(
    "gaussian",
    ("cov", "mean"),
    None,
    gaussian,
    defaults={"mean": 0.0},
    arrays=("cov", "mean"),
    options={"hbar": 2.0},
    check=check_with(_validated.pure_covariance),
)
