"""Every operation and readout: its values, and that it batches, compiles and differentiates.

The rows of docs/features.md; one that lacks a test here fails the build.

What is run, in which ranges and against what, is that of `fockjax validate`; here at unequal
cutoffs, in both directions of differentiation, and where all parameters are zero.
"""

import re
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, NamedTuple

import features
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fockjax.interop import oracle
from fockjax.states import from_density_matrix, from_ket
from fockjax.validation import readings, references
from fockjax.validation.cases import (
    CASES,
    case_rows,
    random_density_matrix,
    random_ket,
    readout_rows,
    template,
)
from fockjax.validation.readouts import PURE_ONLY, READOUTS, SAMPLES, TRUNCATIONS
from fockjax.validation.report import TOLERANCES

CUTOFFS = {1: (5,), 2: (3, 4), 3: (3, 2, 3)}  # by number of modes
STEP = 4e-4


class Results(NamedTuple):
    """At each point: what is read, one by one and batched; the slope of a number made of it along a
    direction, by differences, by reverse mode and by forward mode.
    """

    looped: np.ndarray
    batched: np.ndarray
    differences: np.ndarray
    reverse: np.ndarray
    forward: np.ndarray


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        run: point -> real array, one sample.
        points: shape (points, numbers): where it is run.
        expected: the values at the first of them.
        tolerance: of these.
    """

    run: Any
    points: np.ndarray
    expected: Any
    tolerance: float = 1e-10

    @property
    def smooth(self) -> bool:
        """Whether there is anything to differentiate by, and a real number to differentiate."""
        return self.points.shape[1] > 0


def parts(tree):
    """A tree of arrays as one real vector."""
    leaves = [part for leaf in jax.tree.leaves(tree) for part in (jnp.real(leaf), jnp.imag(leaf))]
    return jnp.concatenate([jnp.ravel(leaf).astype(float) for leaf in leaves])


def operation_row(case) -> Row:
    """An operation on the last of the modes, in reverse order, and a random ket; a preparation of
    all modes on the vacuum.
    """
    total = case.modes + case.spectators
    order = tuple(reversed(range(total)))[: case.modes]
    circuit = template([(case, order)], modes=total)
    random = np.random.RandomState(case.size + 7)
    square = case.name in ("unitary", "kraus")  # their matrices have a size of their own
    cutoffs = (case.cutoffs[0],) * total if square else CUTOFFS[total]
    ket = 0.9 * random.standard_normal((2, *cutoffs))
    ket = (ket[0] + 1j * ket[1]) / np.linalg.norm(ket)
    initial = None if case.starts == ("vacuum",) else ket
    key = jax.random.key(0) if case.is_random else None

    def run(point):
        state = circuit({}, point if case.size else None, cutoff=cutoffs, initial=initial, key=key)
        array = state.ket() if state.is_pure else state.density_matrix()
        return parts([array, *state.outcomes.values(), state.selection_probability])

    low, high = np.reshape(case.limits(), (-1, 2)).T
    points = random.uniform(low, high, (2, case.size))
    nothing = np.clip(np.zeros(case.size), low, high)  # zero, where that is allowed

    def expected():
        """Strawberry Fields knows one cutoff: the same operation there."""
        size = max(cutoffs)
        start = None if initial is None else random_ket(np.random.RandomState(1), size, total)
        x = jnp.asarray(points[0]) if case.size else None
        ours = circuit({}, x, cutoff=size, initial=start)
        if start is None:
            start = np.zeros((size,) * total, complex)
            start.flat[0] = 1
        if case.is_mixed:
            start = np.multiply.outer(start, start.conj())
        theirs = references.run(circuit.evaluated({}, x), start, total)
        array = ours.density_matrix() if case.is_mixed else ours.ket()
        probability = 1 if theirs.probability is None else theirs.probability
        return parts([array, ours.selection_probability]), parts([theirs.array, probability])

    points = np.vstack([points, nothing])
    if case.is_random:
        return Row(run, points, partial(means, case_rows(case)), TOLERANCES.draws)
    return Row(run, points, expected)


def means(rows):
    """Of many draws, as `fockjax validate` compares them."""
    (row,) = rows
    ours = readings.from_fockjax(row, np.dtype(np.complex128))
    return ours.draws, readings.from_strawberryfields(row).draws


def readout_row(readout, mixed: bool = False) -> Row:
    """A readout along a line of kets or density matrices, its own arguments changing too."""
    random = np.random.RandomState(5)
    shape = (3, 4, 2)
    kets = random.standard_normal((2, 2, *shape))
    start, direction = 0.8 * (kets[0] + 1j * kets[1]) / np.linalg.norm(kets)
    if mixed:
        rest = 0.2 * np.eye(24).reshape(shape * 2) / 24
        start, direction = (np.multiply.outer(k, k.conj()) + rest for k in (start, direction))
    slopes = {
        name: random.uniform(-1, 1, np.shape(value)) for name, value in readout.arguments.items()
    }

    def given(t, xp):
        return {
            name: xp.asarray(value, float) + t * slopes[name]
            for name, value in readout.arguments.items()
        }

    def made(array):
        return replace((from_density_matrix if mixed else from_ket)(array), truncations=TRUNCATIONS)

    def run(point):
        t = point[0]
        state = made(start + t.astype(complex) * direction)
        return parts(readout.ours(state, **given(t, jnp)))

    def expected():
        """At one cutoff for all modes, which is all that Strawberry Fields knows."""
        draw = random_density_matrix if mixed else random_ket
        array = 0.9 * draw(np.random.RandomState(1), 3, 3)
        theirs = readout.theirs(array, **given(0.0, np))
        ours = readout.ours(made(jnp.asarray(array)), **given(0.0, jnp))
        return parts(ours), np.asarray(parts(list(theirs)))

    return Row(run, np.array([[0.0], [0.3]]), expected)


def sample_row(readout) -> Row:
    """A few outcomes of a ket; their distribution from many."""
    ket = 0.9 * random_ket(np.random.RandomState(5), 3, 3)
    outcomes = partial(readout.ours, key=jax.random.key(1), shots=5)

    def run(point):
        return parts(outcomes(from_ket(ket + 0 * point[0].astype(complex))))

    return Row(
        run, np.array([[0.0], [0.3]]), partial(means, readout_rows(readout)), TOLERANCES.draws
    )


def label(case) -> str:
    return f"{case.kind} {case.label}" if case.kind in ("gate", "channel") else case.label


ROWS = {label(case): partial(operation_row, case) for case in CASES}
ROWS |= {f"readout {readout.name}": partial(readout_row, readout) for readout in READOUTS}
ROWS |= {f"readout {readout.name}": partial(sample_row, readout) for readout in SAMPLES}
MIXED = {
    f"readout {readout.name}, mixed": partial(readout_row, readout, mixed=True)
    for readout in READOUTS
    if readout.name not in PURE_ONLY
}
ROWS |= MIXED
DRAWN = {label(case) for case in CASES if case.is_random}
DRAWN |= {f"readout {readout.name}" for readout in SAMPLES}
CONSTANT = {"gate fourier", "prepare vacuum", "prepare fock (n=3)", "readout is_finite"}
CONSTANT |= {"readout is_finite, mixed", "measure photons (select=2)", *DRAWN}
CONSTANT |= {"measure heterodyne (select=(0.6-0.4j))"}
SMOOTH = [name for name in ROWS if name not in CONSTANT]
# Of each operation the first choice of options is quick, the others are slow; so is what is tested
# elsewhere too or compiles for seconds, and counting many draws.
FIRST = {label(case) for case in {(c.kind, c.name): c for c in reversed(CASES)}.values()}
FIRST -= {"channel amplifier", "channel additive_noise", "channel kraus (1 mode)"}
FIRST -= {"channel thermal_loss", "gate controlled_x", "gate controlled_z"}
FIRST -= {"gate passive (2 modes)", "gate gaussian_transform (2 modes)"}
FIRST -= {"prepare cat", "prepare gaussian (2 modes)", "prepare mixed_gaussian (2 modes)"}
# These run the code of displacements, beamsplitters and displaced squeezed states.
FIRST -= {"gate x_displacement", "gate p_displacement", "gate symmetric_mach_zehnder"}
FIRST -= {"prepare coherent", "prepare squeezed"}
# These have quick tests of values, batches and derivatives in test_optics, test_gates, test_kets.
FIRST -= {
    "gate interferometer (2 modes)",
    "gate mach_zehnder",
    "gate quadratic_phase",
    "prepare gkp",
}
FIRST |= {f"readout {name}" for name in ("photon_number", "purity", "quadrature_means")}


def quick(names, those):
    return pytest.mark.parametrize(
        "name",
        [
            pytest.param(name, marks=[] if name in those else pytest.mark.slow, id=name)
            for name in names
        ],
    )


every = quick(ROWS, FIRST)
# What test_optics proves quickly.
ELSEWHERE = {name for name in ROWS if name.startswith("gate") and re.search("exact|mesh", name)}
smooth = quick(SMOOTH, FIRST)


@cache
def row(name) -> Row:
    return ROWS[name]()


@cache
def results(name) -> Results:
    """Two programs a row: one sample; and a batch with both kinds of derivative."""
    one = row(name)
    with jax.numpy_dtype_promotion("strict"), jax.enable_x64(True):
        points = jnp.asarray(one.points)
        single = jax.jit(one.run)
        looped = np.stack([single(point) for point in points])
        weights = np.random.RandomState(2).uniform(-1, 1, looped.shape[1])
        direction = np.random.RandomState(3).uniform(0.5, 1, one.points.shape[1])

        def number(values):
            return jnp.sum(jnp.asarray(weights) * jnp.sin(values + 0.3))

        def derivatives(point):
            def at(point):
                values = one.run(point)
                return number(values), values

            if not one.smooth:
                zero = jnp.zeros(())
                return one.run(point), zero, zero
            _, forward, values = jax.jvp(at, (point,), (jnp.asarray(direction),), has_aux=True)
            gradient, _ = jax.grad(at, has_aux=True)(point)
            return values, gradient @ jnp.asarray(direction), forward

        both = jax.jit(jax.vmap(derivatives))
        batched, reverse, forward = both(points)

        def moved(steps):
            return np.array([number(single(p + steps * STEP * direction)) for p in points])

        differences = (8 * (moved(1) - moved(-1)) - (moved(2) - moved(-2))) / (12 * STEP)
        return Results(looped, *map(np.asarray, (batched, differences, reverse, forward)))


@pytest.mark.skipif(not oracle.is_installed(), reason="needs Strawberry Fields")
@quick(ROWS, ROWS.keys() - MIXED.keys() - DRAWN - ELSEWHERE)
def test_value(name, x64):
    """Strawberry Fields', or NumPy's where it has none; eagerly."""
    ours, theirs = row(name).expected()
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=row(name).tolerance)


@every
def test_batch(name):
    """What `vmap` makes of a batch is what a loop makes."""
    np.testing.assert_allclose(results(name).batched, results(name).looped, rtol=0, atol=1e-12)


@every
def test_jit(name, x64):
    """The compiled program gives what the public call gives, eagerly."""
    point = jnp.asarray(row(name).points[0])
    np.testing.assert_allclose(results(name).looped[0], row(name).run(point), rtol=0, atol=1e-12)


@smooth
def test_grad(name):
    found = results(name)
    assert row(name).smooth and np.any(abs(found.differences) > 1e-6)
    np.testing.assert_allclose(found.reverse, found.differences, rtol=0, atol=2e-8)


@smooth
def test_jvp(name):
    np.testing.assert_allclose(results(name).forward, results(name).reverse, rtol=1e-9, atol=1e-11)


def test_the_page_is_what_the_registries_and_these_tests_make():
    """`python tests/features.py` writes it."""
    assert features.PAGE.read_text() == features.page()


@pytest.mark.parametrize(
    "remove, message",
    [
        (
            lambda patch: patch.delitem(features.OPERATIONS["Gates"][1], "snap"),
            r"gates: without a line \['snap'\]",
        ),
        (
            lambda patch: patch.delitem(features.OPERATIONS["Channels"][1], "loss"),
            r"channels: without a line \['loss'\]",
        ),
        (
            lambda patch: patch.delitem(features.REGISTRIES["ket"], "cat"),
            r"pure states: .* of nothing \['cat'\]",
        ),
        (
            lambda patch: patch.setattr(features, "cases", lambda kind, name: []),
            "gate displacement has no case",
        ),
        (
            lambda patch: patch.setattr(features, "tested", lambda property_: set()),
            r"No test of value for \['gate displacement'\]",
        ),
        (
            lambda patch: patch.setitem(features.MACHINERY, "magic", ("N N N N N", "test_nn::no")),
            "magic: there is no test test_nn::no",
        ),
    ],
)
def test_a_line_without_a_test_fails(remove, message, monkeypatch):
    remove(monkeypatch)
    with pytest.raises(LookupError, match=message):
        features.page()
