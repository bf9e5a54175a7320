"""Every operation under a bound on all photons keeps what it keeps in the box.

Each acts once, on some modes of an entangled ket, so that both truncations cut the same. What is
made of several operations that are cut one by one is taken in its exact form.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compare import close

import fockjax as fj
from fockjax.validation.cases import Case, cases, names, template

MODES, ORDER = 3, (2, 0, 1)
CUT_BETWEEN = ("controlled_x", "controlled_z", "gaussian_transform", "symmetric_mach_zehnder")


def compared(kind, name) -> list[Case]:
    """Of a measurement all that is selected, of other operations one choice of options."""
    found = [case for case in cases(kind, name) if not case.is_random]
    if name in CUT_BETWEEN:
        return [case for case in found if case.options]
    return found if kind == "measurement" else found[:1]


CASES = {f"{case.kind} {case.label}": case for key in names() for case in compared(*key)}


def run(case, point, cutoff):
    """The amplitudes or matrix elements of the states that are kept, the probability of what was
    selected, and the norm.
    """
    below = 5 if case.name == "unitary" else 4  # as large as its matrix
    kept = fj.TotalPhotons(below)
    flat = np.ravel_multi_index(kept.states(MODES).T, (below,) * MODES)
    random = np.random.RandomState(case.size)
    ket = np.zeros(below**MODES, complex)
    ket[flat] = random.standard_normal((2, len(flat))).T @ [1, 1j]
    ket = 0.9 * ket.reshape((below,) * MODES) / np.linalg.norm(ket)
    circuit = template([(case, ORDER[: case.modes])], modes=MODES)
    cutoff = kept if cutoff == "total" else below
    state = circuit({}, point if case.size else None, cutoff=cutoff, initial=ket)
    if state.is_pure:
        array = state.ket().reshape(-1)[flat]
    else:
        array = state.density_matrix().reshape(below**MODES, below**MODES)[np.ix_(flat, flat)]
    return array, state.selection_probability


def point_of(case):
    low, high = np.reshape(case.limits(), (-1, 2)).T
    return np.random.RandomState(7).uniform(low, high)


# A preparation is made of the same parts as another; these are one of each kind.
SLOW = {name for name in CASES if "prepare" in name or "hbar" in name}
SLOW -= {"ket prepare two_mode_squeezed", "mixed prepare thermal"}
quick = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in CASES]
)


@quick
def test_values(name, x64):
    case = CASES[name]
    both = jax.jit(lambda point: [run(case, point, cutoff) for cutoff in ("total", "box")])
    for found, expected in zip(*both(point_of(case)), strict=True):
        close(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name, case in CASES.items() if case.size and case.kind in ("gate", "channel")]
)
def test_derivatives(name, x64):
    """Forwards as in the box, backwards as forwards."""
    case, point = CASES[name], point_of(CASES[name])
    direction = np.cos(np.arange(case.size))

    def number(found):
        array = found[0].reshape(-1)
        weights = np.exp(1j * np.arange(array.size))
        return jnp.sum((weights * array).real) + found[1]

    @jax.jit
    def slopes(point):
        total, box = (
            jax.jvp(partial(run, case, cutoff=cutoff), (point,), (direction,))[1]
            for cutoff in ("total", "box")
        )
        backwards = jax.grad(lambda p: number(run(case, p, "total")))(point) @ direction
        return total, box, backwards, number(total)

    total, box, backwards, forwards = slopes(point)
    for found, expected in zip(total, box, strict=True):
        close(found, expected, 1e-11)
    close(backwards, forwards, 1e-11)


def test_derivatives_of_active_gates_on_joined_modes(x64):
    """Against differences along a line."""
    circuit = fj.Circuit(2).beamsplitter(0.4, 0.3).displace(fj.Input(0), fj.Input(1), mode=1)
    circuit.two_mode_squeeze(fj.Input(2), fj.Input(3))
    x, direction = np.array([0.4, -0.8, 0.3, 1.2]), np.array([0.5, 0.7, -0.4, 0.6])

    def number(x):
        state = circuit({}, x, cutoff=fj.TotalPhotons(4))
        return state.quadrature(0, 0.4).mean + state.leakage

    def slopes(x):
        value, forward = jax.jvp(number, (x,), (direction,))
        return value, forward, jax.grad(number)(x) @ direction

    step = 1e-3
    points = x + step * np.multiply.outer([-2, -1, 1, 2, 0], direction)
    values, forward, reverse = jax.jit(jax.vmap(slopes))(points)
    close(reverse, forward)
    close(reverse[4], np.dot([1, -8, 8, -1], values[:4]) / (12 * step), 1e-9)
