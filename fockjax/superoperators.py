"""Channels on a few modes, stored by their structure.

A channel takes a density matrix to sum_j K_j rho K_j^dagger. `fockjax.channels` makes channels;
here they are applied to density matrices (`Channel.apply`) and, one random branch at a time, to
kets (`Channel.unravel`).

Density matrices are arrays with an axis for each row index and each column index. A channel that
commutes with rotations of its mode conserves the difference between the row and the column photon
number. So on these two axes it is an operator of `fockjax.operators`: `Sectors` of D^3 numbers for
`Jumps` (loss, amplification), a `Diagonal` for `RandomRotation` (dephasing). `Kraus` is any other
channel, and a `Composition` several, one after the other.

Channels are pytrees of one sample; batch them with `jax.vmap`.
"""

import abc
from dataclasses import dataclass, field
from string import ascii_letters

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fockjax._linear import contract, inexact, skew
from fockjax._numerics import ratio, safe_sqrt
from fockjax._phases import phase_factor
from fockjax._random import draw_index, score_weight
from fockjax._sharded import vary, varying
from fockjax.layout import Box
from fockjax.operators import Diagonal, Matrix, Sectors


class Channel(abc.ABC):
    """A completely positive map on ``len(cutoffs)`` modes, cut to the photon numbers below the
    cutoffs.
    """

    @property
    @abc.abstractmethod
    def cutoffs(self) -> tuple[int, ...]:
        """The cutoff of each mode the channel acts on."""

    @property
    @abc.abstractmethod
    def truncations(self) -> int:
        """How many times applying it may lose probability at the cutoff."""

    @abc.abstractmethod
    def apply(self, rho: jax.Array, rows: tuple[int, ...], columns: tuple[int, ...]) -> jax.Array:
        """Act on a density matrix; the shape stays.

        Args:
            rho: an array of any number of axes.
            rows: the row axis of each mode of the channel.
            columns: the column axis of each mode of the channel.

        Raises:
            ValueError: if axes are missing or repeated or not as long as the cutoffs.
        """

    @abc.abstractmethod
    def unravel(
        self, key: jax.Array, ket: jax.Array, axes: tuple[int, ...]
    ) -> tuple[jax.Array, jax.Array]:
        """One random branch of a pure state: the mean of |ket'><ket'| over keys is the channel
        applied to |ket><ket|.

        Branch j of probability p_j is K_j |ket> / sqrt(p_j), so that the squared norm of every
        branch is the trace that the channel leaves. Which branch is drawn depends on the
        parameters, and the derivative of ``ket'`` alone misses this. The weight accounts for it: it
        is 1, with the derivative of log p_j, and the mean of ``weight * f(ket')`` over keys has the
        gradient of the mean of f. A branch of probability exactly 0 is never drawn, so its
        derivative is missed: that of the first photon lost at T = 1, or first kept at T = 0.

        Args:
            key: a key of `jax.random`.
            ket: an array of any number of axes.
            axes: the axes of the modes of the channel.

        Returns:
            ``ket'``, of the ket's shape, and the weight, a real scalar.

        Reference:
            K. Molmer, Y. Castin and J. Dalibard, J. Opt. Soc. Am. B 10, 524 (1993); the weight is
            the score-function estimator.
        """


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Jumps(Channel):
    """A channel on one mode whose Kraus operators each change the photon number by a fixed amount:
    K_d |n> = sqrt(probabilities[n + d, n]) |n + d>.

    Attributes:
        superoperator: the operator on the row and the column axis of the mode.
        probabilities: array (D, D); element [m, n] is the probability that n photons become m. It
            vanishes either for all m > n or for all m < n.
        losing: whether the channel takes photons beyond the cutoff.
    """

    superoperator: Sectors
    probabilities: jax.Array
    losing: bool = field(metadata={"static": True})

    @property
    def cutoffs(self) -> tuple[int, ...]:
        return self.superoperator.sizes[:1]

    @property
    def truncations(self) -> int:
        return int(self.losing)

    def apply(self, rho, rows, columns):
        return self.superoperator.apply(rho, (*rows, *columns))

    def unravel(self, key, ket, axes):
        photons = Box(ket.shape).probabilities(ket, axes)
        m, n = np.indices(self.probabilities.shape)
        # The skew makes the change of the photon number, mod D, an axis.
        joint = contract(self.probabilities, photons, "mn,n->mn")
        each = jnp.sum(skew(joint, column=1, row=0, sign=-1), axis=1)
        drawn = draw_index(key, each)
        scale, weight = _branch(each[drawn], jnp.sum(each))
        elements = scale * safe_sqrt(self.probabilities)
        jump = jnp.where((m - n) % len(n) == drawn, elements, 0)
        return Matrix(jump).apply(ket, axes), weight


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class RandomRotation(Channel):
    """A rotation of one mode by a random angle, which is normally distributed around 0.

    The branches are a continuum of angles. `unravel` draws a standard normal number and scales it
    by the deviation. So the ket itself has the whole derivative, and the weight has derivative 0.

    Attributes:
        deviation: the standard deviation in radians, a real scalar.
        size: the cutoff.
    """

    deviation: jax.Array
    size: int = field(metadata={"static": True})

    @property
    def cutoffs(self) -> tuple[int, ...]:
        return (self.size,)

    @property
    def truncations(self) -> int:
        return 0

    def apply(self, rho, rows, columns):
        m, n = np.indices((self.size, self.size))
        halves = ((m - n) ** 2 / 2).astype(self.deviation.dtype)
        values = jnp.exp(-halves * self.deviation**2)
        return Diagonal(values).apply(rho, (*rows, *columns))

    def unravel(self, key, ket, axes):
        angle = self.deviation * jax.random.normal(key, (), self.deviation.dtype)
        values = phase_factor(angle, np.arange(self.size))
        return Diagonal(values).apply(ket, axes), jnp.ones_like(angle)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Kraus(Channel):
    """A channel given by its Kraus operators.

    Attributes:
        elements: array of shape ``(J, *cutoffs, *cutoffs)``, output photon numbers first.
    """

    elements: jax.Array

    @property
    def cutoffs(self) -> tuple[int, ...]:
        return self.elements.shape[1 : 1 + self.elements.ndim // 2]

    @property
    def truncations(self) -> int:
        return 1

    def apply(self, rho, rows, columns):
        @jax.checkpoint  # so that the backward pass does not keep the K_j rho either
        def add(total, element):
            half = Matrix(element).apply(rho, rows)
            return total + Matrix(element.conj()).apply(half, columns), None

        rho = inexact(rho)
        total = jnp.zeros(rho.shape, np.promote_types(rho.dtype, self.elements.dtype))
        return lax.scan(add, vary(total, varying((rho, self.elements))), self.elements)[0]

    def unravel(self, key, ket, axes):
        size = int(np.prod(self.cutoffs))
        elements = self.elements.reshape(-1, size, size)
        effects = contract(elements.conj(), elements, "jab,jac->jbc")  # K_j^dagger K_j
        reduced = Box(ket.shape).reduced(ket, axes).reshape(size, size)
        # Rounding may take a probability of 0 below 0.
        each = jnp.maximum(contract(effects, reduced, "jbc,cb->j", real=True), 0)
        ket = Matrix(self.elements[draw_index(key, each)]).apply(ket, axes)
        # From the norm itself: for a rare branch ``each`` has few correct digits.
        scale, weight = _branch(Box(ket.shape).norm_squared(ket), jnp.sum(each))
        labels = ascii_letters[: ket.ndim]
        return contract(scale, ket, f",{labels}->{labels}"), weight


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Composition(Channel):
    """Several channels on the same modes, the first acting first.

    Attributes:
        channels: at least one.
    """

    channels: tuple[Channel, ...]

    @property
    def cutoffs(self) -> tuple[int, ...]:
        return self.channels[0].cutoffs

    @property
    def truncations(self) -> int:
        return sum(channel.truncations for channel in self.channels)

    def apply(self, rho, rows, columns):
        for channel in self.channels:
            rho = channel.apply(rho, rows, columns)
        return rho

    def unravel(self, key, ket, axes):
        weight = jnp.ones((), jnp.finfo(ket.dtype).dtype)
        for channel, own in zip(
            self.channels, jax.random.split(key, len(self.channels)), strict=True
        ):
            ket, factor = channel.unravel(own, ket, axes)
            weight = weight * factor
        return ket, weight


def _branch(own: jax.Array, total: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The factor that scales a branch from squared norm ``own`` to ``total``, and its weight.

    A ket of norm 0 has no branches: it stays 0, with weight 1. NaN stays NaN.
    """
    return safe_sqrt(ratio(total, own)), score_weight(ratio(own, total))
