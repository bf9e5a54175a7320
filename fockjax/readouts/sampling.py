"""Sampling: any number of shots of a measurement of one state, which itself does not change."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fockjax import detectors
from fockjax._given import check_key, checked_integer
from fockjax._random import draw_photon_number, tails
from fockjax.detectors import Detector
from fockjax.detectors.counter import Counter
from fockjax.factors import Factor
from fockjax.readouts.factored import Factored, Modes

MEMORY = 64 * 2**20  # bytes that all shots in progress may take
TOGETHER = 2**14  # the most shots in progress at one time

Shot = Callable[[jax.Array], jax.Array]
# Takes a factor, those of its modes that are measured, and their detectors. Returns a function that
# makes one shot from a key, and the bytes that this takes.
Prepare = Callable[[Factor, tuple[int, ...], Sequence[Any]], tuple[Shot, int]]


class Sampling(Factored):
    """Shots of measurements of some modes, the others ignored.

    All are of the state divided by its trace, that is, given that nothing was lost at the cutoff.
    Shot k depends only on the key and on k. Modes that are entangled give correlated outcomes. They
    work under `jax.jit` and `jax.vmap` (``shots`` must be known before tracing). Outcomes are
    constants for automatic differentiation.

    Besides the state, its photon-number probabilities and the outcomes, they take at most `MEMORY`
    bytes, or the memory of one shot if that is more. A state that is batched by `jax.vmap` takes
    that for each sample.
    """

    def sample_photons(
        self,
        key: jax.Array,
        modes: Modes | None = None,
        shots: int = 1000,
        *,
        efficiency: Any = 1.0,
        dark_counts: Any = 0.0,
    ) -> jax.Array:
        """Photon numbers, as `fockjax.detectors.photons` finds them.

        They are drawn mode by mode, each given the numbers of the modes before. So rare numbers
        keep their relative accuracy, also in single precision, where one table of all patterns
        would lose everything below 1e-7.

        Args:
            key: a JAX random key.
            modes: one or several modes, in any order, by default all.
            shots: how many.
            efficiency: the probability that a photon is seen, from 0 to 1.
            dark_counts: mean number of dark counts in each mode, >= 0.

        Returns:
            int32 array ``(shots, len(modes))``, or ``(shots,)`` for a mode given as an integer; -1
            where the state is not finite or a parameter out of its range.

        Raises:
            ValueError: for modes that are not there, for ``shots`` below 1, for parameters known to
                be out of their range.

        Example:
            >>> import jax, fockjax as fj
            >>> state = fj.from_ket([[0, 0.6j], [0.8, 0]])
            >>> shots = state.sample_photons(jax.random.key(1), shots=1000)
            >>> print(shots.shape, shots.sum(1).min(), shots.sum(1).max())  # one photon, somewhere
            (1000, 2) 1 1
        """
        make = partial(detectors.photons, efficiency, dark_counts, dtype=self.dtype)
        return self._shots(key, modes, shots, lambda mode, cutoff: make(cutoff=cutoff), _counted)

    def sample_threshold(
        self,
        key: jax.Array,
        modes: Modes | None = None,
        shots: int = 1000,
        *,
        efficiency: Any = 1.0,
        dark_counts: Any = 0.0,
    ) -> jax.Array:
        """Clicks, 0 or 1, of `fockjax.detectors.threshold`; all else as in `sample_photons`.

        Example:
            >>> import jax, fockjax as fj
            >>> state = fj.from_ket([0.6, 0, 0.8])
            >>> clicks = state.sample_threshold(jax.random.key(2), 0, shots=100_000)
            >>> print(clicks.mean().round(2))
            0.64
        """
        make = partial(detectors.threshold, efficiency, dark_counts, dtype=self.dtype)
        return self._shots(key, modes, shots, lambda mode, cutoff: make(cutoff=cutoff), _counted)

    def sample_homodyne(
        self,
        key: jax.Array,
        modes: Modes | None = None,
        shots: int = 1000,
        *,
        angle: Any = 0.0,
        hbar: float | None = None,
    ) -> jax.Array:
        """Quadratures ``x cos(angle) + p sin(angle)``, as `fockjax.detectors.homodyne` finds them.

        Several modes of one factor are measured one after the other, each on the state that the
        outcomes before it leave.

        Args:
            key: a JAX random key.
            modes: one or several modes, in any order, by default all.
            shots: how many.
            angle: in radians; one for all modes, or one for each.
            hbar: the convention for the size of a quadrature, by default that of the state.

        Returns:
            Real array ``(shots, len(modes))``, or ``(shots,)`` for a mode given as an integer; NaN
            where the state is not finite.

        Raises:
            ValueError: for modes that are not there, for ``shots`` below 1, for angles that are not
                one for each mode.

        Example:
            >>> import jax, fockjax as fj
            >>> one_photon = fj.from_ket([0, 1])
            >>> x = one_photon.sample_homodyne(jax.random.key(1), 0, shots=100_000)
            >>> print(x.var().round(1))  # three times that of the vacuum, hbar/2
            3.0
        """
        listed, hbar = self._checked_modes(modes, 1), self._checked_hbar(hbar)
        angles = lax.stop_gradient(jnp.asarray(angle, self._real))
        if angles.shape not in ((), (len(listed),)):
            raise ValueError(
                f"Argument `angle` must be a number or one for each of {len(listed)} modes, got "
                f"shape {angles.shape}."
            )
        angles = dict(zip(listed, jnp.broadcast_to(angles, len(listed)), strict=True))

        def make(mode, cutoff):
            return detectors.homodyne(angles[mode], cutoff=cutoff, hbar=hbar, dtype=self.dtype)

        return self._shots(key, modes, shots, make, _measured)

    def sample_heterodyne(
        self, key: jax.Array, modes: Modes | None = None, shots: int = 1000
    ) -> jax.Array:
        """Complex amplitudes, as `fockjax.detectors.heterodyne` finds them; all else as in
        `sample_homodyne`.

        Example:
            >>> import jax, fockjax as fj
            >>> one_photon = fj.from_ket([0, 1])
            >>> alpha = one_photon.sample_heterodyne(jax.random.key(1), 0, shots=20_000)
            >>> print((abs(alpha) ** 2).mean().round(1))  # n + 1
            2.0
        """

        def make(mode, cutoff):
            return detectors.heterodyne(cutoff=cutoff, dtype=self.dtype)

        return self._shots(key, modes, shots, make, _measured)

    def _shots(
        self,
        key: jax.Array,
        modes: Modes | None,
        shots: int,
        make: Callable[[int, int], Detector],  # of a mode and its cutoff
        prepare: Prepare,
    ) -> jax.Array:
        """Shots of all factors that hold some of ``modes``, by the detectors from ``make``."""
        check_key(key)
        listed = self._checked_modes(modes, 1)
        shots = checked_integer(shots, "Argument `shots`")
        columns: dict[int, jax.Array] = {}
        for index, (factor, own) in enumerate(self._split(listed)):
            if own:
                cutoffs = dict(zip(factor.modes, factor.cutoffs, strict=True))
                outcomes = _in_rounds(
                    prepare,
                    lax.stop_gradient(factor),
                    own,
                    [make(mode, cutoffs[mode]) for mode in own],
                    jax.random.fold_in(key, index),
                    shots,
                    TOGETHER,
                )
                columns |= {mode: outcomes[:, k] for k, mode in enumerate(own)}
        if isinstance(modes, int | np.integer):
            return columns[listed[0]]
        return jnp.stack([columns[mode] for mode in listed], -1)


def _counted(factor: Factor, own: tuple[int, ...], counters: Sequence[Counter]) -> tuple[Shot, int]:
    """A `Prepare` that draws photon numbers from tables of tails, then the counters' responses."""
    # For each mode the tails given the numbers of the modes before.
    tables = [tails(joint) for joint in factor.sequence(own)]
    layout = factor.kets.of(factor.positions(own))

    def shot(key):
        numbers, outcomes = [], []
        keys = jax.random.split(key, (len(own), 2))
        for k, (drawing, responding) in enumerate(keys):
            row = layout.of(tuple(range(k))).index(numbers)[0] if numbers else ()
            numbers.append(draw_photon_number(drawing, tables[k][row]))
            outcomes.append(counters[k].respond(responding, numbers[k]))
        return jnp.stack(outcomes)

    return shot, max(layout.cutoffs) * 16


def _measured(
    factor: Factor, own: tuple[int, ...], detectors: Sequence[Detector]
) -> tuple[Shot, int]:
    """A `Prepare` that measures modes one after the other, each given the outcomes before."""
    measured = list(zip(own, detectors, strict=True))

    def condition(part, mode, detector, key):
        """The outcome, and the state that it leaves, scaled to the trace before."""
        rho = part.reduced((mode,))
        outcome = detector.sample(key, rho)
        weights, bras = detector.effect(outcome)
        probability = detector.probability(outcome, rho)
        return outcome, part.project(mode, weights / probability, bras)

    def shot(key):
        part, outcomes = factor, []
        keys = jax.random.split(key, len(own))
        for (mode, detector), key in zip(measured[:-1], keys, strict=False):
            outcome, part = condition(part, mode, detector, key)
            assert isinstance(part, Factor)  # of the modes still to be measured
            outcomes.append(outcome)
        mode, detector = measured[-1]
        return jnp.stack([*outcomes, detector.sample(keys[-1], part.reduced((mode,)))])

    # The density matrix of a mode with what is computed from it; and two copies of the state that
    # the first outcome leaves.
    held = 8 * (max(detector.cutoff for detector in detectors) + 8) ** 2 * factor.dtype.itemsize
    if len(own) > 1:
        _, left = jax.eval_shape(partial(condition, factor, *measured[0]), jax.random.key(0))
        held += 2 * sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(left))
    return shot, held


@partial(jax.jit, static_argnames=("prepare", "own", "shots", "together"))
def _in_rounds(
    prepare: Prepare,
    factor: Factor,
    own: tuple[int, ...],
    detectors: Sequence[Detector],
    key: jax.Array,
    shots: int,
    together: int,
) -> jax.Array:
    """``shot(key_k)`` for each k, with as many at a time as fit, at most ``together``.

    It is compiled here, once for each kind of factor: `lax.map` of a closure would be compiled at
    each call.
    """
    shot, held = prepare(factor, own, detectors)
    rounds = math.ceil(shots / max(1, min(together, MEMORY // held)))
    numbers = jnp.arange(rounds * math.ceil(shots / rounds)).reshape(rounds, -1)
    outcomes = lax.map(jax.vmap(lambda k: shot(jax.random.fold_in(key, k))), numbers)
    return outcomes.reshape(-1, *outcomes.shape[2:])[:shots]
