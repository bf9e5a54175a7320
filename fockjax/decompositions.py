"""Decompositions of the matrices of linear optics and Gaussian transformations. They take constants
and compute in double precision.

A passive transformation of n modes is a unitary matrix U, ``a_k^dagger -> sum_j U_jk a_j^dagger``
(amplitudes of coherent states become ``U alpha``). A Gaussian transformation is a symplectic matrix
S that acts on the quadratures in the order (x1, .., xn, p1, .., pn).

Takagi, Bloch-Messiah and Williamson call The Walrus, which is imported when it is needed.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fockjax import _validated

__all__ = [
    "BlochMessiah",
    "Mesh",
    "bloch_messiah",
    "generator",
    "pairs",
    "rectangular",
    "takagi",
    "triangular",
    "williamson",
]


ZERO = 1e-13  # Strawberry Fields leaves out gates with angles below it


class Mesh(NamedTuple):
    """Beamsplitters ``BS(theta_k, phi_k)`` on ``pairs[k]``, k = 0, 1, .., then a rotation
    ``R(rotation_m)`` on each mode m.

    Attributes:
        pairs: the modes of each beamsplitter, neighbours, in the order they act: `pairs`.
        theta: their angles in radians, shape ``(len(pairs),)``.
        phi: their phases in radians, same shape.
        rotation: one phase in radians for each mode.
    """

    pairs: tuple[tuple[int, int], ...]
    theta: np.ndarray
    phi: np.ndarray
    rotation: np.ndarray


class BlochMessiah(NamedTuple):
    """``S = O(left) diag(e^-r, e^r) O(right)``: passive, squeezing, passive (``right`` acts first).

    Attributes:
        left: unitary matrix of shape (n, n).
        r: squeezing parameters, the strongest first, all <= 0, shape (n,).
        right: unitary matrix of shape (n, n).
    """

    left: np.ndarray
    r: np.ndarray
    right: np.ndarray


def pairs(modes: int, mesh: str = "rectangular") -> tuple[tuple[int, int], ...]:
    """The neighbouring modes that the beamsplitters of a mesh couple, in the order they act.

    Args:
        modes: the number of modes n; there are n (n - 1) / 2 pairs.
        mesh: "rectangular" (Clements et al.; column by column) or "triangular" (Reck et al.).

    Raises:
        ValueError: for another ``mesh``.

    Example:
        >>> import fockjax as fj
        >>> fj.decompositions.pairs(4)
        ((0, 1), (2, 3), (1, 2), (0, 1), (2, 3), (1, 2))
        >>> fj.decompositions.pairs(4, "triangular")
        ((2, 3), (1, 2), (2, 3), (0, 1), (1, 2), (2, 3))
    """
    if mesh == "rectangular":
        firsts = [k for column in range(modes) for k in range(column % 2, modes - 1, 2)]
    elif mesh == "triangular":
        firsts = [k for start in reversed(range(modes - 1)) for k in range(start, modes - 1)]
    else:
        raise ValueError(f"Argument `mesh` must be 'rectangular' or 'triangular', got {mesh!r}.")
    return tuple((k, k + 1) for k in firsts)


def rectangular(U) -> Mesh:
    """A unitary matrix as a rectangular mesh of beamsplitters.

    Its beamsplitters are those of Strawberry Fields' ``Interferometer(U, mesh="rectangular")``, in
    the order of `pairs`. Strawberry Fields has rotations between them. Here the rotations are moved
    to the end by ``BS(theta, phi) R1(a) R2(b) = R1(a) R2(b) BS(theta, phi + a - b)``. This holds at
    any cutoff, so the two circuits lose the same.

    Args:
        U: unitary matrix, shape (n, n).

    Raises:
        ValueError: if U is not unitary.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> mesh = fj.decompositions.rectangular(np.array([[1, 1j], [1j, 1]]) / np.sqrt(2))
        >>> mesh.theta.round(3), mesh.phi.round(3)
        (array([0.785]), array([1.571]))

    Reference:
        W. R. Clements et al., Optimal design for universal multiport interferometers, Optica 3,
        1460 (2016), eq. (4).
    """
    V = _validated.unitary(U)
    modes = len(V)
    first, last = [], []
    for done in range(modes - 1):
        for j in range(done + 1):
            if done % 2 == 0:  # null the lowest diagonals from the right, upwards ..
                column = done - j
                first.append(_null_from_right(V, modes - 1 - j, column))
            else:  # .. and from the left, downwards
                last.append(_null_from_left(V, modes - 1 - done + j, j))
    return _mesh("rectangular", first, np.diag(V), last)


def triangular(U) -> Mesh:
    """A unitary matrix as a triangular mesh of beamsplitters.

    Its beamsplitters are those that ``strawberryfields.decompositions.triangular`` finds; its
    rotations stand at the end, as in `rectangular`.

    Strawberry Fields 0.23 runs them in a wrong order: its ``Interferometer(U, mesh="triangular")``
    does not act as U. This mesh does.

    Args:
        U: unitary matrix, shape (n, n).

    Raises:
        ValueError: if U is not unitary.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> mesh = fj.decompositions.triangular(np.fft.fft(np.eye(3), norm="ortho"))
        >>> mesh.pairs
        ((1, 2), (0, 1), (1, 2))

    Reference:
        M. Reck et al., Experimental realization of any discrete unitary operator, Phys. Rev. Lett.
        73, 58 (1994).
    """
    V = _validated.unitary(U)
    modes = len(V)
    last = [
        _null_from_left(V, modes - 1 - j, modes - 2 - i)
        for i in reversed(range(modes - 1))
        for j in range(i + 1)
    ]
    return _mesh("triangular", [], np.diag(V), last)


def generator(U) -> np.ndarray:
    """The real array A for which the gate ``passive`` is the unitary matrix U.

    ``U = exp(i H)`` with ``H_jj = A_jj`` and ``H_jk = A_jk + i A_kj`` for j < k; the eigenvalues of
    H are taken from (-pi, pi].

    Args:
        U: unitary matrix, shape (n, n).

    Returns:
        Array of shape (n, n).

    Raises:
        ValueError: if U is not unitary.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> fj.decompositions.generator(np.array([[0, 1], [1, 0]])).round(3) + 0
        array([[ 1.571, -1.571],
               [ 0.   ,  1.571]])
    """
    from scipy.linalg import schur

    # The Schur form of a normal matrix is diagonal, its vectors orthonormal also where eigenvalues
    # coincide.
    values, vectors = schur(_validated.unitary(U), output="complex")[:2]
    H = (vectors * np.angle(np.diag(values))) @ vectors.conj().T
    return np.triu(H.real) + np.triu(H.imag, 1).T


def takagi(A) -> tuple[np.ndarray, np.ndarray]:
    """Takagi (Autonne) decomposition ``A = U diag(values) U^T`` of a complex symmetric matrix.

    Args:
        A: symmetric matrix, shape (n, n).

    Returns:
        ``values``, shape (n,), >= 0, the largest first; and the unitary matrix U.

    Raises:
        ValueError: if A is not symmetric.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> values, U = fj.decompositions.takagi(np.array([[0, 2j], [2j, 3]]))
        >>> values.round(3)
        array([4., 1.])

    Reference:
        M. Houde, W. McCutcheon and N. Quesada, arXiv:2403.04596 (2024).
    """
    decompositions = _the_walrus()

    A = _symmetric(_validated.finite_square(A, "A"), "A")
    scale = float(np.max(abs(A))) or 1.0  # The Walrus takes small elements for zero

    def seen_in(frame):
        values, U = decompositions.takagi(frame @ (A / scale) @ frame.T)
        values, U = scale * values, frame.conj().T @ U
        return (values, U), (U * values) @ U.T

    return _recomposed(A, seen_in, _frames(len(A)), "Takagi")


def bloch_messiah(S) -> BlochMessiah:
    """Bloch-Messiah (Euler) decomposition of a symplectic matrix.

    ``O(U) = [[Re U, -Im U], [Im U, Re U]]``; `squeezing` by r scales x by ``e^-r``. A passive S has
    ``r = 0`` exactly, and ``left = 1``.

    If all squeezing parameters differ, it is unique up to a sign for each (of a column of ``left``
    and the row of ``right``), which makes no difference to the squeezing. If some are equal, it is
    unique up to an orthogonal matrix among these, and a unitary one among modes that are not
    squeezed. All choices make the same S, but gates that are cut one by one lose different amounts
    at a cutoff.

    Args:
        S: real symplectic matrix of shape (2n, 2n), in the order (x1, .., xn, p1, .., pn).

    Raises:
        ValueError: if S is not symplectic.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> fj.decompositions.bloch_messiah(np.diag([2.0, 0.5])).r.round(3)
        array([-0.693])

    Reference:
        M. Houde, W. McCutcheon and N. Quesada, arXiv:2403.04596 (2024).
    """
    decompositions = _the_walrus()

    S = _validated.symplectic(S)
    n = len(S) // 2

    def seen_in(frame):
        left, squeezing, right = decompositions.blochmessiah(_orthogonal(frame) @ S)
        left = _orthogonal(frame).T @ left
        r = -np.log(np.diag(squeezing)[:n]) + 0.0
        return BlochMessiah(_unitary(left), r, _unitary(right)), left @ squeezing @ right

    return _recomposed(S, seen_in, _frames(n), "Bloch-Messiah")


def williamson(V) -> tuple[np.ndarray, np.ndarray]:
    """Williamson decomposition ``V = S diag(nu, nu) S^T`` of a positive definite matrix.

    Args:
        V: real symmetric positive definite matrix of shape (2n, 2n), for example a covariance
            matrix, in the order (x1, .., xn, p1, .., pn).

    Returns:
        The symplectic eigenvalues ``nu``, the largest first, shape (n,), in V's own units (hbar / 2
        for a pure state); and the symplectic matrix S.

    Raises:
        ValueError: if V is not symmetric and positive definite.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> nu, S = fj.decompositions.williamson(np.diag([8.0, 2.0]))
        >>> nu.round(3)
        array([4.])

    Reference:
        M. Houde, W. McCutcheon and N. Quesada, arXiv:2403.04596 (2024).
    """
    decompositions = _the_walrus()

    V = _validated.finite_square(V, "V")
    if len(V) % 2 or np.iscomplexobj(V):
        raise ValueError(f"Argument `V` must be real of shape (2n, 2n), got {V.dtype} {V.shape}.")
    V = _symmetric(V, "V")
    if (lowest := np.linalg.eigvalsh(V)[0]) <= 0:
        raise ValueError(
            f"Argument `V` must be positive definite, but has the eigenvalue {lowest:.1e}."
        )
    D, S = decompositions.williamson(V)
    nu = np.diag(D)[: len(V) // 2]
    order = np.argsort(-nu, kind="stable")
    S = S[:, np.concatenate([order, order + len(nu)])]
    nu = nu[order]
    return _recomposed(V, lambda _: ((nu, S), (S * np.tile(nu, 2)) @ S.T), [None], "Williamson")


# A mesh is found by Givens rotations T(theta, phi) = BS(theta, 0) R1(phi), eq. (1) of Clements et
# al., which null one element of V after the other.


def _null_from_right(V, row, column):
    """Null V[row, column] by V T^-1, which acts on the columns ``column`` and ``column + 1``.
    Returns (column, theta, phi).
    """
    here, there = V[row, column], V[row, column + 1]
    theta, phi = _angles(here, there)
    both = slice(column, column + 2)
    V[:, both] = V[:, both] @ _givens(theta, phi).conj().T
    return column, theta, phi


def _null_from_left(V, row, column):
    """Null V[row, column] by T V, which acts on the rows ``row - 1`` and ``row``. Returns (row - 1,
    theta, phi).
    """
    here, there = V[row, column], V[row - 1, column]
    theta, phi = _angles(-here, there)
    both = slice(row - 1, row + 1)
    V[both] = _givens(theta, phi) @ V[both]
    return row - 1, theta, phi


def _angles(here, there):
    if abs(here) < ZERO:  # nothing to do
        return 0.0, 0.0
    if abs(there) < ZERO:  # a swap
        return np.pi / 2, 0.0
    return np.arctan2(abs(here), abs(there)), np.angle(here / there)


def _givens(theta, phi):
    c, s, e = np.cos(theta), np.sin(theta), np.exp(1j * phi)
    return np.array([[e * c, -s], [e * s, c]])


def _mesh(name, first, diagonal, last) -> Mesh:
    """The product of the T's of ``first`` in order, the phases of the diagonal, and the inverse T's
    of ``last`` in reverse order, as a mesh with the rotations moved to the end.
    """
    rotation = np.zeros(len(diagonal))  # the rotations met so far, on their way to the end
    places: dict[int, list[int]] = {}
    order = pairs(len(diagonal), name)
    for place, (mode, _) in enumerate(order):
        places.setdefault(mode, []).append(place)
    thetas, phis = np.zeros(len(order)), np.zeros(len(order))

    def beamsplitter(mode, theta):
        place = places[mode].pop(0)
        thetas[place], phis[place] = theta, rotation[mode] - rotation[mode + 1]

    for mode, theta, phi in first:
        rotation[mode] += phi
        beamsplitter(mode, theta)
    rotation += np.angle(diagonal)
    for mode, theta, phi in reversed(last):
        beamsplitter(mode, -theta)
        rotation[mode] -= phi
    return Mesh(order, thetas, _wrapped(phis), _wrapped(rotation))


def _wrapped(angles):
    """Angles in (-pi, pi]."""
    return np.pi - (np.pi - angles) % (2 * np.pi)


def _frames(modes: int) -> Iterator[np.ndarray]:
    """Changes of basis, as unitary matrices, in which to call The Walrus: the identity, then a
    random one.

    The Walrus 0.22 is wrong for diagonal matrices with complex entries in other than descending
    order, and where pairs of singular vectors happen to differ by -1 more than once. In a random
    basis no such coincidences occur.
    """
    yield np.eye(modes)
    normal = np.random.RandomState(0).normal
    yield np.linalg.qr(normal(size=(modes, modes)) + 1j * normal(size=(modes, modes)))[0]


def _recomposed(matrix, seen_in, frames, what: str) -> Any:
    """The decomposition that ``seen_in(frame)`` finds in the first frame where its factors multiply
    to the matrix, or in the frame where they come closest.
    """
    best, closest = None, np.inf
    for frame in frames:
        found, made = seen_in(frame)
        error = abs(matrix - made).max() / (abs(matrix).max() or 1.0)
        if error < closest:
            best, closest = found, error
        if error < 1e-11:
            break
    if closest > 1e-7:
        raise ArithmeticError(
            f"The Walrus finds no {what} decomposition of this matrix: what it finds is off by "
            f"{closest:.1e} of the largest element."
        )
    return best


def _orthogonal(U) -> np.ndarray:
    """The symplectic matrix of a passive transformation."""
    return np.block([[U.real, -U.imag], [U.imag, U.real]])


def _unitary(O) -> np.ndarray:  # noqa: E741
    """The unitary matrix of a symplectic orthogonal one."""
    n = len(O) // 2
    return O[:n, :n] + 1j * O[n:, :n]


def _symmetric(A, name: str) -> np.ndarray:
    """The matrix, symmetric to the last digit, if it is so up to rounding."""
    defect, allowed = abs(A - A.T).max(), _validated.SYMPLECTIC_TOLERANCE * abs(A).max()
    if defect > allowed:
        raise ValueError(
            f"Argument `{name}` must be symmetric, but an element differs from its mirror image by "
            f"{defect:.1e}, over the tolerance {allowed:.0e}."
        )
    return (A + A.T) / 2


def _the_walrus() -> Any:
    """The decompositions of The Walrus, which compiles with Numba when it is imported."""
    try:
        from thewalrus import decompositions
    except RuntimeError as error:  # Numba finds no folder to write to
        raise RuntimeError(
            f"The Walrus cannot be imported: {error}. Set the environment variable NUMBA_CACHE_DIR "
            "to a folder that this process may write to."
        ) from None
    return decompositions
