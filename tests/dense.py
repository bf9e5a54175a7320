"""Circuits the slow way, in NumPy alone: gates from their generators, applied one by one; and
random circuits to compare with.

Nothing here shares code with the package: a displacement or squeezing is the exponential of its
generator on a space so large that its edge is not felt, a beamsplitter the exponential in each
sector of the total photon number, where the generator is finite.  A phase of the positions is a
Gauss-Hermite quadrature over them, on so many nodes that it is exact.
"""

from functools import cache
from math import comb

import numpy as np
from scipy.special import factorial

import fockjax as fj

PAD = 80  # photon numbers beyond the cutoff: enough for |alpha| <= 1, r <= 0.6, |s| <= 1

PARAMETERS = {
    "displacement": ("r", "phi"),
    "squeezing": ("r", "phi"),
    "rotation": ("phi",),
    "kerr": ("kappa",),
    "beamsplitter": ("theta", "phi"),
}
"""The gates of `random_gates`, by which circuits are tested."""

MORE_PARAMETERS = {
    "x_displacement": ("x",),
    "p_displacement": ("p",),
    "quadratic_phase": ("s",),
    "cubic_phase": ("gamma",),
    "fourier": (),
    "cross_kerr": ("kappa",),
    "two_mode_squeezing": ("r", "phi"),
    "mach_zehnder": ("phi_in", "phi_ex"),
    "symmetric_mach_zehnder": ("phi_in", "phi_ex"),
    "controlled_x": ("s",),
    "controlled_z": ("s",),
}
"""The other gates of real numbers that `gate` knows."""

SCALES = {"r": 0.5, "phi": 3.0, "kappa": 1.5, "theta": 2.0}


def exponential(generator):
    """exp of an anti-Hermitian matrix."""
    values, vectors = np.linalg.eigh(-1j * generator)
    return (vectors * np.exp(1j * values)) @ vectors.conj().T


def lowering(size):
    return np.diag(np.sqrt(np.arange(1.0, size)), 1)


@cache
def gate(name, values, cutoffs, hbar=2.0, exact=False, padding=0):
    """Elements of a gate cut to the cutoffs, output photon numbers first."""
    if len(cutoffs) == 2:
        return _two_mode_gate(name, values, cutoffs, exact)
    (cutoff,) = cutoffs
    n = np.arange(cutoff)
    if name == "rotation":
        return np.diag(np.exp(1j * values[0] * n))
    if name == "kerr":
        return np.diag(np.exp(1j * values[0] * n**2))
    if name == "fourier":
        return np.diag(np.exp(1j * np.pi / 2 * n))
    if name == "x_displacement":
        return gate("displacement", (values[0] / np.sqrt(2 * hbar), 0.0), cutoffs)
    if name == "p_displacement":
        return gate("displacement", (values[0] / np.sqrt(2 * hbar), np.pi / 2), cutoffs)
    if name == "quadratic_phase":  # e^{-i theta / 2} exp(i s x^2 / 2 hbar)
        x, weights = positions(cutoff)
        phase = np.exp(1j * values[0] * x**2 / 4 - 1j * np.arctan(values[0] / 2) / 2)
        return np.einsum("k,mnk->mn", phase, weights)
    if name == "cubic_phase":
        a = lowering(cutoff + padding)
        x = np.sqrt(hbar / 2) * (a + a.T)
        generator = 1j * values[0] / (3 * hbar) * x @ x @ x
        return exponential(generator)[:cutoff, :cutoff]
    r, phi = values
    a = lowering(cutoff + PAD)
    if name == "displacement":
        up = r * np.exp(1j * phi) * a.T
    else:
        up = -r * np.exp(1j * phi) * a.T @ a.T / 2
    return exponential(up - up.conj().T)[:cutoff, :cutoff]


def positions(cutoff):
    """Eigenvalues of a + a+ (x at hbar = 2), and <m|x><x|n> of each: an integral over x."""
    a = lowering(cutoff + PAD)
    x, vectors = np.linalg.eigh(a + a.T)
    return x, np.einsum("mk,nk->mnk", vectors[:cutoff], vectors[:cutoff])


def _two_mode_gate(name, values, cutoffs, exact):
    if name == "beamsplitter":
        return _beamsplitter(*values, cutoffs)
    if name == "two_mode_squeezing":
        return _two_mode_squeezing(*values, cutoffs)
    if name == "cross_kerr":
        n1, n2 = np.indices(cutoffs).reshape(2, -1)
        return np.diag(np.exp(1j * values[0] * n1 * n2)).reshape(cutoffs * 2)
    if exact and name == "controlled_x":  # R2+ CZ R2, since R+ x R = -p
        turn = 1j ** np.arange(cutoffs[1])
        elements = gate("controlled_z", values, cutoffs, exact=True)
        return turn.conj()[:, None, None] * elements * turn
    if exact and name == "controlled_z":
        (x, of_x), (y, of_y) = map(positions, cutoffs)
        phases = np.exp(1j * values[0] * np.outer(x, y) / 2)
        return np.einsum("mnk,kl,pql->mpnq", of_x, phases, of_y, optimize=True)
    if exact or name == "mach_zehnder":  # passive: a box in which nothing gets lost on the way
        room = (sum(cutoffs) - 1,) * 2
        d1, d2 = cutoffs
        return _decomposed(name, values, room)[:d1, :d2, :d1, :d2]
    return _decomposed(name, values, cutoffs)


def _decomposed(name, values, cutoffs):
    """A gate as Strawberry Fields writes it in others, each cut to the cutoffs."""
    half = np.pi / 2
    mixer = ("beamsplitter", (half / 2, half), (0, 1))
    if name == "mach_zehnder":
        phi_in, phi_ex = values
        parts = [("rotation", (phi_ex,), (0,)), mixer, ("rotation", (phi_in,), (0,)), mixer]
    elif name == "symmetric_mach_zehnder":
        turns = [("rotation", (phi - half,), (k,)) for k, phi in enumerate(values)]
        parts = [mixer, *turns, mixer]
    else:
        r = np.arcsinh(-values[0] / 2)
        theta = np.arctan2(-1 / np.cosh(r), -np.tanh(r)) / 2
        parts = [
            ("beamsplitter", (theta, 0.0), (0, 1)),
            ("squeezing", (r, 0.0), (0,)),
            ("squeezing", (-r, 0.0), (1,)),
            ("beamsplitter", (theta + half, 0.0), (0, 1)),
        ]
        if name == "controlled_z":
            parts = [("rotation", (-half,), (1,)), *parts, ("rotation", (half,), (1,))]
    size = int(np.prod(cutoffs))
    columns = [run(parts, column.reshape(cutoffs)).ravel() for column in np.eye(size)]
    return np.stack(columns, -1).reshape(cutoffs * 2)


def _two_mode_squeezing(r, phi, cutoffs):
    """exp(r (e^{i phi} a1+ a2+ - h.c.)), difference by difference of the photon numbers."""
    out = np.zeros((*cutoffs, *cutoffs), complex)
    for difference in range(1 - cutoffs[1], cutoffs[0]):
        low = np.arange(max(cutoffs) + PAD)  # photons of the mode that has fewer
        up = r * np.exp(1j * phi) * np.diag(np.sqrt(low[1:] * (low[1:] + abs(difference))), -1)
        sector = exponential(up - up.conj().T)
        n1, n2 = low + max(difference, 0), low - min(difference, 0)
        inside = low[(n1 < cutoffs[0]) & (n2 < cutoffs[1])]
        for i in inside:
            for j in inside:
                out[n1[i], n2[i], n1[j], n2[j]] = sector[i, j]
    return out


def _beamsplitter(theta, phi, cutoffs):
    """exp(theta (e^{i phi} a1 a2+ - h.c.)), sector by sector."""
    out = np.zeros((*cutoffs, *cutoffs), complex)
    for total in range(sum(cutoffs) - 1):
        n1 = np.arange(total + 1)
        hop = np.diag(np.sqrt(n1[1:] * (total - n1[1:] + 1)), 1)  # <n1 - 1, n2 + 1| a1 a2+ |n1, n2>
        move = theta * np.exp(1j * phi) * hop
        sector = exponential(move - move.conj().T)
        for i in range(max(0, total - cutoffs[1] + 1), min(total, cutoffs[0] - 1) + 1):
            for j in range(max(0, total - cutoffs[1] + 1), min(total, cutoffs[0] - 1) + 1):
                out[i, total - i, j, total - j] = sector[i, j]
    return out


def apply(name, values, modes, ket, **options):
    """One gate on a ket with an axis for each mode."""
    modes = tuple(modes)
    cutoffs = tuple(ket.shape[mode] for mode in modes)
    elements = gate(name, tuple(map(float, values)), cutoffs, **options)
    count = len(modes)
    after = np.tensordot(elements, ket, (tuple(range(count, 2 * count)), modes))
    return np.moveaxis(after, tuple(range(count)), modes)


def run(gates, ket):
    """Gates (name, values, modes) on a ket, in order."""
    ket = np.asarray(ket, complex)
    for name, values, modes in gates:
        ket = apply(name, values, modes, ket)
    return ket


def vacuum(cutoffs):
    ket = np.zeros(cutoffs, complex)
    ket[(0,) * len(cutoffs)] = 1
    return ket


def random_unitary(rng, size):
    """From a generator, or the seed of one."""
    rng = np.random.default_rng(rng)
    return np.linalg.qr(rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size)))[0]


def orthogonal(unitary):
    """What a passive transformation does to (x1, .., xn, p1, .., pn)."""
    return np.block([[unitary.real, -unitary.imag], [unitary.imag, unitary.real]])


def random_symplectic(seed, r):
    """Interferometer, squeezers that scale x_k by e^-r_k, interferometer."""
    squeezers = np.diag(np.exp(np.concatenate([-np.array(r), r])))
    first, second = (orthogonal(random_unitary(seed + k, len(r))) for k in range(2))
    return second @ squeezers @ first


def hermite_functions(x, count):
    """h_n(x), the wavefunctions of the Fock states at hbar = 1, along a new first axis."""
    x = np.asarray(x, float)
    rows = [np.pi**-0.25 * np.exp(-(x**2) / 2)]
    rows.append(np.sqrt(2) * x * rows[0])
    for n in range(1, count - 1):
        rows.append(np.sqrt(2 / (n + 1)) * x * rows[n] - np.sqrt(n / (n + 1)) * rows[n - 1])
    return np.array(rows[:count])


def counting_probability(k, n, efficiency, dark):
    """Of counting k where n photons are: a polynomial in the efficiency times an analytic function
    of the dark counts, so that it may be differentiated across the ends of their ranges.
    """
    total = 0.0
    for seen in range(min(n, k) + 1):
        binomial = comb(n, seen) * efficiency**seen * (1 - efficiency) ** (n - seen)
        total += binomial * dark ** (k - seen) * np.exp(-dark) / factorial(k - seen)
    return total


def loss_operators(T, cutoff):
    """Kraus operators of a beamsplitter with the vacuum, by the number of photons lost."""
    operators = np.zeros((cutoff, cutoff, cutoff))
    for n in range(cutoff):
        for j in range(n + 1):
            operators[j, n - j, n] = np.sqrt(comb(n, j) * T ** (n - j) * (1 - T) ** j)
    return operators


def amplifier_operators(gain, cutoff):
    """Kraus operators of two-mode squeezing with the vacuum, by the number of photons won."""
    operators = np.zeros((cutoff, cutoff, cutoff))
    for n in range(cutoff):
        for j in range(cutoff - n):
            element = comb(n + j, j) * gain ** -(n + 1) * (1 - 1 / gain) ** j
            operators[j, n + j, n] = np.sqrt(element)
    return operators


def coherent(alpha, cutoff):
    """The amplitudes of a coherent state."""
    n = np.arange(cutoff)
    return np.exp(-(abs(alpha) ** 2) / 2) * alpha**n / np.sqrt(factorial(n))


def random_ket(rng, cutoffs):
    """A normalised ket with complex amplitudes everywhere; from a generator, or the seed of one."""
    rng = np.random.default_rng(rng)
    ket = rng.normal(size=cutoffs) + 1j * rng.normal(size=cutoffs)
    return ket / np.linalg.norm(ket)


def random_gates(rng, modes, count):
    """``count`` gates (name, values, modes): every kind, either mode order, any phase."""
    kinds = [name for name in PARAMETERS if modes > 1 or name != "beamsplitter"]
    names = list(rng.permutation(kinds)) + list(rng.choice(kinds, max(count - len(kinds), 0)))
    gates = []
    for name in names[:count]:
        values = [SCALES[parameter] * rng.uniform(-1, 1) for parameter in PARAMETERS[name]]
        on = rng.permutation(modes)[: 2 if name == "beamsplitter" else 1]
        gates.append((str(name), values, tuple(int(mode) for mode in on)))
    return gates


class Written:
    """A circuit being written gate by gate, each number in one of the ways a user may give it.

    Attributes:
        circuit: the circuit.
        weights, x: what to call it with.
        gates: what it then has to do, as `run` takes it.
    """

    def __init__(self, rng, modes):
        self.rng = rng
        self.circuit = fj.Circuit(modes)
        self.weights, self._x, self.gates = {}, [], []

    @property
    def x(self):
        return np.array(self._x) if self._x else None

    def add(self, name, values, modes):
        given, exact = zip(*(self._parameter(float(value)) for value in values), strict=True)
        self.circuit.add(name, *given, modes=modes)
        self.gates.append((name, exact, modes))
        return self

    def _parameter(self, value):
        """(what the circuit gets, the number it stands for)"""
        way = self.rng.choice(["number", "zero", "weight", "element", "input", "arithmetic"])
        name = f"w{len(self.weights)}"
        if way == "number":
            return value, value
        if way == "zero":
            return 0.0, 0.0
        if way == "weight":
            self.weights[name] = np.array(value)
            return fj.Weight(name), value
        if way == "element":
            self.weights[name] = np.array([[7.0, value], [8.0, 9.0]])
            return fj.Weight(name, (2, 2))[0, 1], value
        self._x.append(value if way == "input" else 2 * value)
        x = fj.Input(len(self._x) - 1)
        if way == "input":
            return x, value
        self.weights[name] = np.array(0.25)
        w = fj.Weight(name)
        return -(1.0 - x / 2) + (w + w) * 2 - 0.5 / (2 * w) + (x - x) + 1, value


def random_circuit(seed, modes, count):
    """A `Written` circuit of random gates."""
    rng = np.random.default_rng(seed)
    written = Written(rng, modes)
    for gate in random_gates(rng, modes, count):
        written.add(*gate)
    return written
