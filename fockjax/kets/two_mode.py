"""Two-mode squeezed vacuum."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fockjax._given import cutoffs_of
from fockjax._linear import contract
from fockjax._numerics import geometric, real_dtype
from fockjax._spec import Spec
from fockjax.gates.squeezing import sech
from fockjax.kets.phases import turned


def two_mode_squeezed(r, phi: Any = 0.0, *, cutoff: int | tuple[int, int], dtype=None) -> jax.Array:
    """Two-mode squeezed vacuum ``S2(r, phi)|0, 0>``, shape ``cutoff``.

    ``S2(r, phi) = exp(r (e^{i phi} a1^dagger a2^dagger - h.c.))``, so that the amplitudes are
    ``sech r (e^{i phi} tanh r)^n`` at ``|n, n>``; what lies above the cutoffs is lost. Global
    phase: the vacuum amplitude is positive, as in Strawberry Fields.

    Args:
        r: squeezing parameter, a real scalar.
        phi: phase in radians.
        cutoff: photon numbers below it are kept; one for both modes or one for each.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> print(np.asarray(fj.kets.two_mode_squeezed(0.5, cutoff=(2, 3))).real.round(3))
        [[0.887 0.    0.   ]
         [0.    0.41  0.   ]]

    Reference:
        C. M. Caves and B. L. Schumaker, Phys. Rev. A 31, 3068 (1985).
    """
    r = jnp.asarray(r, real_dtype(dtype))
    sizes = cutoffs_of(cutoff, 2)
    twins = turned(geometric(sech(r)[0], jnp.tanh(r), np.ones(min(sizes) - 1)), phi)
    one, two = (np.eye(min(sizes), size, dtype=r.dtype) for size in sizes)
    return contract(contract(one, twins, "kn,k->kn"), two, "kn,km->nm")


SPEC = Spec("two_mode_squeezed", ("r", "phi"), 2, two_mode_squeezed, defaults={"phi": 0.0})
