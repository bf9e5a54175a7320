"""What Strawberry Fields runs for each operation, and NumPy for the few it does not have."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fockjax.decompositions import pairs
from fockjax.interop import oracle
from fockjax.interop.oracle import Operation
from fockjax.validation.cases import GateCall
from fockjax.validation.readouts import hermite_functions

Parameters = Mapping[str, Any]

# Classes of `strawberryfields.ops` that take our parameters in our order.
CLASSES = {
    "beamsplitter": "BSgate",
    "cat": "Catstate",
    "coherent": "Coherent",
    "controlled_x": "CXgate",
    "controlled_z": "CZgate",
    "cross_kerr": "CKgate",
    "cubic_phase": "Vgate",
    "displacement": "Dgate",
    "fourier": "Fouriergate",
    "kerr": "Kgate",
    "mach_zehnder": "MZgate",
    "p_displacement": "Zgate",
    "quadratic_phase": "Pgate",
    "rotation": "Rgate",
    "squeezed": "Squeezed",
    "squeezing": "Sgate",
    "symmetric_mach_zehnder": "sMZgate",
    "two_mode_squeezed": "S2gate",
    "two_mode_squeezing": "S2gate",
    "vacuum": "Vacuum",
    "x_displacement": "Xgate",
}
ROOM = 400  # photon numbers that finite-energy GKP states reach
OPTIONS = ("exact", "padding", "hbar", "mesh", "n", "ampl_cutoff")


def strawberryfields(name: str, given: Parameters, modes: tuple[int, ...]) -> list[Operation]:
    """The operations of Strawberry Fields that are the operation ``name``, truncation apart."""
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
    if name == "displaced_squeezed":  # by gates: SF's own preparation is off by 1e-10 / sinh(2 r_s)
        r_d, phi_d, r_s, phi_s = (float(value) for value in given.values())
        return [("Sgate", (r_s, phi_s), modes), ("Dgate", (r_d, phi_d), modes)]
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
    return {"displaced_squeezed": 50, "gaussian": 24}.get(name)


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


def run(gates: Sequence[GateCall], ket: np.ndarray) -> np.ndarray:
    """Run operations one by one on a joint ket of equal cutoffs, complex128."""
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


def source(name: str) -> str:
    """Where the reference of an operation comes from."""
    return "NumPy" if name in NUMPY else "Strawberry Fields"


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
