"""Every gate's elements against `dense`, and what is peculiar to some: closed forms, options,
derivatives where a formula has a removable trouble, refusals.
"""

from functools import partial

import dense
import jax
import numpy as np
import pytest
from compare import close

import fockjax as fj
from fockjax.gates import REGISTRY


def quadratures(size, hbar=2.0):
    a = dense.lowering(size)
    return np.sqrt(hbar / 2) * (a + a.T), -1j * np.sqrt(hbar / 2) * (a - a.T)


# name, parameters, cutoffs, options
CASES = [
    ("displacement", (0.6, 2.0), (6,), {}),
    ("squeezing", (0.5, -1.7), (7,), {}),
    ("rotation", (2.1,), (5,), {}),
    ("kerr", (-1.2,), (5,), {}),
    ("fourier", (), (5,), {}),
    ("x_displacement", (0.7,), (6,), {}),
    ("x_displacement", (-0.7,), (6,), {"hbar": 1.0}),
    ("p_displacement", (0.7,), (6,), {}),
    ("p_displacement", (-0.7,), (6,), {"hbar": 1.0}),
    ("quadratic_phase", (0.9,), (7,), {}),
    ("quadratic_phase", (-0.6,), (6,), {}),
    ("cubic_phase", (0.3,), (7,), {}),
    ("cubic_phase", (-0.8,), (6,), {"hbar": 1.0}),
    ("cubic_phase", (-0.8,), (6,), {"padding": 5}),
    ("cubic_phase", (0.4,), (1,), {}),
    ("beamsplitter", (2.9, 0.4), (3, 3), {}),
    ("controlled_z", (0.6,), (4, 4), {"exact": True}),
    ("two_mode_squeezing", (-0.6, 0.4), (4, 1), {}),
]
for cutoffs in [(3, 5), (5, 3)]:
    CASES += [
        ("beamsplitter", (-1.4, -0.8), cutoffs, {}),
        ("cross_kerr", (0.7,), cutoffs, {}),
        ("two_mode_squeezing", (0.5, 1.1), cutoffs, {}),
        ("mach_zehnder", (0.7, 1.9), cutoffs, {}),
        ("symmetric_mach_zehnder", (0.7, -1.9), cutoffs, {}),
        ("symmetric_mach_zehnder", (2.7, 1.9), cutoffs, {"exact": True}),
        ("controlled_x", (0.7,), cutoffs, {}),
        ("controlled_x", (-0.7,), cutoffs, {"exact": True}),
        ("controlled_z", (-0.8,), cutoffs, {}),
        ("controlled_z", (0.6,), cutoffs, {"exact": True}),
    ]


def test_gates_are_those_of_the_dense_oracle(x64):
    """Element by element, phases in front included, in either order of unequal cutoffs."""

    @jax.jit
    def elements():
        return [
            REGISTRY[name].build(*values, cutoff=at if len(at) > 1 else at[0], **options).to_dense()
            for name, values, at, options in CASES
        ]

    names = dense.PARAMETERS | dense.MORE_PARAMETERS
    assert {name for name, *_ in CASES} == set(names) <= set(REGISTRY)
    assert all(REGISTRY[name].parameters == parameters for name, parameters in names.items())
    for (name, values, at, options), ours in zip(CASES, elements(), strict=True):
        close(ours, dense.gate(name, values, at, **options))


@pytest.mark.parametrize(
    "seed", [2, *(pytest.param(k, marks=pytest.mark.slow) for k in (0, 1, *range(3, 9)))]
)
def test_a_circuit_of_all_of_them(seed, x64):
    """In random order on modes of unequal cutoffs: what waits on a mode fuses with what follows."""
    rng = np.random.default_rng(seed)
    cutoffs = (3, 4, 2)
    circuit, ket = fj.Circuit(3), dense.random_ket(rng, cutoffs)
    start = ket
    cases = {
        (name, str(options)): (name, values, at, options) for name, values, at, options in CASES
    }
    for k in rng.permutation(len(cases)):
        name, values, at, options = list(cases.values())[k]
        if "hbar" in options:
            continue
        modes = tuple(map(int, rng.permutation(3)[: len(at)]))
        circuit.add(name, *values, modes=modes, **options)
        ket = dense.apply(name, values, modes, ket, **options)
    close(jax.jit(lambda ket: circuit({}, cutoff=cutoffs, initial=ket).ket())(start), ket)


def test_hbar_comes_from_the_circuit(x64):
    for hbar in (1.0, 2.0):
        circuit = fj.Circuit(1, hbar=hbar).x_displace(0.4, mode=0).p_displace(-0.3, mode=0)
        circuit.cubic_phase(0.2, mode=0)
        ket = dense.vacuum((5,))
        for name, value in (
            ("x_displacement", 0.4),
            ("p_displacement", -0.3),
            ("cubic_phase", 0.2),
        ):
            ket = dense.gate(name, (value,), (5,), hbar=hbar) @ ket
        close(circuit({}, cutoff=5).ket(), ket)


def test_heisenberg_pictures(x64):
    """X+ x X = x + 0.4, Z+ p Z = p - 0.5, P+ p P = p + s x, V+ p V = p + gamma x^2, F+ x F = -p, on
    few photons, at hbar 1 and 2.
    """
    size, few = 70, 5

    @jax.jit
    def gates():
        return [
            [
                fj.gates.x_displacement(0.4, cutoff=size, hbar=hbar).to_dense(),
                fj.gates.p_displacement(-0.5, cutoff=size, hbar=hbar).to_dense(),
                fj.gates.quadratic_phase(0.3, cutoff=size).to_dense(),
                fj.gates.cubic_phase(0.05, cutoff=size, padding=200, hbar=hbar).to_dense(),
                fj.gates.fourier(cutoff=size).to_dense(),
            ]
            for hbar in (1.0, 2.0)
        ]

    one = np.eye(size)
    for hbar, made in zip((1.0, 2.0), gates(), strict=True):
        x, p = quadratures(size, hbar)
        pairs = [(x, x + 0.4 * one), (p, p - 0.5 * one), (p, p + 0.3 * x), (p, p + 0.05 * x @ x)]
        for gate, (before, after) in zip(map(np.asarray, made), [*pairs, (x, -p)], strict=True):
            moved = gate.conj().T @ before @ gate
            close(moved[:few, :few], after[:few, :few], 1e-10)


def test_phase_of_the_quadratic_phase_gate(x64):
    """e^{i theta/2} P(s), tan theta = s/2, is exp(i s x^2 / 2 hbar): only so is it a group."""
    s = np.array([0.3, -0.7, -0.4])
    gates = jax.jit(jax.vmap(lambda s: fj.gates.quadratic_phase(s, cutoff=60)))(s)
    exact = np.exp(0.5j * np.arctan(s / 2))[:, None, None] * gates.elements
    close((exact[0] @ exact[1])[:5, :5], exact[2][:5, :5])


def test_two_mode_squeezed_vacuum(x64):
    gate = jax.jit(lambda: fj.gates.two_mode_squeezing(-1.2, 0.7, cutoff=(9, 6)).to_dense())()
    n = np.arange(6)
    pairs = np.zeros((9, 6), complex)
    pairs[n, n] = (np.tanh(-1.2) * np.exp(0.7j)) ** n / np.cosh(1.2)
    close(gate[:, :, 0, 0], pairs, 1e-14)


def test_mach_zehnder_interferometers_of_one_photon(x64):
    """The 2 x 2 matrices of Strawberry Fields' documentation; and nothing is lost below the
    cutoffs.
    """
    phi_in, phi_ex = 0.9, -2.2
    e_in, e_ex = np.exp(1j * phi_in), np.exp(1j * phi_ex)
    standard = 0.5 * np.array(
        [[(e_in - 1) * e_ex, 1j * (1 + e_in)], [1j * (1 + e_in) * e_ex, 1 - e_in]]
    )
    mixer = np.array([[1, 1j], [1j, 1]]) / np.sqrt(2)
    symmetric = mixer @ np.diag([-1j * e_in, -1j * e_ex]) @ mixer

    @jax.jit
    def made():
        standard = fj.gates.mach_zehnder(phi_in, phi_ex, cutoff=4)
        symmetric = partial(fj.gates.symmetric_mach_zehnder, phi_in, phi_ex, cutoff=4)
        return [gate.to_dense() for gate in (standard, symmetric(), symmetric(exact=True))]

    for elements, photon in zip(made(), (standard, symmetric, symmetric), strict=True):
        elements = np.asarray(elements)
        one = [1, 0], [0, 1]  # the photon in mode 1, in mode 2
        close([[elements[(*out, *into)] for into in one] for out in one], photon, 1e-14)
        n1, n2 = np.indices((4, 4)).reshape(2, -1)
        inside = np.ix_(n1 + n2 < 4, n1 + n2 < 4)
        block = elements.reshape(16, 16)[inside]
        close(block @ block.conj().T, np.eye(len(block)), 1e-14)


def test_derivatives_where_strength_is_zero(x64):
    """Strawberry Fields' forms of these have a sign, an arcosh or an angle of two arguments there;
    the gates are exponentials of i s G, so that the derivatives are i G and -G^2.
    """
    size = 3
    a = dense.lowering(size + 4)
    x, p = a + a.T, -1j * (a - a.T)  # hbar = 2
    one = np.eye(size + 4)
    outer = lambda u, v: np.einsum("mn,pq->mpnq", u, v)  # noqa: E731
    square = (x @ x - one) / 4
    generators = {  # (G, G^2); P's has the phase of Strawberry Fields
        "quadratic_phase": (square, square @ square),
        "controlled_x": (outer(-x, p) / 2, outer(x @ x, p @ p) / 4),
        "controlled_z": (outer(x, x) / 2, outer(x @ x, x @ x) / 4),
        "cubic_phase": (x @ x @ x / 6, np.linalg.matrix_power(x, 6) / 36),
    }
    options = {
        "controlled_x": {"exact": True},
        "controlled_z": {"exact": True},
        "cubic_phase": {"padding": 12},
    }

    def gate(name):
        cutoff = (size, size) if "controlled" in name else size
        build = partial(REGISTRY[name].build, cutoff=cutoff, **options.get(name, {}))
        return lambda s: build(s).to_dense()

    def slope(f):
        return lambda s: jax.jvp(f, (s,), (1.0,))

    @jax.jit
    def all_of_them(s):  # (value, slope), (slope, second derivative)
        return {name: slope(slope(gate(name)))(s) for name in generators}

    few = slice(0, size)
    for name, ((value, first), (_, second)) in all_of_them(0.0).items():
        here = (few,) * generators[name][0].ndim
        identity = outer(one, one) if "controlled" in name else one
        right = (identity, 1j * generators[name][0], -generators[name][1])
        for got, exact in zip((value, first, second), right, strict=True):
            close(got, exact[here])


def test_cubic_phase_converges_with_padding(x64):
    """The truncated gate is unitary and far off; padded ones agree with each other."""

    @jax.jit
    def made():
        gates = [fj.gates.cubic_phase(0.1, cutoff=6, padding=more) for more in (0, 60, 110)]
        return [gate.elements for gate in gates]

    cut, padded, more = map(np.asarray, made())
    close(cut @ cut.conj().T, np.eye(6), 1e-14)
    close(padded, more, 1e-13)
    assert abs(cut - more).max() > 0.1


@pytest.mark.slow
def test_cubic_phase_with_many_nodes(x64):
    """Where the first Hermite functions underflow the vectors are still orthonormal."""
    gate = np.asarray(fj.gates.cubic_phase(1e-3, cutoff=900).elements)
    close(gate @ gate.conj().T, np.eye(900), 1e-12)


def test_what_reflects_and_how_often_a_gate_cuts():
    def after(circuit):
        state = jax.eval_shape(lambda: circuit({}, cutoff=3))
        return state.truncations, state.reflects

    def two():
        return fj.Circuit(2)

    assert after(fj.Circuit(1).quadratic_phase(0.1, mode=0)) == (1, False)
    assert after(fj.Circuit(1).cubic_phase(0.1, mode=0)) == (1, True)
    assert after(fj.Circuit(1).cubic_phase(0.1, padding=9, mode=0)) == (1, True)
    assert after(fj.Circuit(1).unitary(np.eye(3), modes=0)) == (1, True)
    diagonal = fj.Circuit(1).fourier(mode=0).rotate(0.2, mode=0).kerr(0.1, mode=0)
    assert after(diagonal.snap([0.3], mode=0)) == (0, False)
    assert after(two().cross_kerr(0.1)) == (0, False)
    keep = {name for name, spec in fj.gates.REGISTRY.items() if not spec.truncates}
    assert keep == {"fourier", "rotation", "kerr", "snap", "cross_kerr"}
    assert after(two().two_mode_squeeze(0.1).mach_zehnder(0.1, 0.2)) == (2, False)
    for name, cuts in (("controlled_x", 4), ("controlled_z", 4), ("symmetric_mach_zehnder", 2)):
        values = [0.1] * len(REGISTRY[name].parameters)
        assert after(two().add(name, *values, modes=(0, 1))) == (cuts, False)
        assert after(two().add(name, *values, exact=True, modes=(0, 1))) == (1, False)


# SNAP, and gates given by their matrix


def test_snap(x64):
    kappa = 0.7
    kerr = fj.gates.kerr(kappa, cutoff=5).values
    close(fj.gates.snap(kappa * np.arange(5) ** 2, cutoff=5).values, kerr)
    short = fj.gates.snap(np.array([0.3, -0.4]), cutoff=4).values
    close(short, np.exp(1j * np.array([0.3, -0.4, 0, 0])))
    close(fj.gates.snap(np.zeros(0), cutoff=2).values, [1, 1])

    circuit = fj.Circuit(1).snap(fj.Weight("phases", (3,)), mode=0)
    ket = np.full(4, 0.5)

    @jax.jit
    @jax.value_and_grad
    def amplitude(weights):
        return circuit(weights, cutoff=4, initial=ket).ket()[2].real

    value, slope = amplitude({"phases": np.array([0.1, 0.2, 0.3])})
    close(value, 0.5 * np.cos(0.3))
    close(slope["phases"], [0, 0, -0.5 * np.sin(0.3)])


def test_snap_refuses():
    with pytest.raises(ValueError, match=r"Gate 0 \(snap\).*one axis.*shape \(2, 2\)"):
        fj.Circuit(1).snap(np.zeros((2, 2)), mode=0)
    with pytest.raises(ValueError, match=r"one axis.*shape \(\)"):
        fj.Circuit(1).snap(fj.Weight("w"), mode=0)
    with pytest.raises(ValueError, match="4 phases.*cutoff of 3"):
        fj.Circuit(1).snap(np.zeros(4), mode=0)({}, cutoff=3)


def test_unitary(x64):
    rng = np.random.default_rng(3)
    cutoffs = (3, 2, 4)
    matrix = dense.random_unitary(rng, 12)
    elements = matrix.reshape(4, 3, 4, 3)  # on modes (2, 0)
    ket = dense.random_ket(rng, cutoffs)
    right = np.einsum("pmqn,nkq->mkp", elements, ket)
    one = dense.random_unitary(rng, 2)
    right = np.einsum("kj,mjp->mkp", one, right)
    for form in (matrix, elements):
        circuit = fj.Circuit(3).unitary(form, modes=(2, 0)).unitary(one, modes=1)
        close(circuit({}, cutoff=cutoffs, initial=ket).ket(), right)
    assert "real=array(12, 12)" in repr(fj.Circuit(3).unitary(matrix, modes=(2, 0)))


def test_a_unitary_of_weights(x64):
    rng = np.random.default_rng(4)
    weights = {name: 0.1 * rng.normal(size=(3, 3)) for name in ("re", "im")}
    circuit = fj.Circuit(1)
    circuit.add("unitary", fj.Weight("re", (3, 3)), fj.Weight("im", (3, 3)), modes=0)
    target = dense.random_ket(rng, (3,))
    slopes = jax.jit(jax.grad(lambda w: circuit(w, cutoff=3).fidelity(target)))(weights)
    column = weights["re"][:, 0] + 1j * weights["im"][:, 0]
    overlap = np.vdot(target, column)
    right = 2 * overlap * target  # d|<t|c>|^2 = 2 Re(<t|c>* <t|dc>)
    close(slopes["re"], np.outer(right.real, [1, 0, 0]))
    close(slopes["im"], np.outer(right.imag, [1, 0, 0]))


@pytest.mark.parametrize(
    "matrix, modes, message",
    [
        (1.1 * np.eye(3), 0, r"Gate 0 \(unitary\).*singular value 1\.1 > 1"),
        (np.ones((2, 3)), 0, r"shape \(2, 3\)"),
        (np.eye(3)[0], 0, r"shape \(3,\)"),
        (np.eye(8).reshape((2,) * 6), (0, 1), r"4 axes.*shape \(2, 2, 2, 2, 2, 2\)"),
    ],
)
def test_unitary_refuses(matrix, modes, message):
    with pytest.raises(ValueError, match=message):
        fj.Circuit(2).unitary(matrix, modes=modes)


def test_unitary_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"\(3, 3\) and \(2, 2\)"):
        fj.Circuit(1).add("unitary", np.eye(3), np.eye(2), modes=0)
    with pytest.raises(ValueError, match=r"shape \(3, 3\).*cutoffs \(4,\)"):
        fj.Circuit(1).unitary(np.eye(3), modes=0)({}, cutoff=4)
    cut = 0.5 * np.eye(3)  # no gain: the cut of a unitary
    fj.Circuit(1).unitary(cut, modes=0)


@pytest.mark.parametrize("padding", [-1, 1.5, True])
def test_padding_is_a_count(padding):
    with pytest.raises(ValueError, match=r"cubic_phase\): Option `padding`.*>= 0"):
        fj.Circuit(1).cubic_phase(0.1, padding=padding, mode=0)
    with pytest.raises(ValueError, match="`padding`"):
        fj.gates.cubic_phase(0.1, cutoff=3, padding=padding)


def test_cutoffs_of_a_kernel_are_one_for_all_its_modes_or_one_for_each(x64):
    for given in (3, np.int64(3), [3, 3], (np.int32(3), 3), np.array([3, 3])):
        close(
            fj.gates.cross_kerr(0.3, cutoff=given).values, np.exp(0.3j * np.outer(*[range(3)] * 2))
        )
        assert fj.gates.beamsplitter(0.3, cutoff=given).to_dense().shape == (3,) * 4
        assert fj.kets.two_mode_squeezed(0.3, cutoff=given).shape == (3, 3)
        assert fj.gates.passive(np.eye(2), cutoff=given).to_dense().shape == (3,) * 4
    for given in ((3,), (3, 4, 5), (), (3, 0)):
        with pytest.raises(ValueError, match="`cutoff` must .* >= 1, or one for each of 2 modes"):
            fj.gates.beamsplitter(0.3, cutoff=given)
    for given in ((3, 4), 0):
        with pytest.raises(ValueError, match="`cutoff` must be an integer >= 1, got"):
            fj.gates.displacement(0.3, cutoff=given)
    for given in (2.0, "3", True):
        with pytest.raises(TypeError, match="integer >= 1, known before tracing, got"):
            fj.gates.displacement(0.3, cutoff=given)
    for given in ((), (3, -1)):
        with pytest.raises(ValueError, match=">= 1, or one for each mode, got"):
            fj.gates.unitary(np.eye(3), cutoff=given)
    with pytest.raises(ValueError, match=r"`cutoff` must .* each of 2 modes, got \(3, 3, 3\)"):
        fj.gates.interferometer([0.1], [0.2], [0.3, 0.4], cutoff=(3, 3, 3))
