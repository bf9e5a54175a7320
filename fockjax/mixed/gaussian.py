"""Gaussian states of any number of modes, pure or mixed."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fockjax import _validated
from fockjax._linear import contract
from fockjax._numerics import canonical_complex
from fockjax._spec import Spec
from fockjax.kets.gaussian import check_with, prepared
from fockjax.kets.recurrence import amplitudes


def mixed_gaussian(
    cov, mean: Any = 0.0, *, cutoff: int | tuple[int, ...], hbar: float = 2.0, dtype=None
) -> jax.Array:
    """The Gaussian state of a covariance matrix and a vector of means, shape ``(*cutoffs,
    *cutoffs)``.

    Its Husimi function is ``c exp(-|beta|^2 + w . B . w / 2 + g . w)`` with ``w = (beta^*, beta)``.
    So its elements are the amplitudes of a pure Gaussian state of twice as many modes, one for each
    row and column axis. With ``V = 2 cov / hbar``, ``d = mean sqrt(2 / hbar)``, ``Q = (V +
    1)^{-1}`` and ``L = [[1, 1], [i, -i]]``

        B = L^T (1/2 - Q) L,   g = L^T Q d,   c = det((V + 1)/2)^{-1/2} exp(-d . Q d / 2).

    What lies above the cutoff is lost. A covariance matrix known before tracing is checked; of a
    traced one `fj.checks.physical_defect` tells how far it is from a state's. NaN comes out where
    det((V + 1)/2) is not positive.

    Args:
        cov: real symmetric matrix of shape (2n, 2n), in the order (x1, .., xn, p1, .., pn); the
            vacuum has ``hbar/2`` times the identity.
        mean: real vector of length 2n in the same order, or 0.
        cutoff: photon numbers below it are kept, one for each of the n modes.
        hbar: the convention of ``cov`` and ``mean``.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Raises:
        ValueError: for shapes that do not fit the cutoffs; where the values are known, if ``cov``
            is not symmetric or breaks the uncertainty relation.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> rho = fj.mixed.mixed_gaussian(np.diag([1.0, 3.0]), cutoff=3)
        >>> print(np.asarray(rho).real.round(3) + 0)
        [[ 0.707  0.    -0.125]
         [ 0.     0.177  0.   ]
         [-0.125  0.     0.066]]

    Reference:
        V. V. Dodonov, O. V. Man'ko and V. I. Man'ko, Phys. Rev. A 50, 813 (1994); the recurrence:
        `fockjax.kets.recurrence`.
    """
    cutoffs, plus, mean = prepared(cov, mean, cutoff, hbar, dtype, _validated.covariance)
    n, real = len(cutoffs), plus.dtype
    sign, log_det = jnp.linalg.slogdet(plus / 2)
    Q = jnp.linalg.inv(plus)
    L = np.kron(np.array([[1, 1], [1j, -1j]]), np.eye(n)).astype(canonical_complex(dtype))
    d = 2 * mean
    shift = contract(Q, d, "ij,j->i")
    quadratic = contract(
        contract(np.eye(2 * n, dtype=real) / 2 - Q, L, "ij,jk->ik"), L, "ik,il->lk"
    )
    linear = contract(L, shift, "ij,i->j")
    log_vacuum = -(contract(d, shift, "i,i->") + log_det) / 2
    # A determinant that is not positive belongs to no state.
    log_vacuum = jnp.where(sign > 0, log_vacuum, jnp.nan).astype(linear.dtype)
    return amplitudes(quadratic, linear, log_vacuum, cutoffs * 2)


SPEC = Spec(
    "mixed_gaussian",
    ("cov", "mean"),
    None,
    mixed_gaussian,
    defaults={"mean": 0.0},
    arrays=("cov", "mean"),
    options={"hbar": 2.0},
    check=check_with(_validated.covariance),
)
