"""Gates that are a phase of the position: quadratic exp(i s x^2 / 2 hbar) and cubic exp(i gamma x^3
/ 3 hbar).
"""

from functools import lru_cache

import jax.numpy as jnp
import numpy as np
from jax import lax

from fockjax._given import checked_hbar, checked_integer
from fockjax._linear import contract
from fockjax._numerics import HIGHEST, real_dtype
from fockjax._phases import phase_factor, wave
from fockjax._spec import Spec
from fockjax.gates.phases import powers_of_i
from fockjax.gates.squeezing import real_core
from fockjax.hermite import hermite_table
from fockjax.operators import Matrix, Operator


def quadratic_phase(s, *, cutoff: int, dtype=None) -> Operator:
    """Quadratic phase gate ``P(s) = e^{-i theta / 2} exp(i s x^2 / (2 hbar))``, ``tan theta = s /
    2``: adds s x to the momentum.

    The phase in front is Strawberry Fields' (see docs/conventions.md): its P(s) is the rotation
    R(theta) after the squeezing S(z), z = asinh(s / 2) e^{-i (pi/2 + theta)}. The elements are
    those of the infinite operator, cut to the photon numbers below the cutoff; they do not depend
    on hbar.

    Args:
        s: strength, a real scalar; |s| <= 20 is tested.
        cutoff: photon numbers below it are kept.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Returns:
        An `Operator` on one mode.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> gate = np.asarray(fj.gates.quadratic_phase(1.0, cutoff=4).to_dense())
        >>> print(gate[:, 0].round(2) + 0)
        [ 0.95+0.j    0.  +0.j   -0.13+0.27j  0.  +0.j  ]

    Reference:
        M. Gu et al., Phys. Rev. A 79, 062318 (2009).
    """
    half = jnp.asarray(s, real_dtype(dtype)) / 2
    core = real_core(jnp.arcsinh(half), cutoff)
    # The phases are e^{i theta m} e^{-i (pi/2 + theta)(m - n)/2}; where m - n is odd the core is 0.
    n = np.arange(cutoff)
    turns = phase_factor(jnp.arctan(half), (n[:, None] + n) // 2)
    turns = turns * powers_of_i((n - n[:, None]) // 2).astype(turns.dtype)
    return Matrix(contract(turns, core, "mn,mn->mn"))


def cubic_phase(gamma, *, cutoff: int, padding: int = 0, hbar: float = 2.0, dtype=None) -> Operator:
    """Cubic phase gate ``V(gamma) = exp(i gamma x^3 / (3 hbar))``: adds gamma x^2 to the momentum.

    Its infinite matrix has no closed form. This is the exponential of the position cut to
    ``cutoff + padding`` photon numbers, then cut to the cutoff. Without padding it is Strawberry
    Fields' gate: unitary, so that nothing is lost at the cutoff but comes back instead, and far
    from the infinite operator already at gamma = 0.1. With padding it converges to it: raise the
    padding until the result stays (at gamma = 0.1 three times the cutoff is enough, at 0.3 and
    cutoff 20 it takes 200; docs/kernels.md has a table). What passes the padded edge comes back
    too, so the leakage of a state is a lower bound after this gate, whatever the padding.

    Args:
        gamma: strength, a real scalar.
        cutoff: photon numbers below it are kept.
        padding: how many more the position is cut to.
        hbar: the convention for the size of a quadrature.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Returns:
        An `Operator` on one mode.

    Raises:
        ValueError: if ``padding`` is not an integer >= 0.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> gate = np.asarray(fj.gates.cubic_phase(0.5, cutoff=3).to_dense())
        >>> print(gate[:, 0].round(2) + 0)
        [ 0.97+0.j    0.  +0.24j -0.04+0.j  ]

    Reference:
        D. Gottesman, A. Kitaev and J. Preskill, Phys. Rev. A 64, 012310 (2001); as
        Strawberry Fields truncates it: N. Killoran et al., Quantum 3, 129 (2019).
    """
    checked_integer(padding, "Option `padding`", 0)
    nodes, vectors = _position(cutoff, cutoff + padding)
    # Half of gamma x^3 / (3 hbar) for x = sqrt(hbar / 2) lambda. With cos 2u - 1 = -2 sin^2 u the
    # gate is exactly the identity at gamma = 0.
    c, s = wave(
        jnp.asarray(gamma, real_dtype(dtype)), nodes**3 * ((checked_hbar(hbar) / 2) ** 0.5 / 12)
    )
    vectors = lax.optimization_barrier(jnp.asarray(vectors.astype(s.dtype)))
    # Nodes come in pairs +-lambda: between photon numbers of equal parity the sines cancel, between
    # others the cosines.
    even, odd = (
        jnp.einsum("mk,nk->mn", vectors * phase[None], vectors, precision=HIGHEST)
        for phase in (-2 * s * s, 2 * s * c)
    )
    n = np.arange(cutoff)
    same = (n[:, None] - n) % 2 == 0
    real = jnp.where(same, even, 0) + np.eye(cutoff, dtype=s.dtype)
    return Matrix(lax.complex(real, jnp.where(same, 0, odd)))


def _check_padding(parameters, modes, options):
    checked_integer(options["padding"], "Option `padding`", 0)


@lru_cache(maxsize=32)
def _position(rows, size):
    """The eigenvalues lambda >= 0 of a + a^dagger cut to ``size`` photon numbers; and the first
    ``rows`` entries of their eigenvectors, (rows, count), times sqrt 2 where lambda > 0.

    They are the Gauss-Hermite nodes and the Hermite functions at them: sqrt(n + 1) h_{n+1} = lambda
    h_n - sqrt(n) h_{n-1}. One Newton step, on h_size = 0 with h_size' = sqrt(size) h_{size-1},
    polishes the nodes. LAPACK's eigenvectors have fewer digits, and no definite sign if their first
    entry is below rounding.
    """
    root = np.sqrt(np.arange(1, size))
    nodes = np.linalg.eigvalsh(np.diag(root, 1) + np.diag(root, -1))
    nodes = nodes[size // 2 :]
    if size % 2:
        nodes[0] = 0

    h = hermite_table(nodes / np.sqrt(2), size + 1)
    nodes = nodes - h[size] / (np.sqrt(size) * h[size - 1])
    h = hermite_table(nodes / np.sqrt(2), size)
    vectors = h / np.linalg.norm(h, axis=0)
    return nodes, vectors[:rows] * np.where(nodes > 0, np.sqrt(2), 1)


SPECS = (
    Spec("quadratic_phase", ("s",), 1, quadratic_phase),
    Spec(
        "cubic_phase",
        ("gamma",),
        1,
        cubic_phase,
        options={"padding": 0, "hbar": 2.0},
        check=_check_padding,
        reflects=lambda options: True,
    ),
)
