"""Two-mode squeezing S2(r, phi) = exp(r (e^{i phi} a1^dagger a2^dagger - e^{-i phi} a1 a2))."""

from functools import lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np

from fockjax._given import cutoffs_of
from fockjax._linear import skew
from fockjax._numerics import real_dtype
from fockjax._spec import Spec
from fockjax.gates._cores import turned
from fockjax.gates.beamsplitter import real_blocks as beamsplitter_blocks
from fockjax.operators import Operator, Sectors


def real_blocks(r, cutoffs):
    """The sectors of n1 - n2 of S2(r, 0), packed as `Sectors` packs them: real (large, small,
    small) of r's dtype.

    A photon of mode 2 that enters corresponds to one that leaves a beamsplitter:

        <m1, m2| S2(r, 0) |n1, n2> = sech r <m1, n2| BS(-gd r, 0) |n1, m2>,  gd r = 2 atan tanh(r/2)

    (where the sign (-1)^{m1 - n1} is in that of the angle). S2 is symmetric in the modes, so let
    mode 1 have the smaller cutoff. Its photon numbers are a (out) and c (in), those of mode 2 are
    r + a and r + c (mod large), and the beamsplitter's block is that of a + n2 = r + a + c.
    """
    r = jnp.asarray(r)
    small, large = min(cutoffs), max(cutoffs)
    steps, rest = _gudermannian(r)
    blocks = beamsplitter_blocks(-rest, (small, large), -steps)
    for column in (1, 2):
        blocks = skew(blocks, column=column, row=0, sign=-1)
    row, a, c = np.ogrid[:large, :small, :small]
    same = (row + a < large) == (row + c < large)  # the sectors r and r - large do not mix
    return jnp.where(same, blocks / jnp.cosh(r), 0)


_TOP = 31  # steps of pi/64, the last below a quarter turn


def _gudermannian(r):
    """The Gudermannian gd r as a whole number of steps of pi/64, and the rest.

    Rounded to one float32 number near 1 the angle would be off by 3e-8, and the elements by 200
    times that at cutoff 100. With r = r1 + u and gd r1 = t from a table,

        gd r = t + 2 atan(cos t tanh(u/2) / (1 + sin t tanh(u/2))).
    """
    steps = jnp.round(jnp.arctan(jnp.sinh(r)) * (64 / np.pi))
    steps = jnp.clip(steps, -_TOP, _TOP).astype(jnp.int32)
    coarse, fine, sine, cosine = jnp.asarray(_table(r.dtype))[:, steps + _TOP]
    tanh = jnp.tanh(((r - coarse) - fine) / 2)
    return steps, 2 * jnp.arctan(cosine * tanh / (1 + sine * tanh))


@lru_cache
def _table(dtype):
    """r1 in two parts, sin t, cos t."""
    t = np.arange(-_TOP, _TOP + 1) * (np.pi / 64)
    r = np.arcsinh(np.tan(t))
    coarse = r.astype(dtype)
    return np.array([coarse, r - coarse, np.sin(t), np.cos(t)], dtype)


def two_mode_squeezing(r, phi: Any = 0.0, *, cutoff: int | tuple[int, int], dtype=None) -> Operator:
    """Two-mode squeezing ``S2(r, phi) = exp(r (e^{i phi} a1^dagger a2^dagger - e^{-i phi} a1
    a2))``.

    It takes the vacuum to ``sech r sum_n (e^{i phi} tanh r)^n |n, n>``. Its elements are those of
    the infinite operator, cut to the photon numbers below the cutoff, stored by sectors of the
    difference of the photon numbers.

    Args:
        r: strength, a real scalar; |r| <= 3 is tested.
        phi: phase in radians.
        cutoff: photon numbers below it are kept; one for both modes or one for each.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Returns:
        An `Operator` on two modes; real if ``phi`` is the number 0.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> gate = fj.gates.two_mode_squeezing(0.5, cutoff=4).to_dense()
        >>> print(np.diag(gate[:, :, 0, 0]).round(3))
        [0.887 0.41  0.189 0.088]

    Reference:
        The identity with the beamsplitter is the analytic continuation from SU(1,1) to SU(2); see
        docs/kernels.md.
    """
    sizes = cutoffs_of(cutoff, 2)
    core = Sectors(real_blocks(jnp.asarray(r, real_dtype(dtype)), sizes), sizes, charge=-1)
    return turned(core, phi, 0, dtype)


SPEC = Spec("two_mode_squeezing", ("r", "phi"), 2, two_mode_squeezing, defaults={"phi": 0.0})
