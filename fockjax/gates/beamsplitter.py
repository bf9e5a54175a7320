"""Beamsplitter BS(theta, phi) = exp(theta (e^{i phi} a1 a2^dagger - e^{-i phi} a1^dagger a2))."""

from dataclasses import dataclass, field
from functools import lru_cache
from string import ascii_letters
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fockjax._given import cutoffs_of
from fockjax._linear import contract, skew
from fockjax._numerics import HIGHEST, is_number, real_dtype
from fockjax._phases import cos_sin
from fockjax._spec import Spec
from fockjax.gates._cores import turned
from fockjax.gates.phases import rotation
from fockjax.operators import FOLD, Operator, Sectors, product, row_mode

TABLE = 20  # up to this cutoff the elements are made from a table, which then takes 2.5 MB


def real_blocks(theta, cutoffs, steps: int | jax.Array = 0):
    """The photon-number sectors of BS(theta, 0), packed into a real array (large, small, small) of
    theta's dtype. ``steps`` is an integer: steps * pi/64 is added to theta without rounding.

    Let small and large be the two cutoffs, c the photon number of the mode with the smaller cutoff
    (mode 1 if they are equal) and r = (n1 + n2) mod large. Then

        blocks[r, a, c] = <a, r - a| BS(theta, 0) |c, r - c>      (r - a, r - c mod large)

    where the two totals agree, else 0. So the sectors N = r (a, c <= r) and N = r + large (a, c >
    r) fill one block. BS(theta, phi) = e^{i phi n2} BS(theta, 0) e^{-i phi n2}.

    In the sector of N photons BS(pi/4, 0) = k_N is real orthogonal. Up to phases its columns are
    eigenvectors of a1 a2^dagger - a1^dagger a2, and with w = 2 j - N

        <p, N-p| BS(theta, 0) |m, N-m> = sum_j k_N[p, j] k_N[m, j] cos(w theta + (p - m) pi/2),

    where p - m even leaves the cosine of w theta and p - m odd the sine. (This is Wigner's d from
    d(pi/2): Risbo, J. Geodesy 70, 383 (1996).)
    """
    theta = jnp.asarray(theta)
    if cutoffs[0] > cutoffs[1]:  # seen from mode 2 the beamsplitter turns the other way
        theta, steps = -theta, -steps
    small, large = min(cutoffs), max(cutoffs)
    if large <= TABLE:
        cosine, sine, flips = _waves(theta, np.arange(small + large - 1), steps)
        rest = _by_table(cosine, sine, small, large)
    else:
        vectors, frequencies = _eigenvectors(small, large)
        cosine, sine, flips = _waves(theta, frequencies, steps)
        rest = _by_sums(cosine, sine, vectors)
        # Far from the diagonal elements that are 0 to 20 digits come out as 1e-8 (float32), by
        # rounding; the factor (a - c)^2 of two derivatives in phi would make that visible.
        angle = theta + jnp.asarray(steps, theta.dtype) * (np.pi / 64)
        away = jnp.abs(angle - jnp.round(angle / np.pi) * np.pi)
        rest = jnp.where(away < _reach(small, large).astype(theta.dtype), 0, rest)
    sign = _signs(flips, small, large).astype(theta.dtype)
    return rest + sign[:, :, None] * np.eye(small, dtype=theta.dtype)[None]


def _waves(theta, frequencies, steps):
    """The cosines and sines in the sums of `real_blocks`, and whether the nearest multiple of pi to
    theta is odd.

    At theta = j pi the gate is (-1)^{j N}. This is subtracted from the cosines, so that the rest is
    small near these angles and exactly 0 at them: cos x = 1 - 2 sin^2(x/2) = -1 + 2 cos^2(x/2).
    """
    c, s = cos_sin(theta / 2, frequencies, steps)
    angle = theta + jnp.asarray(steps, theta.dtype) * (np.pi / 64)
    flips = jnp.round(angle / np.pi) % 2 == 1
    cosine = jnp.where(flips & (frequencies % 2 == 1), 2 * c * c, -2 * s * s)
    return cosine, 2 * s * c, flips


def _signs(flips, small, large):
    """(-1)^{j N} as [r, a]."""
    r, a = np.ogrid[:large, :small]
    odd_total = np.where(a <= r, r, r + large) % 2 == 1
    return jnp.where(flips & odd_total, -1, 1)


def _by_table(cosine, sine, small, large):
    """The sums of `real_blocks` as one matrix product with all their coefficients, 4 D^4 numbers.
    So no cosine or sine is computed twice, and a batch of gates comes out with the batch last, as
    it is used.
    """
    waves = jnp.concatenate([cosine, sine])
    # The barrier keeps XLA from folding products of these constants while it compiles.
    table = lax.optimization_barrier(jnp.asarray(_table(small, large).astype(waves.dtype)))
    elements = jnp.einsum("ew,w->e", table, waves, precision=HIGHEST)
    return elements.reshape(large, small, small)


@lru_cache(maxsize=32)
def _table(small, large):
    """For each element of the blocks, the coefficients of all cosines, then of all sines."""
    vectors, frequencies = _eigenvectors(small, large)
    place = frequencies[:, :, None] == np.arange(small + large - 1)
    both = np.einsum("raj,rcj,rjw->racw", vectors, vectors, place, optimize=True)
    a, c = np.ogrid[:small, :small]
    even, sign = ((a - c) % 2 == 0)[:, :, None], (1 - 2 * (a % 2))[:, :, None]
    both = np.concatenate([np.where(even, both, 0), np.where(even, 0, sign * both)], -1)
    return both.reshape(large * small * small, -1)


def _by_sums(cosine, sine, vectors):
    """The sums of `real_blocks` from the eigenvectors, 3/2 D^3 numbers: for large cutoffs."""
    vectors = lax.optimization_barrier(jnp.asarray(vectors.astype(cosine.dtype)))
    cosine, sine = cosine[:, None], sine[:, None]
    # One contraction over two copies of w: the first gives the even columns, the second the odd
    # ones, and each is zero for the others. (Two contractions would have to be interleaved, which
    # costs more.)
    even = (np.arange(vectors.shape[1]) % 2 == 0)[None, :, None]
    waves = jnp.where(
        even, jnp.concatenate([cosine, sine], -1), jnp.concatenate([-sine, cosine], -1)
    )
    rows = jnp.concatenate([vectors, vectors], -1) * waves
    columns = jnp.concatenate([jnp.where(even, vectors, 0), jnp.where(even, 0, vectors)], -1)
    return jnp.einsum("raw,rcw->rac", rows, columns, precision=HIGHEST)


@lru_cache(maxsize=32)
def _eigenvectors(small, large):
    """The coefficients of `real_blocks`, float64, and the frequencies w they belong to.

    vectors[r, a, :] is row a of k_N, for the one N of block r that a belongs to. It is folded to
    w >= 0 (j and N - j agree up to a sign) and multiplied by the sign that leaves plain cosines and
    sines. The columns of N = r come first, then those of N = r + large, so that the two never meet.
    """
    columns = max(_width(r, small, large) for r in range(large))
    vectors = np.zeros((large, small, columns))
    frequencies = np.zeros((large, columns), np.int32)
    for total, k in enumerate(quarter_turns(small + large - 1)):
        block = total % large
        low, high = max(0, total - large + 1), min(total, small - 1) + 1
        fold = k[low:high, (total + 1) // 2 :]  # w = 2 j - N >= 0
        w = 2 * np.arange((total + 1) // 2, total + 1) - total
        start = 0 if total < large else block // 2 + 1
        place = slice(start, start + len(w))
        vectors[block, low:high, place] = fold * np.where(w == 0, 1, np.sqrt(2))
        frequencies[block, place] = w
    vectors *= (1 - 2 * (np.arange(small) // 2 % 2))[:, None]
    return vectors, frequencies


@lru_cache(maxsize=32)
def _reach(small, large):
    """The angle below which <a| BS(theta, 0) |c> and its first four derivatives vanish.

    The generator moves one photon at a time and its norm is N. So with k = |a - c| the fourth
    derivative is at most about N^4 (N theta)^(k - 4) / (k - 4)!, which is below N^4 1e-20 here. The
    result is 0 for k < 20.
    """
    r, a, c = np.ogrid[:large, :small, :small]
    total = np.maximum(1, np.where(a <= r, r, r + large))
    k = np.maximum(20, abs(a - c)) - 4
    log_factorial = np.cumsum(np.log(np.maximum(1, np.arange(max(small, 20)))))[k]
    return np.where(abs(a - c) < 20, 0, np.exp((log_factorial + np.log(1e-20)) / k) / total)


def _width(r, small, large):
    both = r + large <= small + large - 2
    return r // 2 + 1 + ((r + large) // 2 + 1 if both else 0)


def quarter_turns(count):
    """k_N, the real matrix of BS(pi/4, 0) in the sector N, for N = 0..count-1.

    k_N is the projection of k_{N-1} (x) k_1, which adds one photon, averaged over the four ways to
    do so (Risbo 1996). This is stable at any N. One Newton-Schulz step removes the drift of the
    norm.
    """
    k = np.ones((1, 1))
    yield k
    for total in range(1, count):
        up = np.sqrt(np.arange(1, total + 1))  # sqrt(p) at rows or columns 1..N
        down = up[::-1]  # sqrt(N - p) at 0..N-1
        grown = np.zeros((total + 1, total + 1))
        grown[1:, 1:] += up[:, None] * up * k
        grown[1:, :-1] -= up[:, None] * down * k
        grown[:-1, 1:] += down[:, None] * up * k
        grown[:-1, :-1] += down[:, None] * down * k
        k = grown * (np.sqrt(0.5) / total)
        k = k @ (3 * np.eye(total + 1) - k.T @ k) / 2
        yield k


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Spectral(Operator):
    """BS(theta, 0) by the eigenvectors of its sectors, which do not depend on theta: a constant
    matrix to the eigenvectors, a rotation of each, and back.

    It is for a theta that differs from sample to sample, and for a ket of few other modes. Making
    the elements of the gate takes D^4 products, which then costs more than applying them.

    Attributes:
        theta: the angle in radians, a real scalar.
        sizes: the cutoffs.
    """

    theta: jax.Array
    sizes: tuple[int, ...] = field(metadata={"static": True})

    @property
    def cutoffs(self) -> tuple[int, ...]:
        return self.sizes

    def suited(self, others: float) -> "Spectral | Sectors":
        if 4 * others <= max(self.sizes):
            return self
        return core(self.theta, self.sizes, np.result_type(self.theta.dtype, np.complex64))

    def _apply(self, ket: jax.Array, axes: tuple[int, ...]) -> jax.Array:
        place = row_mode(self.sizes)
        row, column = axes[place], axes[1 - place]
        small, large = self.sizes[1 - place], self.sizes[place]
        vectors, frequencies = _eigenvectors(small, large)
        cosine, sine, flips = _waves(self.theta if place else -self.theta, frequencies, 0)
        # The sums that `_by_sums` multiplies out. Axis Y tells the even columns from the odd ones.
        even = np.arange(small) % 2 == 0
        halves = np.stack([even, ~even], 1)[None, :, :, None] * vectors[:, :, None]
        halves = lax.optimization_barrier(jnp.asarray(halves.astype(self.theta.dtype)))
        signs = _signs(flips, small, large).astype(self.theta.dtype)

        labels = ascii_letters[: ket.ndim]
        r, c = labels[row], labels[column]
        waves = labels.replace(c, "Z")
        ket = skew(ket, column=column, row=row, sign=1)
        parts = contract(halves, ket, f"{r}{c}YZ,{labels}->Y{waves}")
        turned = contract(cosine, parts, f"{r}Z,Y{waves}->Y{waves}")
        across = jnp.stack([sine, -sine])
        turned += contract(across, parts[::-1], f"Y{r}Z,Y{waves}->Y{waves}")
        moved = contract(halves, turned, f"{r}{c}YZ,Y{waves}->{labels}")
        moved += contract(signs, ket, f"{r}{c},{labels}->{labels}")
        return skew(moved, column=column, row=row, sign=-1)

    def adjoint(self) -> "Spectral":
        return Spectral(-self.theta, self.sizes)


def core(theta, cutoff, dtype=None, steps=0) -> Sectors:
    """BS(theta + steps pi/64, 0), real."""
    sizes = cutoffs_of(cutoff, 2)
    return Sectors(real_blocks(jnp.asarray(theta, real_dtype(dtype)), sizes, steps), sizes)


def beamsplitter(
    theta: Any = np.pi / 4, phi: Any = 0.0, *, cutoff: int | tuple[int, int], dtype=None
) -> Operator:
    """Beamsplitter ``BS(theta, phi) = exp(theta (e^{i phi} a1 a2^dagger - e^{-i phi} a1^dagger
    a2))``.

    The transmission amplitude is ``cos theta``, the reflection amplitude ``e^{i phi} sin theta``.
    Stored by sectors of the total photon number.

    Args:
        theta: angle in radians, a real scalar; any value.
        phi: phase in radians.
        cutoff: photon numbers below it are kept; one for both modes or one for each.
        dtype: complex64 or complex128; by default complex64, or complex128 where x64 is on.

    Returns:
        An `Operator` on two modes; real if ``phi`` is the number 0.

    Example:
        >>> import fockjax as fj
        >>> hong_ou_mandel = fj.gates.beamsplitter(cutoff=3).to_dense()[..., 1, 1]
        >>> print(abs(hong_ou_mandel).round(3) + 0)
        [[0.    0.    0.707]
         [0.    0.    0.   ]
         [0.707 0.    0.   ]]

    Reference:
        Total-photon-number sectors as Wigner's d matrices: T. Risbo, J. Geodesy 70, 383 (1996).
    """
    return turned(core(theta, cutoff, dtype), phi, 1, dtype)


def _of_sample(theta, phi, *, cutoff, dtype=None) -> Operator:
    """A beamsplitter whose angle differs from sample to sample."""
    sizes = cutoffs_of(cutoff, 2)
    if max(sizes) <= FOLD:
        return beamsplitter(theta, phi, cutoff=cutoff, dtype=dtype)
    gate = Spectral(jnp.asarray(theta, real_dtype(dtype)), sizes)
    if is_number(phi, 0):
        return gate
    turn = rotation(phi, cutoff=sizes[1], dtype=dtype)
    return product((turn.adjoint(), (1,)), (gate, (0, 1)), (turn, (1,)), cutoffs=sizes)


SPEC = Spec(
    "beamsplitter",
    ("theta", "phi"),
    2,
    beamsplitter,
    defaults={"theta": float(np.pi / 4), "phi": 0.0},
    of_sample=("theta", _of_sample),
)
