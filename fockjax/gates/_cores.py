"""Gates as real cores, turned by a phase."""

import jax.numpy as jnp

from fockjax._numerics import is_number, real_dtype
from fockjax.operators import FOLD, Generated, Matrix, Operator, Sectors, Turned


def turned(core: Matrix | Generated | Sectors, phi, mode: int, dtype=None, steps=0) -> Operator:
    """``e^{i phi n} core e^{-i phi n}``, n the photon number of ``mode``: a gate with a phase.
    ``steps`` is an integer: steps * 2 pi / 256 is added to phi without rounding.
    """
    if is_number(phi, 0) and steps == 0:
        return core
    gate = Turned.of(core, jnp.asarray(phi, real_dtype(dtype)), mode, steps)
    return gate.fused() if max(core.cutoffs) <= FOLD else gate


def real_matrix(build, slope, r, cutoff) -> Matrix | Generated:
    """The matrix ``build(r, cutoff)`` on one mode. A large one gets the derivative that `Generated`
    describes; for a small one automatic differentiation is faster.
    """
    if cutoff > FOLD:
        return Generated.of(build, slope, r, cutoff)
    return Matrix(build(r, cutoff))
