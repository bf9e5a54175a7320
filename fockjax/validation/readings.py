"""The numbers that are compared, in the same order from fockjax and from Strawberry Fields."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fockjax._numerics import HIGHEST
from fockjax.circuit import Circuit
from fockjax.gates import REGISTRY
from fockjax.interop import oracle
from fockjax.states import State, from_ket
from fockjax.validation import references
from fockjax.validation.cases import GateCall, ReadoutRow, Row
from fockjax.validation.readouts import TRUNCATIONS

QUADRATURE_ANGLES = (0.0, 0.7, math.pi / 2)
# Most of the time goes into compiling programs that run once; the costly optimisations of the
# compiler are left out, which changes no more than rounding.
FAST_COMPILATION = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
}
STEP = 3e-4  # of the five-point central difference: truncation and rounding both below 1e-9


class Readings(NamedTuple):
    """What is read from a row, one entry a point.

    Attributes:
        state: the ket, shape (points, cutoff, ..., cutoff).
        observables: shape (points, observables): see `observables`.
        gradients: shape (points, directions, 2 modes): of each mode's mean photon number and mean
            quadrature (at an angle of 0.7).
    """

    state: np.ndarray
    observables: np.ndarray
    gradients: np.ndarray


def from_fockjax(row: Row | ReadoutRow, dtype: np.dtype) -> Readings:
    """Run a row through fockjax, all its points under one jitted vmap, in one precision."""
    if isinstance(row, ReadoutRow):
        return _read_by_fockjax(row, dtype)

    def at_point(point, ket):
        def run(point):
            weights, inputs = row.unpack(point)
            state = row.circuit(weights, inputs, cutoff=row.cutoff, dtype=dtype, initial=ket)
            return _means(state), state

        means, pull_back, state = jax.vjp(run, point, has_aux=True)
        (jacobian,) = jax.vmap(pull_back)(jnp.eye(means.size, dtype=means.dtype))
        return state, jnp.matmul(directions, jacobian.T, precision=HIGHEST)

    with jax.enable_x64(dtype == np.complex128):
        directions = jnp.asarray(row.directions, jnp.finfo(dtype).dtype)
        points = jnp.asarray(row.points, directions.dtype)
        kets = None if row.kets is None else jnp.asarray(row.kets, dtype)
        run = jax.jit(jax.vmap(at_point), compiler_options=FAST_COMPILATION)
        states, gradients = run(points, kets)
        # The number of gates is not read, and would make every circuit's readout a program anew.
        ket, values = _read(replace(states, truncations=0))
        return Readings(np.asarray(ket), np.asarray(values), np.asarray(gradients))


@partial(jax.jit, compiler_options=FAST_COMPILATION)
@jax.vmap
def _read(state: State) -> tuple[jax.Array, jax.Array]:
    return state.ket(), observables(state)


def from_kets(
    row: Row,
    run: Callable[[Sequence[GateCall], np.ndarray], np.ndarray],
    read: Callable[[np.ndarray], np.ndarray],
    means: Callable[[np.ndarray], np.ndarray],
) -> Readings:
    """Run a row gate by gate through ``run``, its gradients by central differences."""

    def gradient(point, ket, direction):
        return _difference(lambda step: means(run(row.gates(point + step * direction), ket)))

    pairs = list(zip(row.points, row.starts(), strict=True))
    with jax.enable_x64(True):  # a circuit may evaluate its parameters in JAX
        kets = [run(row.gates(point), ket) for point, ket in pairs]
        slopes = [[gradient(*pair, direction) for direction in row.directions] for pair in pairs]
        gradients = np.reshape(slopes, (len(pairs), len(row.directions), 2 * row.circuit.modes))
        return Readings(np.stack(kets), np.stack([read(ket) for ket in kets]), gradients)


def _read_by_fockjax(row: ReadoutRow, dtype: np.dtype) -> Readings:
    """A readout of each ket, and how it changes along the row's direction."""

    def read(step, ket):
        ket = ket + step * jnp.asarray(row.direction, dtype)
        given = {
            name: jnp.asarray(value, real) + step * jnp.asarray(row.slopes[name], real)
            for name, value in row.readout.arguments.items()
        }
        state = replace(from_ket(ket, dtype), truncations=TRUNCATIONS)
        leaves = jax.tree.leaves(row.readout.ours(state, **given))
        parts = [part for leaf in leaves for part in (jnp.real(leaf), jnp.imag(leaf))]
        return jnp.concatenate([jnp.ravel(part).astype(real) for part in parts])

    def at_ket(ket):
        return jax.jvp(partial(read, ket=ket), (jnp.zeros((), real),), (jnp.ones((), real),))

    with jax.enable_x64(dtype == np.complex128):
        real = jnp.finfo(dtype).dtype
        run = jax.jit(jax.vmap(at_ket), compiler_options=FAST_COMPILATION)
        values, slopes = run(jnp.asarray(row.kets, dtype))
        return Readings(np.zeros(0), np.asarray(values), np.asarray(slopes))


def _read_by_reference(row: ReadoutRow) -> Readings:
    """The same, by central differences."""

    def read(step, ket):
        given = {
            name: np.asarray(value) + step * row.slopes[name]
            for name, value in row.readout.arguments.items()
        }
        leaves = jax.tree.leaves(row.readout.theirs(ket + step * row.direction, **given))
        parts = [part for leaf in leaves for part in (np.real(leaf), np.imag(leaf))]
        return np.concatenate([np.ravel(part).astype(float) for part in parts])

    values = [read(0.0, ket) for ket in row.kets]
    slopes = [_difference(partial(read, ket=ket)) for ket in row.kets]
    return Readings(np.zeros(0), np.stack(values), np.stack(slopes))


def _difference(read: Callable[[float], np.ndarray]) -> np.ndarray:
    """The derivative at 0 by five points."""
    far, near = read(2 * STEP) - read(-2 * STEP), read(STEP) - read(-STEP)
    return (8 * near - far) / (12 * STEP)


def from_strawberryfields(row: Row | ReadoutRow) -> Readings:
    """Run a row through Strawberry Fields' NumPy Fock engine, one point at a time, complex128;
    through NumPy where Strawberry Fields does not have it.
    """
    if isinstance(row, ReadoutRow):
        return _read_by_reference(row)
    return from_kets(row, references.run, _observables_strawberryfields, _means_strawberryfields)


def from_dense_gates(row: Row) -> Readings:
    """Run a row as plain NumPy contractions of fockjax's own dense gates, complex128.

    Not an independent check of the gates and readouts (other rows are that) but of the way a
    circuit runs them.
    """

    def read(reading):
        return lambda ket: np.asarray(
            reading(Circuit(modes=ket.ndim)({}, cutoff=row.cutoff, initial=ket, dtype=ket.dtype))
        )

    return from_kets(row, _run_dense_gates, read(observables), read(_means))


def _run_dense_gates(gates: Sequence[GateCall], ket: np.ndarray) -> np.ndarray:
    for name, given, modes in gates:
        spec = REGISTRY[name]
        values = tuple(given[parameter] for parameter in spec.parameters)
        options = tuple((option, given[option]) for option in spec.options)
        cutoffs = tuple(ket.shape[mode] for mode in modes)
        operator = np.asarray(_dense_gate(values, name, options, cutoffs))
        inputs = range(len(modes), 2 * len(modes))
        ket = np.tensordot(operator, ket, axes=(list(inputs), modes))
        ket = np.moveaxis(ket, range(len(modes)), modes)
    return ket


@partial(jax.jit, static_argnames=("name", "options", "cutoffs"))
def _dense_gate(values, name: str, options: tuple, cutoffs: tuple[int, ...]) -> jax.Array:
    size = cutoffs[0] if REGISTRY[name].modes == 1 else cutoffs
    gate = REGISTRY[name].build(*values, cutoff=size, dtype=np.complex128, **dict(options))
    return gate.to_dense()


def observables(state: State) -> jax.Array:
    """Every readout of a state as one real vector.

    Leakage; the fidelity with a product of coherent states; for each mode the mean and variance of
    the photon number and of three quadratures, its photon-number probabilities and its density
    matrix; the joint probabilities.
    """
    coherent = jnp.asarray(_coherent_product(state.cutoffs), state.ket().dtype)
    values = [state.leakage, state.fidelity(coherent)]
    for mode in range(state.modes):
        values += state.photon_number(mode)
        for angle in QUADRATURE_ANGLES:
            values += state.quadrature(mode, angle, hbar=2.0)
        reduced = state.reduced(mode)
        values += [state.probabilities(modes=(mode,)), reduced.real, reduced.imag]
    values.append(state.probabilities())
    return jnp.concatenate([jnp.ravel(value) for value in values])


def _means(state: State) -> jax.Array:
    """The real scalars whose gradients are compared: <n> and <x_0.7> of each mode."""
    return jnp.stack(
        [
            mean
            for mode in range(state.modes)
            for mean in (state.photon_number(mode).mean, state.quadrature(mode, 0.7, hbar=2.0).mean)
        ]
    )


def _observables_strawberryfields(ket: np.ndarray) -> np.ndarray:
    state = oracle.state(ket)
    values = [1 - state.trace(), state.fidelity_coherent([_alpha(m) for m in range(ket.ndim)])]
    for mode in range(ket.ndim):
        one = oracle.reduced_state(ket, mode)
        values += one.mean_photon(0)
        for angle in QUADRATURE_ANGLES:
            values += oracle.quadrature(one, angle)
        values += [one.all_fock_probs(), one.dm().real, one.dm().imag]
    values.append(state.all_fock_probs())
    return np.concatenate([np.ravel(value) for value in values])


def _means_strawberryfields(ket: np.ndarray) -> np.ndarray:
    states = [oracle.reduced_state(ket, mode) for mode in range(ket.ndim)]
    return np.array(
        [mean for s in states for mean in (s.mean_photon(0)[0], oracle.quadrature(s, 0.7)[0])]
    )


def _alpha(mode: int) -> complex:
    """The amplitude of the coherent state that mode ``mode`` is compared with."""
    return 0.6 * np.exp(1j * (0.4 + mode))


def _coherent_product(cutoffs: Sequence[int]) -> np.ndarray:
    """Truncated coherent states of amplitude ``_alpha(mode)``, as one joint ket."""
    ket = np.ones(())
    for mode, cutoff in enumerate(cutoffs):
        factorials = np.array([math.factorial(n) for n in range(cutoff)], float)
        amplitudes = _alpha(mode) ** np.arange(cutoff) / np.sqrt(factorials)
        ket = np.multiply.outer(ket, np.exp(-(abs(_alpha(mode)) ** 2) / 2) * amplitudes)
    return ket
