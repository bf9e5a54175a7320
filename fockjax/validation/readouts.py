"""Every readout of a state, and its reference: Strawberry Fields, or NumPy for what it lacks.

The states that are read have three modes. They are given as kets, or as density matrices with the
row axes first.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fockjax import gates, geometry
from fockjax.interop import oracle
from fockjax.operators import Diagonal
from fockjax.states import State
from fockjax.validation import detection
from fockjax.validation.closed_forms import coherent, hermite_functions


@dataclass(frozen=True)
class Readout:
    """A readout of a state of three modes.

    Attributes:
        name: of the method or property of `fockjax.State`, or of a function of a state.
        ours: reads a state: any tree of arrays.
        theirs: reads its ket or density matrix: the same arrays, in a list.
        arguments: real numbers and arrays that both take by name, and depend on smoothly.
        source: what ``theirs`` runs.
    """

    name: str
    ours: Callable[..., Any]
    theirs: Callable[..., Sequence[Any]]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    source: str = "Strawberry Fields"


def numpy(name, ours, theirs, **arguments) -> Readout:
    """A readout that Strawberry Fields does not have."""
    return Readout(name, ours, theirs, arguments, "NumPy")


def sf(name, ours, theirs, **arguments) -> Readout:
    """A readout that Strawberry Fields has."""
    return Readout(name, ours, theirs, arguments)


TRUNCATIONS = 3  # what the states that are read have for `State.truncations`
MODES = 3


def is_ket(array: np.ndarray) -> bool:
    """Whether an array is a ket, not a density matrix."""
    return array.ndim == MODES


def sizes(array: np.ndarray) -> tuple[int, ...]:
    """The cutoffs of a ket or a density matrix."""
    return array.shape[:MODES]


def state(array: np.ndarray, modes: int = MODES) -> Any:
    """Strawberry Fields' state of a ket or a density matrix, all cutoffs raised to the largest."""
    size = max(array.shape)
    array = np.pad(array, [(0, size - length) for length in array.shape])
    if array.ndim == modes:
        return oracle.state(array)
    return oracle.load().backends.BaseFockState(oracle.interleaved(array), modes, False, size)


def cut(array: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The part of an array that is below the cutoffs."""
    return array[tuple(map(slice, shape))]


def density(array: np.ndarray, *modes: int) -> np.ndarray:
    """The density matrix of some modes, shape (size, size)."""
    if is_ket(array):
        array = np.multiply.outer(array, array.conj())
    rest = [mode for mode in range(MODES) if mode not in modes]
    order = [mode + side for side in (0, MODES) for mode in (*modes, *rest)]
    kept, gone = (math.prod(array.shape[mode] for mode in some) for some in (modes, rest))
    return np.trace(array.transpose(order).reshape(kept, gone, kept, gone), 0, 1, 3)


def populations(array: np.ndarray, *modes: int) -> np.ndarray:
    """The photon-number probabilities of some modes."""
    return np.real(np.diagonal(density(array, *modes))).reshape([array.shape[m] for m in modes])


def mean_of(observable: np.ndarray, rho: np.ndarray) -> complex:
    """``trace(observable rho)``."""
    return complex(np.sum(observable * rho.T))


def quadrature(size: int, angle: float, hbar: float = 2.0) -> np.ndarray:
    """``x cos(angle) + p sin(angle)``, cut."""
    a = np.diag(np.sqrt(np.arange(1.0, size)), 1)
    return math.sqrt(hbar / 2) * (np.exp(-1j * angle) * a + np.exp(1j * angle) * a.T)


def moment(array, mode, power, angle, hbar) -> float:
    """The mean of a power of a quadrature."""
    rho = density(array, mode)
    x = quadrature(len(rho) + power, angle, hbar)  # with room for what it lifts
    return mean_of(cut(np.linalg.matrix_power(x, power), rho.shape), rho).real


def covariance(array, hbar) -> tuple[np.ndarray, np.ndarray]:
    """Means and covariance matrix of (x1, .., xn, p1, .., pn)."""
    labels = [(mode, angle) for angle in (0, np.pi / 2) for mode in range(MODES)]
    means = np.array([moment(array, mode, 1, angle, hbar) for mode, angle in labels])

    def product(one, other) -> float:
        (mode, angle), (second, turn) = one, other
        if mode != second:
            rho = density(array, mode, second)
            x, y = (
                quadrature(array.shape[mode], angle, hbar),
                quadrature(array.shape[second], turn, hbar),
            )
            return mean_of(np.kron(x, y), rho).real
        rho = density(array, mode)
        x, y = (quadrature(len(rho) + 1, each, hbar) for each in (angle, turn))
        return mean_of(cut(x @ y + y @ x, rho.shape) / 2, rho).real

    products = np.array([[product(one, other) for other in labels] for one in labels])
    return means, products - np.outer(means, means)


def distribution(array, mode, x, angle, hbar) -> np.ndarray:
    """The probability density of a quadrature."""
    rho = density(array, mode)
    waves = hermite_functions(x / math.sqrt(hbar), len(rho)) * hbar**-0.25
    waves = waves * np.exp(-1j * angle * np.arange(len(rho)))[:, None]
    return np.einsum("mx,mn,nx->x", waves, rho, waves.conj()).real


def entropy(array, *modes) -> float:
    """Von Neumann's entropy."""
    values = np.linalg.eigvalsh(density(array, *modes))
    values = values[values > 1e-14]
    return -float(np.sum(values * np.log(values)))


def error_bound(array) -> float:
    """``sqrt(truncations * leakage)`` of a ket, twice that of a density matrix."""
    root = math.sqrt(TRUNCATIONS * max(1 - np.trace(density(array, 0)).real, 0.0))
    return root if is_ket(array) else 2 * root


def fidelity(array) -> float:
    """The fidelity with a product of coherent states."""
    ket = coherent_product(sizes(array)).ravel()
    return float(np.real(np.vdot(ket, density(array, 0, 1, 2) @ ket)))


def in_units(hbar, read) -> Any:
    """What ``read`` reads where ``strawberryfields.hbar`` is ``hbar``."""
    with oracle.convention(hbar):
        return read()


def on_two_modes(A, d) -> tuple[Any, Any]:
    """The coefficients of a polynomial in modes 0 and 2, as coefficients for three modes."""
    source = np.array([0, 0, 1, 2, 0, 3])
    there = np.array([1, 0, 1, 1, 0, 1]).astype(A.dtype)
    return ((A + A.T) / 2)[np.ix_(source, source)] * np.outer(there, there), d[source] * there


def turned(state: State, t: Any) -> State:
    """A state after a rotation of each mode."""
    turns = {}
    for mode, length in enumerate(state.cutoffs):
        angles = t[mode] * jnp.arange(length, dtype=t.dtype)
        turns[mode] = Diagonal(jax.lax.complex(jnp.cos(angles), jnp.sin(angles)))
    factors = (f.apply_diagonals({mode: turns[mode] for mode in f.modes}) for f in state.factors)
    return replace(state, factors=tuple(factors))


def photon_fisher(array: np.ndarray) -> np.ndarray:
    """The quantum Fisher information of rotations, from the spectrum of the density matrix. It is
    smooth where a difference quotient makes a small eigenvalue negative.
    """
    rho, n = density(array, 0, 1, 2), np.indices(sizes(array)).reshape(MODES, -1)
    values, vectors = np.linalg.eigh(rho)
    sums = values[:, None] + values
    weights = np.divide(2, sums, where=abs(sums) > 1e-12, out=np.zeros_like(sums))
    slopes = 1j * (n[:, :, None] - n[:, None, :]) * rho
    inside = np.einsum("ak,iab,bl->ikl", vectors.conj(), slopes, vectors)
    return np.einsum("kl,ikl,jkl->ij", weights, inside, inside.conj()).real


def photon_covariance(ket: np.ndarray) -> np.ndarray:
    """``<n_i n_j> - <n_i> <n_j>``: the metric tensor of rotations."""
    p, n = abs(ket) ** 2, np.indices(ket.shape)
    means = np.einsum("iabc,abc->i", n, p)
    return np.einsum("iabc,jabc,abc->ij", n, n, p) - np.outer(means, means)


def alpha(mode: int) -> complex:
    """The amplitude of the coherent state that mode ``mode`` is compared with."""
    return 0.6 * np.exp(1j * (0.4 + mode))


def coherent_product(cutoffs: Sequence[int]) -> np.ndarray:
    """Truncated coherent states of amplitude ``alpha(mode)``, as one joint ket."""
    ket = np.ones(())
    for mode, cutoff in enumerate(cutoffs):
        ket = np.multiply.outer(ket, coherent(alpha(mode), cutoff))
    return ket


def mixture(cutoffs: Sequence[int]) -> np.ndarray:
    """A density matrix to compare with, of full rank."""
    ket, size = coherent_product(cutoffs), math.prod(cutoffs)
    rest = np.eye(size).reshape(*cutoffs, *cutoffs) / size
    return 0.7 * np.multiply.outer(ket, ket.conj()) + 0.2 * rest


def parts(re: Any, im: Any, cutoffs: Sequence[int]) -> tuple[Any, Any]:
    """Both parts of an operator on modes (2, 0), out axes first, cut from larger ones."""
    shape = (cutoffs[2], cutoffs[0]) * 2
    return cut(re, shape), cut(im, shape)


def dense(re: np.ndarray, im: np.ndarray) -> np.ndarray:
    """The operator as a matrix."""
    return (re + 1j * im).reshape((math.isqrt(re.size),) * 2)


def displaced(r: float, phi: float, cutoff: int) -> np.ndarray:
    """The elements of ``D(r e^{i phi})``, cut from an exponential with room for what it lifts."""
    a = np.diag(np.sqrt(np.arange(1.0, cutoff + 60)), 1)
    half = r * np.exp(-1j * phi) * a
    values, vectors = np.linalg.eigh(1j * (half.conj().T - half))
    return cut((vectors * np.exp(-1j * values)) @ vectors.conj().T, (cutoff, cutoff))


ALPHA = [alpha(mode) for mode in range(MODES)]
UNITS = ((0, 2.0), (1, 1.0), (2, 2.0))  # modes, and hbar for each
GRID = {"x": np.array([-1.7, 0.2, 0.9, 2.6]), "p": np.array([-0.8, 0.5, 1.9])}

READOUTS: tuple[Readout, ...] = (
    numpy("ket", lambda s: s.ket(), lambda k: [k]),
    sf(
        "density_matrix",
        lambda s: s.density_matrix(),
        lambda k: [cut(oracle.rows_first(state(k).dm()), sizes(k) * 2)],
    ),
    sf("trace", lambda s: s.trace, lambda k: [state(k).trace()]),
    sf("norm", lambda s: s.norm, lambda k: [math.sqrt(state(k).trace())]),
    sf("leakage", lambda s: s.leakage, lambda k: [1 - state(k).trace()]),
    numpy(
        "error_bound",
        lambda s: s.error_bound,
        lambda k: [error_bound(k)],
    ),
    numpy("is_finite", lambda s: s.is_finite, lambda k: [True]),
    sf(
        "probability", lambda s: s.probability((1, 2, 0)), lambda k: [state(k).fock_prob([1, 2, 0])]
    ),
    sf(
        "probabilities",
        lambda s: (s.probabilities(), s.probabilities((2, 0)), s.probabilities(1)),
        lambda k: [
            cut(p := state(k).all_fock_probs(), sizes(k)),
            cut(p.sum(1).T, (k.shape[2], k.shape[0])),
            cut(p.sum((0, 2)), k.shape[1:2]),
        ],
    ),
    sf(
        "photon_number",
        lambda s: [s.photon_number(mode) for mode in range(3)],
        lambda k: [state(k).mean_photon(mode) for mode in range(3)],
    ),
    sf(
        "photon_number_product",
        lambda s: (s.photon_number_product((0, 2)), s.photon_number_product()),
        lambda k: [state(k).number_expectation(modes) for modes in ([0, 2], [0, 1, 2])],
    ),
    sf(
        "parity",
        lambda s: (s.parity(1), s.parity((2, 0)), s.parity()),
        lambda k: [state(k).parity_expectation(modes) for modes in ([1], [0, 2], [0, 1, 2])],
    ),
    numpy(
        "diagonal_expectation",
        lambda s, values: s.diagonal_expectation(
            values[: s.cutoffs[2], : s.cutoffs[0]], modes=(2, 0)
        ),
        lambda k, values: [np.sum(cut(values, (k.shape[2], k.shape[0])) * populations(k, 2, 0))],
        values=np.random.RandomState(1).uniform(-1, 1, (6, 6)),
    ),
    numpy(
        "expectation",
        lambda s, re, im, r, phi: (
            s.expectation(jax.lax.complex(*parts(re, im, s.cutoffs)), (2, 0)),
            s.expectation(gates.displacement(r, phi, cutoff=s.cutoffs[1], dtype=s.dtype), 1),
        ),
        lambda k, re, im, r, phi: [
            mean_of(dense(*parts(re, im, sizes(k))), density(k, 2, 0)),
            mean_of(displaced(r, phi, k.shape[1]), density(k, 1)),
        ],
        re=np.random.RandomState(5).uniform(-1, 1, (6, 6, 6, 6)),
        im=np.random.RandomState(6).uniform(-1, 1, (6, 6, 6, 6)),
        r=0.8,
        phi=0.4,
    ),
    sf(
        "mean_amplitude",
        lambda s: [s.mean_amplitude(mode) for mode in range(3)],
        lambda k: [
            complex(*(state(k).quad_expectation(mode, angle)[0] / 2 for angle in (0, np.pi / 2)))
            for mode in range(3)
        ],
    ),
    sf(
        "quadrature",
        lambda s, angle: [s.quadrature(mode, angle, hbar) for mode, hbar in UNITS],
        lambda k, angle: [
            in_units(hbar, lambda: state(k).quad_expectation(mode, angle))  # noqa: B023
            for mode, hbar in UNITS
        ],
        angle=0.7,
    ),
    numpy(
        "quadrature_moment",
        lambda s, angle: [
            s.quadrature_moment(mode, power, angle, hbar)
            for mode, hbar in UNITS
            for power in (3, 4)
        ],
        lambda k, angle: [
            moment(k, mode, power, angle, hbar) for mode, hbar in UNITS for power in (3, 4)
        ],
        angle=0.7,
    ),
    numpy(
        "quadrature_means",
        lambda s: [s.quadrature_means(hbar=hbar) for hbar in (1.0, 2.0)],
        lambda k: [covariance(k, hbar)[0] for hbar in (1.0, 2.0)],
    ),
    numpy(
        "covariance",
        lambda s: [s.covariance(hbar=hbar) for hbar in (1.0, 2.0)],
        lambda k: [covariance(k, hbar)[1] for hbar in (1.0, 2.0)],
    ),
    sf(
        "quadrature_polynomial",
        lambda s, A, d, k, angle: [
            s.quadrature_polynomial(*on_two_modes(A, d), k, angle, hbar) for hbar in (1.0, 2.0)
        ],
        lambda ket, A, d, k, angle: [
            in_units(
                hbar,
                lambda: state(ket).poly_quad_expectation(*on_two_modes(A, d), k, angle),
            )
            for hbar in (1.0, 2.0)
        ],
        A=np.random.RandomState(2).uniform(-1, 1, (4, 4)),
        d=np.random.RandomState(3).uniform(-1, 1, 4),
        k=0.3,
        angle=0.7,
    ),
    numpy(
        "quadrature_distribution",
        lambda s, x, angle: [
            s.quadrature_distribution(mode, x, angle, hbar) for mode, hbar in UNITS
        ],
        lambda k, x, angle: [distribution(k, mode, x, angle, hbar) for mode, hbar in UNITS],
        x=GRID["x"],
        angle=0.7,
    ),
    sf(
        "wigner",
        lambda s, x, p: [s.wigner(mode, x, p, hbar) for mode, hbar in UNITS],
        lambda k, x, p: [
            in_units(hbar, lambda: state(k).wigner(mode, x, p))  # noqa: B023
            for mode, hbar in UNITS
        ],
        **GRID,
    ),
    sf(
        "reduced",
        lambda s: (s.reduced(1), s.reduced((2, 0))),
        lambda k: [
            cut(state(k).reduced_dm([1]), k.shape[1:2] * 2),
            cut(state(k).reduced_dm([0, 2]).transpose(2, 0, 3, 1), (k.shape[2], k.shape[0]) * 2),
        ],
    ),
    numpy(
        "purity",
        lambda s: (s.purity(1), s.purity((2, 0)), s.purity((1, 2))),
        lambda k: [np.sum(abs(density(k, *m)) ** 2) for m in ((1,), (2, 0), (1, 2))],
    ),
    numpy(
        "entropy",
        lambda s: (s.entropy(1), s.entropy(2), s.entropy((1, 2))),
        lambda k: [entropy(k, *m) for m in ((1,), (2,), (1, 2))],
    ),
    numpy(
        "fidelity",
        lambda s: s.fidelity(coherent_product(s.cutoffs).astype(s.dtype)),
        lambda k: [fidelity(k)],
    ),
    numpy(
        "overlap",
        lambda s: s.overlap(coherent_product(s.cutoffs).astype(s.dtype)),
        lambda k: [np.vdot(k, coherent_product(sizes(k)))],
    ),
    numpy(
        "hilbert_schmidt",
        lambda s: s.hilbert_schmidt(mixture(s.cutoffs).astype(s.dtype)),
        lambda k: [
            np.vdot(density(k, 0, 1, 2), mixture(sizes(k)).reshape((math.prod(sizes(k)),) * 2)).real
        ],
    ),
    sf(
        "fidelity_coherent",
        lambda s, r, phi: s.fidelity_coherent(r, phi),
        lambda k, r, phi: [state(k).fidelity_coherent(r * np.exp(1j * phi))],
        r=np.abs(ALPHA),
        phi=np.angle(ALPHA),
    ),
    numpy(
        "metric_tensor",
        lambda s, t: geometry.metric_tensor(lambda t: turned(s, t).ket(), t),
        lambda k, t: [photon_covariance(k)],
        t=np.array([0.3, -0.7, 1.1]),
    ),
    numpy(
        "quantum_fisher",
        lambda s, t: geometry.quantum_fisher(partial(turned, s), t),
        lambda k, t: [photon_fisher(k)],
        t=np.array([0.3, -0.7, 1.1]),
    ),
    sf("fidelity_vacuum", lambda s: s.fidelity_vacuum(), lambda k: [state(k).fidelity_vacuum()]),
)


PURE_ONLY = {"ket", "metric_tensor", "overlap"}  # readouts that mixed states do not have

SHOTS = 2**14
MEASURED = (2, 0)
ANGLES = (0.4, 1.9)


def sampled(name: str, ours: Callable[..., Any], **given: Any) -> Readout:
    """A readout that samples modes (2, 0). Compared is the mean, over the shots, of the product of
    the `detection.wave` of both outcomes.
    """

    def mean(array):
        rho = density(array, *MEASURED)
        waves = [
            detection.mean_wave(
                name.removeprefix("sample_"),
                {key: value[k] if key == "angle" else value for key, value in given.items()},
                array.shape[mode],
            )
            for k, mode in enumerate(MEASURED)
        ]
        return [mean_of(np.kron(*waves), rho) / np.trace(rho).real]

    return numpy(name, partial(ours, modes=MEASURED, **given), mean)


SAMPLES: tuple[Readout, ...] = (
    sampled("sample_photons", State.sample_photons, efficiency=0.7, dark_counts=0.2),
    sampled("sample_threshold", State.sample_threshold, efficiency=0.6, dark_counts=0.1),
    sampled("sample_homodyne", State.sample_homodyne, angle=ANGLES, hbar=2.0),
    sampled("sample_heterodyne", State.sample_heterodyne),
)
"""Readouts that draw: ``ours(state, key=.., shots=..)`` are outcomes, ``theirs`` is a mean."""

# Attributes of a State that are no readouts: how it is stored,
STRUCTURE = {"cutoffs", "dtype", "factors", "groups", "hbar", "is_pure", "layout", "modes"}
STRUCTURE |= {"reflects", "require_one_sample", "require_pure", "truncation", "truncations"}
# the `ket` as it is stored, which tests/test_truncation.py covers,
STRUCTURE |= {"amplitudes"}
# and what was measured on the way to it, which the cases of measurements cover.
STRUCTURE |= {"outcomes", "rarest", "rarest_selection", "score", "selected"}
STRUCTURE |= {"selection_probability", "weight"}


def public_readouts() -> set[str]:
    """The names of all readouts, each of which must be in `READOUTS` or `SAMPLES`."""
    methods = {name for name in dir(State) if not name.startswith("_")} - STRUCTURE
    return methods | {"metric_tensor", "quantum_fisher"}
