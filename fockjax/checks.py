"""Defects: how far a matrix is from unitary, symplectic, a covariance or a density matrix.

A defect is 0, up to rounding, if nothing is wrong. For a NumPy array it is computed by NumPy in
double precision. For a JAX array it is a real JAX scalar, so that a compiled program can return it,
watch it or penalise it.
"""

import jax
import jax.numpy as jnp
import numpy as np

from fockjax._given import checked_hbar
from fockjax._numerics import HIGHEST, safe_sqrt

__all__ = [
    "density_defect",
    "kraus_defect",
    "physical_defect",
    "purity_defect",
    "symplectic_defect",
    "unitary_defect",
]


def unitary_defect(U):
    """``|U^dagger U - 1|`` in the Frobenius norm.

    Args:
        U: square matrix, shape (n, n).

    Returns:
        A real scalar; differentiable, with derivative 0 where it is exactly 0.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> print(fj.checks.unitary_defect(np.diag([1j, 1.1])).round(3))
        0.21
    """
    U = square(U, "U")
    return _size(_matmul(U.conj().T, U) - np.eye(len(U), dtype=U.dtype))


def symplectic_defect(S):
    """``|S^T Omega S - Omega|`` in the Frobenius norm, ``Omega = [[0, 1], [-1, 0]]``.

    Args:
        S: real matrix of shape (2n, 2n), in the order (x1, .., xn, p1, .., pn).

    Returns:
        A real scalar; differentiable, with derivative 0 where it is exactly 0.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> fj.checks.symplectic_defect(np.diag([2.0, 0.5]))
        np.float64(0.0)
    """
    S = square(S, "S", even=True)
    omega = _omega(S)
    return _size(_matmul(S.T, _matmul(omega, S)) - omega)


def physical_defect(cov, hbar: float = 2.0):
    """How far a covariance matrix is from a quantum state's, in units of ``hbar / 2``.

    It is the size of the antisymmetric part, plus the modulus of the most negative eigenvalue of
    ``2 V / hbar + i Omega``: by the uncertainty relation all eigenvalues must be >= 0.

    Args:
        cov: real matrix V of shape (2n, 2n), in the order (x1, .., xn, p1, .., pn).
        hbar: the convention V is in.

    Returns:
        A real scalar >= 0; differentiable once (eigenvalues of a pure state are degenerate).

    Example:
        >>> import numpy as np, fockjax as fj
        >>> print(fj.checks.physical_defect(0.9 * np.eye(2)).round(3))
        0.1
    """
    V = square(cov, "cov", even=True) * (2 / checked_hbar(hbar))
    xp = _namespace(V)
    commutator = 1j * _omega(V)
    lowest = xp.linalg.eigvalsh(((V + V.T) / 2).astype(commutator.dtype) + commutator)[0]
    return _size((V - V.T) / 2) + xp.maximum(-lowest, 0)


def purity_defect(cov, hbar: float = 2.0):
    """How far the Gaussian state of a covariance matrix V is from pure.

    The state is pure if ``2 V / hbar`` is symplectic, and this is the `symplectic_defect` of that
    matrix. For one mode of purity mu it is ``sqrt(2) (1 / mu^2 - 1)``.

    Args:
        cov: real matrix V of shape (2n, 2n), in the order (x1, .., xn, p1, .., pn).
        hbar: the convention V is in.

    Returns:
        A real scalar; differentiable, with derivative 0 where it is exactly 0.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> fj.checks.purity_defect(np.diag([2.0, 0.5]))
        np.float64(0.0)
    """
    return symplectic_defect(square(cov, "cov", even=True) * (2 / checked_hbar(hbar)))


def kraus_defect(kraus):
    """``|sum_j K_j^dagger K_j - 1|`` in the Frobenius norm: 0 if the Kraus operators keep the
    trace.

    Args:
        kraus: array of shape (J, n, n).

    Returns:
        A real scalar; differentiable, with derivative 0 where it is exactly 0.

    Raises:
        ValueError: for another shape.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> print(fj.checks.kraus_defect(np.diag([1.0, 1.1])[None]).round(3))
        0.21
    """
    K = kraus if isinstance(kraus, jax.Array) else np.asarray(kraus)
    if K.ndim != 3 or K.shape[1] != K.shape[2]:
        raise ValueError(f"Argument `kraus` must have shape (J, n, n), got {K.shape}.")
    flat = K.reshape(-1, K.shape[2])
    return _size(_matmul(flat.conj().T, flat) - np.eye(K.shape[2], dtype=K.dtype))


def density_defect(rho):
    """How far a matrix is from a density matrix that may have lost trace.

    It is the size of the antihermitian part, plus the modulus of the most negative eigenvalue, plus
    the amount by which the trace exceeds 1.

    Args:
        rho: matrix of shape (n, n).

    Returns:
        A real scalar >= 0; differentiable once.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> print(fj.checks.density_defect(np.diag([0.9, -0.1])).round(3))
        0.1
    """
    rho = square(rho, "rho")
    xp = _namespace(rho)
    adjoint = rho.conj().T
    lowest = xp.linalg.eigvalsh((rho + adjoint) / 2)[0]
    excess = xp.trace(rho).real - 1
    return _size((rho - adjoint) / 2) + xp.maximum(-lowest, 0) + xp.maximum(excess, 0)


def _namespace(x):
    return jnp if isinstance(x, jax.Array) else np


def square(x, name: str, even: bool = False):
    """The matrix, if it is square, of ``even`` size if asked; else ValueError."""
    x = x if isinstance(x, jax.Array) else np.asarray(x)
    if x.ndim != 2 or x.shape[0] != x.shape[1] or not x.shape[0] or (even and x.shape[0] % 2):
        wanted = "(2n, 2n)" if even else "(n, n)"
        raise ValueError(f"Argument `{name}` must have shape {wanted}, got {x.shape}.")
    return x


def _omega(like):
    n = len(like) // 2
    return np.kron(np.array([[0, 1], [-1, 0]]), np.eye(n)).astype(like.dtype)


def _matmul(a, b):
    if isinstance(a, jax.Array) or isinstance(b, jax.Array):
        return jnp.matmul(a, b, precision=HIGHEST)
    return a @ b


def _size(x):
    if isinstance(x, jax.Array):
        return safe_sqrt(jnp.sum(jnp.real(x * x.conj())))
    return np.linalg.norm(x)
