"""Gates of two positions: controlled X exp(-i s x1 p2 / hbar) and controlled Z exp(i s x1 x2 /
hbar).

Both are two squeezers between beamsplitters, with r = asinh(s / 2) and beta = atan(s / 2),

    CX(s) = BS(beta/2 + pi/4, 0) (S(-r) (x) S(r)) BS(beta/2 - pi/4, 0)
    CZ(s) = BS(beta/2 + pi/4, pi/2) (S(-r) (x) S(-r)) BS(beta/2 - pi/4, pi/2)

without a global phase: the vacuum's amplitude is 1 / sqrt(1 + s^2 / 4) on both sides.
(Strawberry Fields' theta = atan2(-sech r, tanh r) / 2 is beta/2 - pi/4. The rotations with which it
makes CZ from CX are in the phases of the beamsplitters here.)
"""

import jax.numpy as jnp

from fockjax._given import cutoffs_of
from fockjax._numerics import real_dtype
from fockjax._spec import Spec
from fockjax.gates._cores import turned
from fockjax.gates.beamsplitter import core as beamsplitter_core
from fockjax.gates.squeezing import real_core
from fockjax.operators import Matrix, Operator, Padded, product


def controlled_x(s, *, cutoff: int | tuple[int, int], exact: bool = False, dtype=None) -> Operator:
    """Controlled X gate ``CX(s) = exp(-i s x1 p2 / hbar)``: adds s times the first position to the
    second.

    It does not depend on hbar.

    Args:
        s: factor, a real scalar.
        cutoff: photon numbers below it are kept; one for both modes or one for each.
        exact: False: two squeezers between beamsplitters, cut one by one as Strawberry Fields does
            it; True: the elements of the infinite operator, cut once.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Returns:
        An `Operator` on two modes.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> gate = fj.gates.controlled_x(1.0, cutoff=3, exact=True).to_dense()
        >>> print(np.asarray(gate[:, :, 0, 0]).round(2) + 0)
        [[ 0.89  0.    0.13]
         [ 0.    0.36  0.  ]
         [-0.13  0.    0.13]]

    Reference:
        D. Gottesman, A. Kitaev and J. Preskill, Phys. Rev. A 64, 012310 (2001), the SUM gate; as
        two squeezers between beamsplitters: S. L. Braunstein, Phys. Rev. A 71, 055801 (2005).
    """
    return _controlled(s, cutoff, exact, dtype, turn=False)


def controlled_z(s, *, cutoff: int | tuple[int, int], exact: bool = False, dtype=None) -> Operator:
    """Controlled Z gate ``CZ(s) = exp(i s x1 x2 / hbar)``: adds s times each position to the other
    momentum.

    It does not depend on hbar.

    Args:
        s: factor, a real scalar.
        cutoff: photon numbers below it are kept; one for both modes or one for each.
        exact: False: two squeezers between beamsplitters, cut one by one as Strawberry Fields does
            it; True: the elements of the infinite operator, cut once.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Returns:
        An `Operator` on two modes.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> gate = fj.gates.controlled_z(1.0, cutoff=2, exact=True).to_dense()
        >>> print(np.asarray(gate[:, :, 0, 0]).round(2) + 0)
        [[0.89+0.j   0.  +0.j  ]
         [0.  +0.j   0.  +0.36j]]

    Reference:
        M. Gu et al., Phys. Rev. A 79, 062318 (2009); as two squeezers between beamsplitters: S. L.
        Braunstein, Phys. Rev. A 71, 055801 (2005).
    """
    return _controlled(s, cutoff, exact, dtype, turn=True)


def _controlled(s, cutoff, exact, dtype, turn) -> Operator:
    """CX, or CZ = R2(pi/2) CX R2(-pi/2) if ``turn``."""
    sizes = cutoffs_of(cutoff, 2)
    if exact:
        # Beamsplitters conserve the total photon number, and neither the inputs nor the outputs
        # that are kept have more photons than this.
        room = sum(sizes) - 1
        return Padded(_controlled(s, (room, room), False, dtype, turn), sizes)
    half = jnp.asarray(s, real_dtype(dtype)) / 2
    squeezer = real_core(jnp.arcsinh(half), max(sizes))
    opposite = squeezer.T  # S(-r) is the inverse of S(r), which is real
    first, second = opposite, opposite if turn else squeezer
    enter, leave = (
        turned(
            beamsplitter_core(jnp.arctan(half) / 2, sizes, dtype, steps=steps),
            0.0,
            1,
            dtype,
            steps=64 if turn else 0,
        )
        for steps in (-16, 16)
    )
    return product(
        (enter, (0, 1)),
        (Matrix(first[: sizes[0], : sizes[0]]), (0,)),
        (Matrix(second[: sizes[1], : sizes[1]]), (1,)),
        (leave, (0, 1)),
        cutoffs=sizes,
    )


SPECS = (
    Spec("controlled_x", ("s",), 2, controlled_x, options={"exact": False}),
    Spec("controlled_z", ("s",), 2, controlled_z, options={"exact": False}),
)
