"""Mach-Zehnder interferometers, in both forms that Strawberry Fields has."""

import jax.numpy as jnp
import numpy as np

from fockjax._given import cutoffs_of
from fockjax._numerics import real_dtype
from fockjax._phases import phase_factor
from fockjax._spec import Spec
from fockjax.gates._cores import turned
from fockjax.gates.beamsplitter import core as beamsplitter_core
from fockjax.gates.phases import rotation_diagonal
from fockjax.operators import Diagonal, Operator, expand, join, product


def mach_zehnder(phi_in, phi_ex, *, cutoff: int | tuple[int, int], dtype=None) -> Operator:
    """Mach-Zehnder interferometer ``MZ = BS(pi/4, pi/2) R1(phi_in) BS(pi/4, pi/2) R1(phi_ex)``.

    The rotations act on the first mode. The elements are those of the infinite operator, as
    Strawberry Fields has them, stored by sectors of the total photon number.

    Args:
        phi_in: angle in radians of the rotation between the beamsplitters; ``sin(phi_in / 2)`` is
            the transmission amplitude, up to a phase.
        phi_ex: angle in radians of the rotation before them.
        cutoff: photon numbers below it are kept; one for both modes or one for each.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Returns:
        An `Operator` on two modes.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> gate = fj.gates.mach_zehnder(np.pi, 0.0, cutoff=2).to_dense()
        >>> print(gate[:, :, 1, 0].round(3).real + 0)
        [[ 0.  0.]
         [-1.  0.]]

    Reference:
        W. R. Clements et al., Optica 3, 1460 (2016); the phases are those of
        ``strawberryfields.ops.MZgate``.
    """
    sizes = cutoffs_of(cutoff, 2)
    before = Diagonal(rotation_diagonal(jnp.asarray(phi_ex, real_dtype(dtype)), sizes[0]))
    half = jnp.asarray(phi_in, real_dtype(dtype)) / 2
    return _interference(half, half, 64, sizes, dtype) @ expand(before, 0, sizes)


def symmetric_mach_zehnder(
    phi_in, phi_ex, *, cutoff: int | tuple[int, int], exact: bool = False, dtype=None
) -> Operator:
    """Symmetric Mach-Zehnder interferometer ``BS(pi/4, pi/2) R1(phi_in - pi/2) R2(phi_ex - pi/2)
    BS(pi/4, pi/2)``.

    Args:
        phi_in: angle in radians of the rotation of mode 1, plus a quarter turn.
        phi_ex: the same for mode 2.
        cutoff: photon numbers below it are kept; one for both modes or one for each.
        exact: False: the two beamsplitters are cut one by one, as Strawberry Fields does it; True:
            the elements of the infinite operator.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Returns:
        An `Operator` on two modes.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> gate = fj.gates.symmetric_mach_zehnder(np.pi / 2, np.pi / 2, cutoff=2).to_dense()
        >>> print(gate[:, :, 1, 0].round(3).imag + 0)
        [[0. 1.]
         [0. 0.]]

    Reference:
        B. A. Bell and I. A. Walmsley, APL Photonics 6, 070804 (2021).
    """
    sizes = cutoffs_of(cutoff, 2)
    first, second = (jnp.asarray(phi, real_dtype(dtype)) for phi in (phi_in, phi_ex))
    if exact:
        return _interference((first - second) / 2, (first + second) / 2, 0, sizes, dtype)
    rotations = [
        Diagonal(phase_factor(phi, np.arange(size), -64))
        for phi, size in zip((first, second), sizes, strict=True)
    ]
    mixer = turned(beamsplitter_core(0.0, sizes, dtype, steps=16), 0.0, 1, dtype, steps=64)
    return product((mixer, (0, 1)), (join(*rotations), (0, 1)), (mixer, (0, 1)), cutoffs=sizes)


def _interference(half, phase, steps, sizes, dtype) -> Operator:
    """BS(pi/4, pi/2) R1(half) R2(-half) BS(pi/4, pi/2), with a factor -i e^{i (phase + steps 2 pi /
    256)} for each photon.

    A single photon is transformed by i [[sin, cos], [cos, -sin]] of ``half``, which is
    i (-1)^{n2} BS(half - pi/2, 0).
    """
    n1, n2 = np.ogrid[: sizes[0], : sizes[1]]
    turns = phase_factor(phase, n1 + n2, steps)
    sign = (1 - 2 * (n2 % 2)).astype(turns.dtype)
    return Diagonal(turns * sign) @ beamsplitter_core(half, sizes, dtype, steps=-32)


SPECS = (
    Spec("mach_zehnder", ("phi_in", "phi_ex"), 2, mach_zehnder),
    Spec(
        "symmetric_mach_zehnder",
        ("phi_in", "phi_ex"),
        2,
        symmetric_mach_zehnder,
        options={"exact": False},
    ),
)
