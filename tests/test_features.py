"""Every gate, preparation and readout: its values, and that it batches, compiles and
differentiates. The rows of docs/features.md; one that lacks a test here fails the build.

What is run, in which ranges and against what, is that of `fockjax validate`; here at unequal
cutoffs, in both directions of differentiation, and where all parameters are zero.
"""

from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, NamedTuple

import features
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fockjax.interop import oracle
from fockjax.states import from_ket
from fockjax.validation import references
from fockjax.validation.cases import CASES, random_ket, template
from fockjax.validation.readings import FAST_COMPILATION
from fockjax.validation.readouts import READOUTS, TRUNCATIONS

CUTOFFS = {1: (5,), 2: (3, 4), 3: (3, 2, 3)}  # by number of modes
STEP = 1e-3


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
    """

    run: Any
    points: np.ndarray
    expected: Any

    @property
    def smooth(self) -> bool:
        """Whether there is anything to differentiate by, and a real number to differentiate."""
        return self.points.shape[1] > 0


def parts(tree):
    """A tree of arrays as one real vector."""
    leaves = [part for leaf in jax.tree.leaves(tree) for part in (jnp.real(leaf), jnp.imag(leaf))]
    return jnp.concatenate([jnp.ravel(leaf).astype(float) for leaf in leaves])


def operation_row(case) -> Row:
    """A gate on a random ket, or a preparation, the modes in reverse order."""
    order = tuple(reversed(range(case.modes)))
    circuit = template([(case, order)], modes=case.modes)
    random = np.random.RandomState(case.size + 7)
    square = case.name == "unitary"  # its matrix has a size of its own
    cutoffs = (case.cutoffs[0],) * case.modes if square else CUTOFFS[case.modes]
    ket = 0.9 * random.standard_normal((2, *cutoffs))
    ket = (ket[0] + 1j * ket[1]) / np.linalg.norm(ket)
    initial = ket if case.kind == "gate" else None

    def run(point):
        return parts(
            circuit({}, point if case.size else None, cutoff=cutoffs, initial=initial).ket()
        )

    low, high = np.reshape(case.limits(), (-1, 2)).T
    points = random.uniform(low, high, (2, case.size))
    nothing = np.clip(np.zeros(case.size), low, high)  # zero, where that is allowed

    def expected():
        """Strawberry Fields knows one cutoff: the same operation there."""
        size = max(cutoffs)
        start = random_ket(np.random.RandomState(1), size, case.modes)
        x = jnp.asarray(points[0]) if case.size else None
        given = initial if initial is None else start
        ours = circuit({}, x, cutoff=size, initial=given).ket()
        vacuum = np.zeros_like(start)
        vacuum.flat[0] = 1
        theirs = references.run(circuit.gates({}, x), vacuum if given is None else start)
        return ours, theirs

    return Row(run, np.vstack([points, nothing]), expected)


def readout_row(readout) -> Row:
    """A readout along a line of kets, its own arguments changing too."""
    random = np.random.RandomState(5)
    shape = (3, 4, 2)
    kets = random.standard_normal((2, 2, *shape))
    start, direction = 0.8 * (kets[0] + 1j * kets[1]) / np.linalg.norm(kets)
    slopes = {
        name: random.uniform(-1, 1, np.shape(value)) for name, value in readout.arguments.items()
    }

    def given(t, xp):
        return {
            name: xp.asarray(value, float) + t * slopes[name]
            for name, value in readout.arguments.items()
        }

    def run(point):
        t = point[0]
        state = replace(from_ket(start + t.astype(complex) * direction), truncations=TRUNCATIONS)
        return parts(readout.ours(state, **given(t, jnp)))

    def expected():
        """At one cutoff for all modes, which is all that Strawberry Fields knows."""
        ket = 0.9 * random_ket(np.random.RandomState(1), 3, 3)
        state = replace(from_ket(jnp.asarray(ket)), truncations=TRUNCATIONS)
        theirs = readout.theirs(ket, **given(0.0, np))
        return parts(readout.ours(state, **given(0.0, jnp))), np.asarray(parts(list(theirs)))

    return Row(run, np.array([[0.0], [0.3]]), expected)


def label(case) -> str:
    return f"gate {case.label}" if case.kind == "gate" else case.label


ROWS = {label(case): partial(operation_row, case) for case in CASES}
ROWS |= {f"readout {readout.name}": partial(readout_row, readout) for readout in READOUTS}
CONSTANT = {"gate fourier", "prepare vacuum", "prepare fock (n=3)", "readout is_finite"}
SMOOTH = [name for name in ROWS if name not in CONSTANT]
# Of each operation the first choice of options is quick, the others are slow.
FIRST = {label(case) for case in {(c.kind, c.name): c for c in reversed(CASES)}.values()}
FIRST |= {name for name in ROWS if name.startswith("readout")}


def quick_first(names):
    return pytest.mark.parametrize(
        "name",
        [
            pytest.param(name, marks=[] if name in FIRST else pytest.mark.slow, id=name)
            for name in names
        ],
    )


every = quick_first(ROWS)
smooth = quick_first(SMOOTH)


@cache
def row(name) -> Row:
    return ROWS[name]()


@cache
def results(name) -> Results:
    """Two programs a row: one sample; and a batch with both kinds of derivative."""
    one = row(name)
    with jax.numpy_dtype_promotion("strict"), jax.enable_x64(True):
        points = jnp.asarray(one.points)
        single = jax.jit(one.run, compiler_options=FAST_COMPILATION)
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

        both = jax.jit(jax.vmap(derivatives), compiler_options=FAST_COMPILATION)
        batched, reverse, forward = both(points)

        def moved(steps):
            return np.array([number(single(p + steps * STEP * direction)) for p in points])

        differences = (8 * (moved(1) - moved(-1)) - (moved(2) - moved(-2))) / (12 * STEP)
        return Results(looped, *map(np.asarray, (batched, differences, reverse, forward)))


@pytest.mark.skipif(not oracle.is_installed(), reason="needs Strawberry Fields")
@pytest.mark.parametrize("name", ROWS)
def test_value(name, x64):
    """Strawberry Fields', or NumPy's where it has none; eagerly."""
    ours, theirs = row(name).expected()
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10)


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
        (lambda patch: patch.delitem(features.GATE, "snap"), r"gates: without a line \['snap'\]"),
        (
            lambda patch: patch.delitem(features.KETS, "cat"),
            r"preparations: .* of nothing \['cat'\]",
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
