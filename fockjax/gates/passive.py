"""Passive transformations W(U) = exp(i sum_jk H_jk a_j^dagger a_k), U = exp(i H), of any number of
modes.

W(U) turns a_k^dagger into sum_j U_jk a_j^dagger. Its elements between states of N photons are
permanents of U.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fockjax._given import cutoffs_of
from fockjax._numerics import HIGHEST, real_dtype, resized
from fockjax._sharded import vary, varying
from fockjax._spec import Spec, check_shapes
from fockjax.gates.phases import rotation
from fockjax.layout import Totals, lowered
from fockjax.operators import Operator, Sectors, row_mode


@partial(jax.jit, static_argnames="cutoffs")  # else the scan compiles at each call outside jit
def sectors(U, cutoffs) -> Sectors:
    """W(U) on two or more modes: the elements of the infinite operator, cut.

    From N = sum_k a_k^dagger a_k follows for the sectors W_N of N photons

        W_N = 1/N sum_jk U_jk a_j^dagger W_{N-1} a_k,

    the projection of W_{N-1} (x) U on the symmetric states, averaged over all ways to add a photon.
    It is stable at any N, as for two modes (Risbo, J. Geodesy 70, 383 (1996)). Only lower photon
    numbers are needed, so the cut costs no accuracy. W is a polynomial in U, so it can be
    differentiated at every U and to every order.
    """
    row = row_mode(cutoffs)
    columns = [mode for mode in range(len(cutoffs)) if mode != row]
    large, small = cutoffs[row], tuple(cutoffs[mode] for mode in columns)
    axes, most = len(small), sum(cutoffs) - len(cutoffs)
    order = np.array([*columns, row])
    U = U[order][:, order]

    real = jnp.finfo(U.dtype).dtype
    # The photons of all modes but the row's, together.
    others = np.indices(small, np.int32).sum(0, dtype=np.int32)

    def raised(x, axis):
        """sqrt(c) x[c - 1] along an axis: a_j^dagger on the outputs, or a_k on the inputs."""
        x = lax.slice_in_dim(x, 0, x.shape[axis] - 1, axis=axis)
        pads = [(int(k == axis), 0, 0) for k in range(x.ndim)]
        root = np.sqrt(np.arange(x.shape[axis] + 1)).astype(U.dtype)
        x = lax.pad(x, jnp.zeros((), x.dtype), pads)
        return x * root.reshape([-1 if k == axis else 1 for k in range(x.ndim)])

    def next_sector(W, total):
        """W_N[a, c] from W_{N-1}[a, c]: the columns' photons out, then in."""
        # The root of the row mode's photon number, or 0 unless both this number and the one below
        # it are kept.
        left = total - others
        rest = jnp.sqrt(jnp.where((left >= 1) & (left < large), left, 0).astype(real))
        rest, scale = rest.astype(U.dtype), (1 / total.astype(real)).astype(U.dtype)
        inputs = rest.reshape((1,) * axes + small)
        outputs = rest.reshape(small + (1,) * axes)
        annihilated = [raised(W, axes + k) for k in range(axes)] + [W * inputs]
        mixed = jnp.einsum("jk,k...->j...", U * scale, jnp.stack(annihilated), precision=HIGHEST)
        W = sum((raised(mixed[j], j) for j in range(axes)), mixed[axes] * outputs)
        return W, W

    none = vary(jnp.zeros(small * 2, U.dtype).at[(0,) * (2 * axes)].set(1), varying(U))
    # Checkpointed: the gradient keeps the sectors, which are kept anyway, and computes what is in
    # between again.
    step = jax.checkpoint(next_sector, prevent_cse=False)
    _, more = lax.scan(step, none, jnp.arange(1, most + 1, dtype=jnp.int32))
    every = jnp.concatenate([none[None], more])
    turns = -(-(most + 1) // large)
    every = resized(every, (turns * large, *small, *small))
    # Sectors with the same N mod large share a block and do not overlap in it.
    blocks = every.reshape(turns, large, *small, *small).sum(0)
    return Sectors(blocks, tuple(cutoffs))


def totals(U, below: int) -> Totals:
    """W(U) on the states of fewer than ``below`` photons in total, by the same recurrence."""
    modes = len(U)
    blocks = [jnp.ones((1, 1), U.dtype)]
    for total in range(1, below):
        places, roots = lowered(total, modes)
        roots = roots.astype(U.dtype)
        inputs = blocks[-1][:, places] * roots[None]
        mixed = jnp.einsum("jk,akc->jac", U / total, inputs, precision=HIGHEST)
        outputs = jnp.take_along_axis(mixed, places[..., None], 1) * roots[..., None]
        blocks.append(outputs.sum(0))
    return Totals(tuple(blocks), modes)


def passive_unitary(generator) -> jax.Array:
    """``U = exp(i H)`` for the Hermitian matrix H that a real (n, n) array A stands for; complex of
    A's precision.

    ``H_jj = A_jj``, and for j < k ``H_jk = A_jk + i A_kj``: A holds the real parts above the
    diagonal, the imaginary parts below it.
    """
    upper, lower = jnp.triu(generator, 1), jnp.tril(generator, -1)
    diagonal = generator - upper - lower
    # i H, H = diagonal + upper + upper^T + i (lower^T - lower)
    iH = lax.complex(lower - lower.T, diagonal + upper + upper.T)
    return jax.scipy.linalg.expm(iH)


def passive(generator, *, cutoff: int | tuple[int, ...], dtype=None) -> Operator:
    """The interferometer ``exp(i sum_jk H_jk a_j^dagger a_k)`` of any unitary matrix ``U =
    exp(iH)``.

    It turns ``a_k^dagger`` into ``sum_j U_jk a_j^dagger``; its elements, permanents of U, are those
    of the infinite operator. Every unitary matrix has such a generator (`decompositions.generator`)
    and the gate is smooth in it everywhere, where the angles of a mesh are singular at the
    identity and at permutations.

    Args:
        generator: real array A of shape (n, n) for n modes: ``H_jj = A_jj``, and for j < k
            ``H_jk = A_jk + i A_kj`` (real parts above the diagonal, imaginary parts below).
        cutoff: photon numbers below it are kept; one for all modes or one for each.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Returns:
        An `Operator` on n modes. Memory for D^(2n - 1) numbers at equal cutoffs D; in a circuit
        under `TotalPhotons`, the square of the number of states of each total.

    Raises:
        ValueError: if ``generator`` is not square.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> A = fj.decompositions.generator(np.array([[1, 1], [-1, 1]]) / np.sqrt(2))
        >>> hong_ou_mandel = fj.gates.passive(A, cutoff=3).to_dense()[..., 1, 1]
        >>> print(abs(hong_ou_mandel).round(3) + 0)
        [[0.    0.    0.707]
         [0.    0.    0.   ]
         [0.707 0.    0.   ]]

    Reference:
        S. Scheel, Permanents in linear optical networks, arXiv:quant-ph/0406127 (2004), eq. (15).
    """
    generator = jnp.asarray(generator, real_dtype(dtype))
    if generator.ndim != 2 or generator.shape[0] != generator.shape[1]:
        raise ValueError(f"Argument `generator` must have shape (n, n), got {generator.shape}.")
    modes = len(generator)
    cutoffs = cutoffs_of(cutoff, modes)
    if modes == 1:
        return rotation(generator[0, 0], cutoff=cutoffs[0], dtype=dtype)
    return sectors(passive_unitary(generator), cutoffs)


def _check(parameters, modes, options):
    check_shapes(parameters, {"generator": (len(modes), len(modes))})


def _of_total(generator, *, cutoff: tuple[int, ...], dtype=None) -> Operator:
    if len(cutoff) == 1:
        return passive(generator, cutoff=cutoff, dtype=dtype)
    return totals(passive_unitary(jnp.asarray(generator, real_dtype(dtype))), cutoff[0])


SPEC = Spec(
    "passive",
    ("generator",),
    None,
    passive,
    arrays=("generator",),
    check=_check,
    of_total=_of_total,
)
