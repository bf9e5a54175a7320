"""Every readout of a state, and the same from Strawberry Fields, or NumPy where it has none."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fockjax import geometry
from fockjax.interop import oracle
from fockjax.states import State


@dataclass(frozen=True)
class Readout:
    """A readout of a state of three modes.

    Attributes:
        name: of the method or property of `fockjax.State`, or of a function of a state.
        ours: reads a state: any tree of arrays.
        theirs: reads its ket: the same arrays, in a list.
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


TRUNCATIONS = 3  # of the states that are read


def state(ket: np.ndarray) -> Any:
    """Strawberry Fields' state of a ket, all cutoffs raised to the largest."""
    size = max(ket.shape)
    return oracle.state(np.pad(ket, [(0, size - length) for length in ket.shape]))


def cut(array: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The part of an array that is below the cutoffs."""
    return array[tuple(map(slice, shape))]


def density(ket: np.ndarray, *modes: int) -> np.ndarray:
    """The density matrix of some modes, shape (size, size)."""
    rest = [mode for mode in range(ket.ndim) if mode not in modes]
    matrix = ket.transpose(*modes, *rest).reshape(math.prod(ket.shape[m] for m in modes), -1)
    return matrix @ matrix.conj().T


def quadrature(ket: np.ndarray, mode: int, angle: float, hbar: float = 2.0) -> np.ndarray:
    """``x cos(angle) + p sin(angle)`` of a mode on a ket, one photon number more in each mode."""
    ket = np.pad(ket, [(0, 1)] * ket.ndim)
    a = np.diag(np.sqrt(np.arange(1.0, ket.shape[mode])), 1)
    x = math.sqrt(hbar / 2) * (np.exp(-1j * angle) * a + np.exp(1j * angle) * a.T)
    return np.moveaxis(np.tensordot(x, ket, axes=(1, mode)), 0, mode)


def moment(ket, mode, power, angle, hbar) -> float:
    """The mean of a power of a quadrature."""
    after = ket
    for _ in range(power):
        after = quadrature(after, mode, angle, hbar)
    return np.vdot(ket, cut(after, ket.shape)).real


def covariance(ket, hbar) -> tuple[np.ndarray, np.ndarray]:
    """Means and covariance matrix of (x1, .., xn, p1, .., pn)."""
    after = [
        quadrature(ket, mode, angle, hbar) for angle in (0, np.pi / 2) for mode in range(ket.ndim)
    ]
    means = np.array([np.vdot(ket, cut(one, ket.shape)).real for one in after])
    products = np.array([[np.vdot(one, other).real for other in after] for one in after])
    return means, products - np.outer(means, means)


def hermite_functions(x: np.ndarray, count: int) -> np.ndarray:
    """Those of orders below ``count``, shape (count, points)."""
    rows = [np.zeros_like(x, float), math.pi**-0.25 * np.exp(-(x**2) / 2)]
    for n in range(count - 1):
        rows.append((math.sqrt(2) * x * rows[-1] - math.sqrt(n) * rows[-2]) / math.sqrt(n + 1))
    return np.array(rows[1:])


def distribution(ket, mode, x, angle, hbar) -> np.ndarray:
    """The probability density of a quadrature."""
    rho = density(ket, mode)
    waves = hermite_functions(x / math.sqrt(hbar), len(rho)) * hbar**-0.25
    waves = waves * np.exp(-1j * angle * np.arange(len(rho)))[:, None]
    return np.einsum("mx,mn,nx->x", waves, rho, waves.conj()).real


def entropy(ket, *modes) -> float:
    """Von Neumann's entropy."""
    values = np.linalg.eigvalsh(density(ket, *modes))
    values = values[values > 1e-14]
    return -float(np.sum(values * np.log(values)))


def coherent(alpha: complex, cutoff: int) -> np.ndarray:
    """A truncated coherent state."""
    factorials = np.array([math.factorial(n) for n in range(cutoff)], float)
    return np.exp(-(abs(alpha) ** 2) / 2) * alpha ** np.arange(cutoff) / np.sqrt(factorials)


def in_units(hbar, read) -> Any:
    """What ``read`` reads where ``strawberryfields.hbar`` is ``hbar``."""
    with oracle.convention(hbar):
        return read()


def on_two_modes(A, d) -> tuple[Any, Any]:
    """Coefficients of modes 0 and 2 as those of three modes."""
    places = np.eye(6)[:, [0, 2, 3, 5]].astype(A.dtype)
    return places @ (A + A.T) / 2 @ places.T, places @ d


def phases(ket: Any, t: Any) -> Any:
    """A ket after a rotation of each mode."""
    turned = ket
    for mode, length in enumerate(ket.shape):
        angles = t[mode] * jnp.arange(length, dtype=t.dtype)
        turn = jax.lax.complex(jnp.cos(angles), jnp.sin(angles))
        turned = turned * turn.reshape([-1 if k == mode else 1 for k in range(ket.ndim)])
    return turned


def photon_covariance(ket: np.ndarray) -> np.ndarray:
    """``<n_i n_j> - <n_i> <n_j>``: the metric tensor of rotations."""
    p, n = abs(ket) ** 2, np.indices(ket.shape)
    means = np.einsum("iabc,abc->i", n, p)
    return np.einsum("iabc,jabc,abc->ij", n, n, p) - np.outer(means, means)


ALPHA = [0.6 * np.exp(1j * (0.4 + mode)) for mode in range(3)]
UNITS = ((0, 2.0), (1, 1.0), (2, 2.0))  # modes, and hbar for each
GRID = {"x": np.array([-1.7, 0.2, 0.9, 2.6]), "p": np.array([-0.8, 0.5, 1.9])}

READOUTS: tuple[Readout, ...] = (
    numpy("ket", lambda s: s.ket(), lambda k: [k]),
    sf(
        "density_matrix",
        lambda s: s.density_matrix(),
        lambda k: [cut(state(k).dm().transpose(0, 2, 4, 1, 3, 5), k.shape * 2)],
    ),
    sf("trace", lambda s: s.trace, lambda k: [state(k).trace()]),
    sf("norm", lambda s: s.norm, lambda k: [math.sqrt(state(k).trace())]),
    sf("leakage", lambda s: s.leakage, lambda k: [1 - state(k).trace()]),
    numpy(
        "error_bound",
        lambda s: s.error_bound,
        lambda k: [math.sqrt(TRUNCATIONS * max(1 - np.linalg.norm(k) ** 2, 0))],
    ),
    numpy("is_finite", lambda s: s.is_finite, lambda k: [True]),
    sf(
        "probability", lambda s: s.probability((1, 2, 0)), lambda k: [state(k).fock_prob([1, 2, 0])]
    ),
    sf(
        "probabilities",
        lambda s: (s.probabilities(), s.probabilities((2, 0)), s.probabilities(1)),
        lambda k: [
            cut(p := state(k).all_fock_probs(), k.shape),
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
        lambda k, values: [np.sum(cut(values, (k.shape[2], k.shape[0])) * (abs(k) ** 2).sum(1).T)],
        values=np.random.RandomState(1).uniform(-1, 1, (6, 6)),
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
        lambda s: s.fidelity(_coherent_product(s.cutoffs).astype(s.dtype)),
        lambda k: [abs(np.vdot(_coherent_product(k.shape), k)) ** 2],
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
        lambda s, t: geometry.metric_tensor(partial(phases, s.ket()), t),
        lambda k, t: [photon_covariance(k)],
        t=np.array([0.3, -0.7, 1.1]),
    ),
    numpy(
        "quantum_fisher",
        lambda s, t: geometry.quantum_fisher(partial(phases, s.ket()), t),
        lambda k, t: [4 * photon_covariance(k)],
        t=np.array([0.3, -0.7, 1.1]),
    ),
    sf("fidelity_vacuum", lambda s: s.fidelity_vacuum(), lambda k: [state(k).fidelity_vacuum()]),
)


def _coherent_product(cutoffs: Sequence[int]) -> np.ndarray:
    ket = np.ones(())
    for alpha, cutoff in zip(ALPHA, cutoffs, strict=True):
        ket = np.multiply.outer(ket, coherent(alpha, cutoff))
    return ket


# What a State tells of how it is stored, which is not read from its amplitudes.
STRUCTURE = {"cutoffs", "dtype", "factors", "groups", "hbar", "is_pure", "modes", "reflects"}
STRUCTURE |= {"require_pure", "truncations"}


def public_readouts() -> set[str]:
    """The readouts there are, which is what has to be in `READOUTS`."""
    # samples have no value to compare: `tests/test_sampling.py`
    methods = {name for name in dir(State) if not name.startswith(("_", "sample_"))} - STRUCTURE
    return methods | {"metric_tensor", "quantum_fisher"}
