"""The numbers that are compared, in the same order from fockjax and from Strawberry Fields."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fockjax._numerics import HIGHEST
from fockjax.gates import REGISTRY
from fockjax.interop import oracle
from fockjax.states import State, from_density_matrix, from_ket
from fockjax.validation import references
from fockjax.validation.cases import GateCall, ReadoutRow, Row
from fockjax.validation.detection import wave
from fockjax.validation.readouts import MODES, TRUNCATIONS, alpha, coherent_product
from fockjax.validation.readouts import state as sf_state
from fockjax.validation.references import Result

QUADRATURE_ANGLES = (0.0, 0.7, math.pi / 2)
# Most of the time goes into compiling programs that run once; the costly optimisations of the
# compiler are left out, which changes no more than rounding.
FAST_COMPILATION = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
}
NOTHING = np.zeros(0)
BATCH = 2**12  # how many runs are made at a time
# The step of the five-point difference. Truncation and rounding are below 1e-9, but for the Fisher
# information of nearly singular matrices, where the first is 2e-8.
STEP = 1e-4


class Readings(NamedTuple):
    """What is read from a row, one entry a point.

    Attributes:
        state: the kets or density matrices, shape (points, cutoff, ..., cutoff).
        observables: shape (points, observables): see `observables`.
        gradients: shape (points, directions, scalars): of each mode's mean photon number and mean
            quadrature (at an angle of 0.7), and of the probability of what was selected.
        draws: shape (points, means): over outcomes drawn at random, times the root of their number,
            so that 1 is the most that a standard error can be.
    """

    state: np.ndarray
    observables: np.ndarray
    gradients: np.ndarray
    draws: np.ndarray = NOTHING


def from_fockjax(row: Row | ReadoutRow, dtype: np.dtype) -> Readings:
    """Run a row through fockjax, all its points under one jitted vmap, in one precision."""
    if isinstance(row, ReadoutRow):
        return (_sample_by_fockjax if row.shots else _read_by_fockjax)(row, dtype)
    if row.shots:
        return _draw_by_fockjax(row, dtype)

    def at_point(point, start):
        def run(point):
            state = _run(row, point, start, dtype)
            return _means(state), state

        means, pull_back, state = jax.vjp(run, point, has_aux=True)
        (jacobian,) = jax.vmap(pull_back)(jnp.eye(means.size, dtype=means.dtype))
        return state, jnp.matmul(directions, jacobian.T, precision=HIGHEST)

    with jax.enable_x64(dtype == np.complex128):
        directions = jnp.asarray(row.directions, jnp.finfo(dtype).dtype)
        points = jnp.asarray(row.points, directions.dtype)
        starts = None if row.states is None else jnp.asarray(row.states, dtype)
        run = jax.jit(jax.vmap(at_point), compiler_options=FAST_COMPILATION)
        states, gradients = run(points, starts)
        # Truncations are not compared, and would give the readout of every circuit its own program.
        states = replace(states, truncations=0, outcomes={})
        array, values = _read(states, row.mixed)
        return Readings(np.asarray(array), np.asarray(values), np.asarray(gradients))


def _run(row: Row, point, start, dtype, key=None) -> State:
    """A row's circuit from a ket, a density matrix or the vacuum."""
    if start is not None and start.ndim > row.circuit.modes:
        start = from_density_matrix(start, dtype, hbar=row.circuit.hbar)
    weights, x = row.unpack(point)
    return row.circuit(weights, x, cutoff=row.truncation, dtype=dtype, initial=start, key=key)


@partial(jax.jit, static_argnums=1, compiler_options=FAST_COMPILATION)
def _read(states: State, mixed: bool) -> tuple[jax.Array, jax.Array]:
    def read(state):
        return state.density_matrix() if mixed else state.ket(), observables(state)

    return jax.vmap(read)(states)


def _draw_by_fockjax(row: Row, dtype: np.dtype) -> Readings:
    """Means over many runs: of the wave of the outcome, and of the wave times the parity of the
    state that is left.
    """

    def runs(point, start):
        def once(key):
            state = _run(row, point, start, dtype, key)
            (outcome,) = state.outcomes.values()
            found = wave(outcome, jnp)
            return jnp.stack([found, found * state.parity()])  # the mode measured is in the vacuum

        keys = jax.random.split(jax.random.key(0), row.shots)
        return jax.lax.map(once, keys, batch_size=BATCH)

    with jax.enable_x64(dtype == np.complex128), jax.numpy_dtype_promotion("standard"):
        starts = jnp.asarray(row.starts(), dtype)
        points = jnp.asarray(row.points, starts.real.dtype)
        found = jax.jit(jax.vmap(runs), compiler_options=FAST_COMPILATION)(points, starts)
        return _draws(np.asarray(found).mean(1), row.shots)


def _sample_by_fockjax(row: ReadoutRow, dtype: np.dtype) -> Readings:
    """Means over many shots of the product of the waves of the outcomes of a shot."""

    def shots(start):
        outcomes = row.readout.ours(_state(start, dtype), key=jax.random.key(0), shots=row.shots)
        return jnp.prod(wave(outcomes, jnp), axis=1)

    with jax.enable_x64(dtype == np.complex128), jax.numpy_dtype_promotion("standard"):
        run = jax.jit(jax.vmap(shots), compiler_options=FAST_COMPILATION)
        found = run(jnp.asarray(row.states, dtype))
        return _draws(np.asarray(found).mean(1), row.shots)


def _draws(means: Any, shots: int) -> Readings:
    return Readings(NOTHING, NOTHING, NOTHING, math.sqrt(shots) * np.asarray(means))


def _state(array: jax.Array, dtype: np.dtype) -> State:
    """A state of three modes from its ket or density matrix."""
    return (from_ket if array.ndim == MODES else from_density_matrix)(array, dtype)


def from_reference(
    row: Row,
    run: Callable[[Sequence[GateCall], np.ndarray, int], Result],
    read: Callable[[Result], np.ndarray],
    means: Callable[[Result], np.ndarray],
) -> Readings:
    """Run a row gate by gate through ``run``, its gradients by central differences."""

    def at(point, start):
        return run(row.evaluated(point), start, row.circuit.modes)

    def gradient(point, start, direction):
        return _difference(lambda step: means(at(point + step * direction, start)))

    pairs = list(zip(row.points, row.starts(), strict=True))
    with jax.enable_x64(True):  # a circuit may evaluate its parameters in JAX
        results = [at(*pair) for pair in pairs]
        slopes = [[gradient(*pair, direction) for direction in row.directions] for pair in pairs]
        values = np.stack([read(result) for result in results])
        scalars = len(means(results[0]))
        gradients = np.reshape(slopes, (len(pairs), len(row.directions), scalars))
        return Readings(np.stack([result.array for result in results]), values, gradients)


def _read_by_fockjax(row: ReadoutRow, dtype: np.dtype) -> Readings:
    """A readout of each state, and how it changes along the row's direction."""

    def read(step, start):
        array = start + step * jnp.asarray(row.direction, dtype)
        given = {
            name: jnp.asarray(value, real) + step * jnp.asarray(row.slopes[name], real)
            for name, value in row.readout.arguments.items()
        }
        state = replace(_state(array, dtype), truncations=TRUNCATIONS)
        leaves = jax.tree.leaves(row.readout.ours(state, **given))
        parts = [part for leaf in leaves for part in (jnp.real(leaf), jnp.imag(leaf))]
        return jnp.concatenate([jnp.ravel(part).astype(real) for part in parts])

    def at(start):
        return jax.jvp(partial(read, start=start), (jnp.zeros((), real),), (jnp.ones((), real),))

    with jax.enable_x64(dtype == np.complex128):
        real = jnp.finfo(dtype).dtype
        run = jax.jit(jax.vmap(at), compiler_options=FAST_COMPILATION)
        values, slopes = run(jnp.asarray(row.states, dtype))
        return Readings(NOTHING, np.asarray(values), np.asarray(slopes))


def _read_by_reference(row: ReadoutRow) -> Readings:
    """The same from the reference of the readout, the derivative by central differences."""

    def read(step, start):
        given = {
            name: np.asarray(value) + step * row.slopes[name]
            for name, value in row.readout.arguments.items()
        }
        leaves = jax.tree.leaves(row.readout.theirs(start + step * row.direction, **given))
        parts = [part for leaf in leaves for part in (np.real(leaf), np.imag(leaf))]
        return np.concatenate([np.ravel(part).astype(float) for part in parts])

    values = [read(0.0, state) for state in row.states]
    slopes = [_difference(partial(read, start=state)) for state in row.states]
    return Readings(NOTHING, np.stack(values), np.stack(slopes))


def _difference(read: Callable[[float], np.ndarray]) -> np.ndarray:
    """The derivative at 0 by five points."""
    far, near = read(2 * STEP) - read(-2 * STEP), read(STEP) - read(-STEP)
    return (8 * near - far) / (12 * STEP)


def from_strawberryfields(row: Row | ReadoutRow) -> Readings:
    """Run a row through Strawberry Fields' NumPy Fock engine, one point at a time, complex128;
    through NumPy where Strawberry Fields does not have it.
    """
    if isinstance(row, ReadoutRow):
        if row.shots:
            return _draws([row.readout.theirs(state)[0] for state in row.states], row.shots)
        return _read_by_reference(row)
    if row.shots:
        pairs = zip(row.points, row.starts(), strict=True)
        means = [references.mean_wave(row.evaluated(point)[0], start) for point, start in pairs]
        return _draws(means, row.shots)
    observables, means = _observables_strawberryfields, _means_strawberryfields
    return from_reference(row, references.run, observables, means)


def from_dense_gates(row: Row) -> Readings:
    """Run a row as plain NumPy contractions of fockjax's own dense gates, complex128.

    Not an independent check of the gates and readouts (other rows are that) but of the way a
    circuit runs them.
    """

    def read(reading):
        return lambda result: np.asarray(
            reading(from_ket(jnp.asarray(result.array), result.array.dtype))
        )

    return from_reference(row, _run_dense_gates, read(observables), read(_means))


def _run_dense_gates(gates: Sequence[GateCall], ket: np.ndarray, total: int) -> Result:
    for name, given, modes in gates:
        spec = REGISTRY[name]
        values = tuple(given[parameter] for parameter in spec.parameters)
        options = tuple((option, given[option]) for option in spec.options)
        cutoffs = tuple(ket.shape[mode] for mode in modes)
        operator = np.asarray(_dense_gate(values, name, options, cutoffs))
        inputs = range(len(modes), 2 * len(modes))
        ket = np.tensordot(operator, ket, axes=(list(inputs), modes))
        ket = np.moveaxis(ket, range(len(modes)), modes)
    return Result(ket, total)


@partial(jax.jit, static_argnames=("name", "options", "cutoffs"))
def _dense_gate(values, name: str, options: tuple, cutoffs: tuple[int, ...]) -> jax.Array:
    size = cutoffs[0] if REGISTRY[name].modes == 1 else cutoffs
    gate = REGISTRY[name].build(*values, cutoff=size, dtype=np.complex128, **dict(options))
    return gate.to_dense()


def observables(state: State) -> jax.Array:
    """Every readout of a state as one real vector.

    Leakage; the fidelity with a product of coherent states; for each mode the mean and variance of
    the photon number and of three quadratures, its photon-number probabilities and its density
    matrix; the joint probabilities; the probability of what was selected.
    """
    product = jnp.asarray(coherent_product(state.cutoffs), state.dtype)
    values = [state.leakage, state.fidelity(product)]
    for mode in range(state.modes):
        values += state.photon_number(mode)
        for angle in QUADRATURE_ANGLES:
            values += state.quadrature(mode, angle, hbar=2.0)
        reduced = state.reduced(mode)
        values += [state.probabilities(modes=(mode,)), reduced.real, reduced.imag]
    values += [state.probabilities(), *_selection(state)]
    return jnp.concatenate([jnp.ravel(value) for value in values])


def _selection(state: State) -> list[jax.Array]:
    return [] if state.selected is None else [state.selection_probability]


def _means(state: State) -> jax.Array:
    """The real scalars whose gradients are compared: <n> and <x_0.7> of each mode, and the
    probability of what was selected.
    """
    moments = [
        moments
        for mode in range(state.modes)
        for moments in (state.photon_number(mode), state.quadrature(mode, 0.7, hbar=2.0))
    ]
    return jnp.stack([*(each.mean for each in moments), *_selection(state)])


def _observables_strawberryfields(result: Result) -> np.ndarray:
    array, modes, probability = result
    state = sf_state(array, modes)
    values = [1 - state.trace(), state.fidelity_coherent([alpha(m) for m in range(modes)])]
    for mode in range(modes):
        one = _one_mode(result, mode)
        values += one.mean_photon(0)
        for angle in QUADRATURE_ANGLES:
            values += oracle.quadrature(one, angle)
        values += [one.all_fock_probs(), one.dm().real, one.dm().imag]
    values += [state.all_fock_probs(), [] if probability is None else probability]
    return np.concatenate([np.ravel(value) for value in values])


def _means_strawberryfields(result: Result) -> np.ndarray:
    states = [_one_mode(result, mode) for mode in range(result.modes)]
    means = [m for s in states for m in (s.mean_photon(0)[0], oracle.quadrature(s, 0.7)[0])]
    return np.array(means if result.probability is None else [*means, result.probability])


def _one_mode(result: Result, mode: int) -> Any:
    """SF's state of one mode."""
    array, modes, _ = result
    if array.ndim == modes:
        return oracle.reduced_state(array, mode)
    columns = [other if other != mode else modes for other in range(modes)]
    return sf_state(np.einsum(array, [*range(modes), *columns], [mode, modes]), 1)
