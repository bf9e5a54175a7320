"""The reference for each operation: Strawberry Fields, or NumPy for what it does not have."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from fockjax.decompositions import pairs
from fockjax.detectors import REGISTRY as DETECTORS
from fockjax.interop import names, oracle
from fockjax.interop.oracle import Operation
from fockjax.validation import detection
from fockjax.validation.cases import Case, GateCall
from fockjax.validation.closed_forms import hermite_functions
from fockjax.validation.noise import KRAUS

Parameters = Mapping[str, Any]

# Classes of `strawberryfields.ops` that take our parameters in our order.
CLASSES = {**names.CLASSES, "fourier": "Fouriergate", "two_mode_squeezed": "S2gate"}
ROOM = 400  # photon numbers that finite-energy GKP states reach
OPTIONS = ("exact", "padding", "hbar", "mesh", "n", "ampl_cutoff")


def strawberryfields(name: str, given: Parameters, modes: tuple[int, ...]) -> list[Operation]:
    """The operations of Strawberry Fields that are the operation ``name``, truncation apart."""
    if name == "displaced_squeezed":  # by gates: SF's own preparation is off by 1e-10 / sinh(2 r_s)
        r_d, phi_d, r_s, phi_s = (float(value) for value in given.values())
        return [("Sgate", (r_s, phi_s), modes), ("Dgate", (r_d, phi_d), modes)]
    if name in CLASSES:
        values = [float(value) for key, value in given.items() if key not in OPTIONS]
        if name == "mach_zehnder" and values[0] == 0:
            values[0] = 2 * np.pi  # SF skips a gate whose first parameter is 0
        return [(CLASSES[name], values, modes)]
    if name == "interferometer":
        return _mesh(given["theta"], given["phi"], given["rotation"], modes, given["mesh"])
    if name == "gaussian_transform":
        meshes = [
            _mesh(theta, phi, rotation, modes)
            for theta, phi, rotation in zip(
                given["theta"], given["phi"], given["rotation"], strict=True
            )
        ]
        squeezers = [("Sgate", (float(r),), (m,)) for r, m in zip(given["r"], modes, strict=True)]
        return [*meshes[0], *squeezers, *meshes[1]]
    if name == "passive":
        return [("Interferometer", (_unitary(np.asarray(given["generator"])),), modes)]
    if name == "fock":
        return [("Fock", (given["n"],), modes)]
    if name == "photons":
        return [("MeasureFock", (given["select"],), modes)]
    if name == "homodyne":
        return [("MeasureHomodyne", (float(given["angle"]), float(given["select"])), modes)]
    if name == "mixed_gaussian":
        return [("Gaussian", (np.asarray(given["cov"]), np.asarray(given["mean"])), modes)]
    if name == "gaussian":
        return _gaussian(np.asarray(given["cov"]), np.asarray(given["mean"]), given["hbar"], modes)
    raise LookupError(f"Strawberry Fields has no {name!r}.")


def room(name: str, given: Parameters, cutoffs: Sequence[int]) -> int | None:
    """The cutoff at which Strawberry Fields must run so that, cut once in the end, it has the
    elements that the operation has; None: as it is.

    Gates between interferometers conserve photons before and after, so all cutoffs together are
    enough.
    """
    if given.get("exact", name == "passive"):
        return sum(cutoffs) - len(cutoffs) + 1
    if given.get("padding"):
        return cutoffs[0] + given["padding"]
    return {"displaced_squeezed": 50, "gaussian": 24, "mixed_gaussian": 16}.get(name)


def _snap(given: Parameters, ket: np.ndarray) -> np.ndarray:
    phases = np.asarray(given["phases"])
    angles = np.pad(phases, (0, len(ket) - len(phases)))
    return np.exp(1j * angles).reshape(-1, *(1,) * (ket.ndim - 1)) * ket


def _matrix(given: Parameters, ket: np.ndarray) -> np.ndarray:
    matrix = np.asarray(given["real"]) + 1j * np.asarray(given["imag"])
    modes = matrix.ndim // 2
    return np.tensordot(matrix, ket, axes=(range(modes, 2 * modes), range(modes)))


def _ket(given: Parameters, ket: np.ndarray) -> np.ndarray:
    array = np.asarray(given["real"]) + 1j * np.asarray(given["imag"])
    fit = [(0, size - length) for size, length in zip(ket.shape, array.shape, strict=True)]
    return np.pad(array, fit)


def _gkp(given: Parameters, ket: np.ndarray) -> np.ndarray:
    """``<n| e^{-epsilon n} |x>``, summed over the positions x of the lattice."""
    theta, phi, epsilon = (float(given[name]) for name in ("theta", "phi", "epsilon"))
    teeth = np.arange(-40, 41)
    qubit = np.where(teeth % 2, np.exp(-1j * phi) * np.sin(theta / 2), np.cos(theta / 2))
    n = np.arange(ROOM)
    waves = hermite_functions(np.sqrt(np.pi) * teeth, ROOM)
    whole = np.exp(-epsilon * n) * (waves @ qubit)
    kept = whole[: len(ket)]
    return kept / np.linalg.norm(whole if given["exact"] else kept)


# What Strawberry Fields lacks, or has with fewer digits (GKP: its displaced squeezed states), from
# the parameters and a ket in which the modes come first.
NUMPY: Mapping[str, Callable[[Parameters, np.ndarray], np.ndarray]] = {
    "gkp": _gkp,
    "ket": _ket,
    "snap": _snap,
    "unitary": _matrix,
}


class Result(NamedTuple):
    """The state that operations leave.

    Attributes:
        array: a ket, or a density matrix, row axes first.
        modes: their number.
        probability: of the outcomes selected, or its density; None if there are none.
    """

    array: np.ndarray
    modes: int
    probability: float | None = None


def run(gates: Sequence[GateCall], start: np.ndarray, modes: int) -> Result:
    """Run operations one by one on a joint ket or density matrix of equal cutoffs, complex128."""
    if start.ndim == modes:
        return Result(_run_pure(gates, start), modes)
    probability = None
    for name, traced, on in gates:
        given = {key: _number(value) for key, value in traced.items()}
        if name in DETECTORS:
            start, found = _measured(name, given, start, on)
            probability = found * (1 if probability is None else probability)
        else:
            start = _run_mixed(name, given, start, on)
    return Result(start, modes, probability)


def _number(value: Any) -> Any:
    """A JAX scalar as a number."""
    return value.item() if isinstance(value, jax.Array) and value.ndim == 0 else value


def _run_pure(gates: Sequence[GateCall], ket: np.ndarray) -> np.ndarray:
    pending: list[Operation] = []  # what SF can run at the cutoff of the ket
    for name, given, modes in gates:
        cutoffs = [ket.shape[mode] for mode in modes]
        size = None if name in NUMPY else room(name, given, cutoffs)
        if name not in NUMPY and size is None and "hbar" not in given:
            pending += strawberryfields(name, given, modes)
            continue
        ket, pending = oracle.run(pending, ket), []
        if name in NUMPY:
            order = (*modes, *(mode for mode in range(ket.ndim) if mode not in modes))
            ket = NUMPY[name](given, ket.transpose(order)).transpose(np.argsort(order))
        else:
            with oracle.convention(given.get("hbar", 2.0)):
                larger = size or ket.shape[0]
                fit = [(0, larger - length) for length in ket.shape]
                after = oracle.run(strawberryfields(name, given, modes), np.pad(ket, fit))
            ket = after[tuple(map(slice, ket.shape))]
    return oracle.run(pending, ket)


def _run_mixed(name: str, given: Parameters, rho: np.ndarray, modes) -> np.ndarray:
    """A gate, a channel or a preparation."""
    size, cutoff = len(rho) ** len(modes), len(rho)
    if name in KRAUS:
        return _mapped(KRAUS[name](given, cutoff), rho, modes)
    if name in NUMPY:  # a gate: on the rows, its conjugate on the columns
        n = rho.ndim // 2
        for _ in range(2):
            order = [*modes, *(axis for axis in range(2 * n) if axis not in modes)]
            rho = NUMPY[name](given, rho.transpose(order)).transpose(np.argsort(order))
            rho = rho.conj().transpose([*range(n, 2 * n), *range(n)])
        return rho
    if name == "density_matrix":
        array = np.asarray(given["real"]) + 1j * np.asarray(given["imag"])
        array = np.pad(array, [(0, cutoff - length) for length in array.shape])
        return _replaced(array.reshape(size, size), rho, modes)
    with oracle.convention(given.get("hbar", 2.0)):
        larger = room(name, given, [cutoff] * len(modes))
        if larger is None:
            return oracle.run_mixed(strawberryfields(name, given, modes), rho)
        vacuum = np.zeros((larger,) * (2 * len(modes)))
        vacuum.flat[0] = 1
        order = tuple(range(len(modes)))
        array = oracle.run_mixed(strawberryfields(name, given, order), vacuum)
        array = array[(slice(cutoff),) * array.ndim]
        return _replaced(array.reshape(size, size), rho, modes)


def _measured(name: str, given: Parameters, rho: np.ndarray, modes) -> tuple[np.ndarray, float]:
    """The state that a selected outcome leaves, scaled to the trace before, and its probability."""
    bras = detection.bras(name, given, len(rho))
    kraus = np.zeros((len(bras), len(rho), len(rho)), complex)
    kraus[:, 0] = bras  # the mode is in the vacuum afterwards
    after = _mapped(kraus, rho, modes)
    probability = _trace(after) / _trace(rho)
    if is_sf_measurement(name, given):
        with oracle.convention(given.get("hbar", 2.0)):
            return oracle.run_mixed(strawberryfields(name, given, modes), rho), probability
    return after / probability, probability


def is_sf_measurement(name: str, given: Parameters) -> bool:
    """Whether Strawberry Fields' Fock engine has it."""
    perfect = given.get("efficiency", 1) == 1 and given.get("dark_counts", 0) == 0
    return name == "homodyne" or (name == "photons" and perfect)


def _front(rho: np.ndarray, modes) -> tuple[np.ndarray, list[int]]:
    """A density matrix with four axes, (modes, others) of the rows, then of the columns; and the
    order in which the axes of ``rho`` were taken.
    """
    n = rho.ndim // 2
    order = [*modes, *(mode for mode in range(n) if mode not in modes)]
    axes = [side + mode for side in (0, n) for mode in order]
    size = len(rho) ** len(modes)
    rest = len(rho) ** (n - len(modes))
    return rho.transpose(axes).reshape(size, rest, size, rest), axes


def _mapped(kraus: np.ndarray, rho: np.ndarray, modes) -> np.ndarray:
    """The density matrix after Kraus operators, shape (J, size, size), on some modes."""
    front, axes = _front(rho, modes)
    half = np.tensordot(kraus, front, 1)  # [j, after, rest, before, rest]
    after = np.tensordot(half, kraus.conj(), ((0, 3), (0, 2))).transpose(0, 1, 3, 2)
    return after.reshape(rho.shape).transpose(np.argsort(axes))


def _replaced(new: np.ndarray, rho: np.ndarray, modes) -> np.ndarray:
    """Modes in a new state of shape (size, size), the others in the one they were left in."""
    front, axes = _front(rho, modes)
    rest = np.trace(front, 0, 0, 2)
    after = np.multiply.outer(new, rest).transpose(0, 2, 1, 3)
    return after.reshape(rho.shape).transpose(np.argsort(axes))


def _trace(rho: np.ndarray) -> float:
    side = math.isqrt(rho.size)
    return float(np.trace(rho.reshape(side, side)).real)


def mean_wave(gate: GateCall, start: np.ndarray) -> np.ndarray:
    """The mean of the `detection.wave` of an outcome that is drawn, and the mean of the wave times
    the parity of the other modes in the state that is left.
    """
    name, traced, modes = gate
    given = {key: _number(value) for key, value in traced.items()}
    front, _ = _front(start, modes)
    wave = detection.mean_wave(name, given, len(start))
    others = np.indices((len(start),) * (start.ndim // 2 - len(modes))).sum(0).ravel()
    parity = np.diag((-1.0) ** others)
    means = [np.einsum("ab,cd,bdac->", wave, each, front) for each in (np.eye(len(others)), parity)]
    return np.array([means[0] / _trace(start), means[1]])


def source(case: Case) -> str:
    """Where the reference of an operation comes from."""
    theirs = (
        is_sf_measurement(case.name, {**case.options, **case.ranges}) and not case.is_random
        if case.kind == "measurement"
        else case.name not in (*NUMPY, *KRAUS, "density_matrix")
    )
    return "Strawberry Fields" if theirs else "NumPy"


def _mesh(theta, phi, rotation, modes, kind: str = "rectangular") -> list[Operation]:
    mixers = [
        ("BSgate", (float(theta[k]), float(phi[k])), (modes[first], modes[second]))
        for k, (first, second) in enumerate(pairs(len(modes), kind))
    ]
    turns = [("Rgate", (float(r),), (m,)) for r, m in zip(rotation, modes, strict=True)]
    return [*mixers, *turns]


def _unitary(A: np.ndarray) -> np.ndarray:
    """exp(i H) of the generator of a passive transformation."""
    upper = np.triu(A, 1) + 1j * np.tril(A, -1).T
    values, vectors = np.linalg.eigh(np.diag(np.diag(A)) + upper + upper.conj().T)
    return (vectors * np.exp(1j * values)) @ vectors.conj().T


def _gaussian(cov, mean, hbar: float, modes) -> list[Operation]:
    """A pure Gaussian state from the vacuum: its covariance is ``S S^T hbar/2`` with S positive."""
    values, vectors = np.linalg.eigh(2 * cov / hbar)
    S = (vectors * np.sqrt(values)) @ vectors.T
    x, p = np.reshape(mean, (2, -1)) / np.sqrt(2 * hbar)
    return [
        ("GaussianTransform", (S,), modes),
        *(
            ("Dgate", (np.hypot(re, im), np.arctan2(im, re)), (mode,))
            for mode, re, im in zip(modes, x, p, strict=True)
        ),
    ]
