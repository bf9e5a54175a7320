"""Linear optics and Gaussian transformations: decompositions, meshes, passive gates, checks."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import walrus
from compare import close
from dense import orthogonal, random_ket, random_symplectic, random_unitary
from scipy.linalg import expm

import fockjax as fj
from fockjax.gates.interferometer import mesh_unitary
from fockjax.interop import oracle

MESHES = {"rectangular": fj.decompositions.rectangular, "triangular": fj.decompositions.triangular}


@pytest.fixture(autouse=True)
def double(x64):
    """Everything here in double precision, so that disagreement is never rounding."""


def permutation(*order):
    return np.eye(len(order))[:, list(order)]


def parallel(*blocks):
    """2x2 matrices of modes side by side, as one matrix of (x1, .., p1, ..)."""
    modes = len(blocks)
    S = np.zeros((2 * modes,) * 2)
    for k, block in enumerate(blocks):
        S[np.ix_([k, k + modes], [k, k + modes])] = block
    return S


def squeezer(r, phi):
    cos, sin = np.cos(phi), np.sin(phi)
    return np.cosh(r) * np.eye(2) - np.sinh(r) * np.array([[cos, sin], [sin, -cos]])


UNITARIES = {
    "one": np.array([[np.exp(2.5j)]]),
    "identity": np.eye(3),
    "permutation": permutation(2, 0, 3, 1),
    "phases": np.diag(np.exp(1j * np.array([0.3, -2.0, 3.0]))),
    "blocks": np.kron(np.eye(2), random_unitary(0, 2)),
    "Fourier": np.fft.fft(np.eye(4), norm="ortho"),
} | {f"random {n}": random_unitary(n, n) for n in (2, 3, 4, 5, 6)}


# decompositions


@pytest.mark.parametrize("mesh", MESHES)
def test_a_mesh_makes_its_unitary(mesh):
    found = {name: MESHES[mesh](U) for name, U in UNITARIES.items()}
    angles = {name: list(map(jnp.asarray, one[1:])) for name, one in found.items()}
    made = jax.jit(lambda: {name: mesh_unitary(*one, mesh=mesh) for name, one in angles.items()})()
    for name, U in UNITARIES.items():
        close(made[name], U)
        assert found[name].pairs == fj.decompositions.pairs(len(U), mesh)
        assert len(found[name].theta) == len(U) * (len(U) - 1) // 2


def test_a_mesh_of_nothing_is_nothing():
    for find in MESHES.values():
        _, theta, phi, rotation = find(np.eye(3))
        assert not theta.any() and not phi.any() and not rotation.any()


def test_a_generator_makes_its_unitary():
    for U in UNITARIES.values():
        A = fj.decompositions.generator(U)
        upper, lower = np.triu(A, 1), np.tril(A, -1)
        H = np.diag(np.diag(A)) + upper + upper.T + 1j * (lower.T - lower)
        close(expm(1j * H), U)


def test_takagi():
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(2, 4, 4))
    swap = np.array([[0, 1], [1, 0]])
    matrices = [
        normal[0] + 1j * normal[1],
        normal[0],
        1j * normal[0],
        np.diag([0.3, 1j, -2.0]),  # The Walrus alone: wrong
        np.diag([1j, 1.0, -1.0]),
        np.kron(np.diag([1.0, 2j]), swap),
        np.zeros((2, 2)),
        1e-9 * normal[0] - 1e-9j * normal[1],
    ]
    for matrix in matrices:
        A = matrix + matrix.T
        values, U = fj.decompositions.takagi(A)
        scale = np.max(abs(A)) or 1
        close((U * values) @ U.T / scale, A / scale)
        close(U.conj().T @ U, np.eye(len(A)))
        assert np.all(np.diff(values) <= 1e-12) and np.all(values >= 0)


def controlled_x(s):
    S = np.eye(4)
    S[1, 0], S[2, 3] = s, -s
    return S


SYMPLECTIC = {
    "random 1": random_symplectic(0, [0.5]),
    "random 3": random_symplectic(1, [0.5, -0.3, 0.7]),
    "equal squeezings": random_symplectic(2, [0.5, 0.5, -0.5]),
    "idle modes": random_symplectic(3, [0.5, 0.0, 0.0]),
    "side by side": parallel(squeezer(0.2, 0.3), squeezer(0.5, 1.0), squeezer(0.9, 2.0)),
    "side by side, equal": parallel(squeezer(0.5, 0.3), squeezer(0.5, 1.0), squeezer(0.5, -2.0)),
    "controlled X": controlled_x(0.7),
    "passive": orthogonal(random_unitary(4, 3)),
}


@pytest.mark.parametrize("name", SYMPLECTIC)
def test_bloch_messiah(name):
    S = SYMPLECTIC[name]
    left, r, right = fj.decompositions.bloch_messiah(S)
    squeezers = np.diag(np.exp(np.concatenate([-r, r])))
    close(orthogonal(left) @ squeezers @ orthogonal(right), S)
    for U in (left, right):
        close(U.conj().T @ U, np.eye(len(U)))
    assert np.all(r <= 0) and np.all(np.diff(r) >= -1e-12)
    if name == "passive":
        assert not r.any()
        close(left, np.eye(3))


def test_williamson():
    S = random_symplectic(5, [0.5, -0.3, 0.7])
    for values in ([2.0, 1.0, 1.5], [1.0, 1.0, 1.0], [1.0, 3.0, 3.0]):
        V = (S * np.tile(values, 2)) @ S.T
        nu, T = fj.decompositions.williamson(V)
        close(nu, sorted(values, reverse=True))
        close((T * np.tile(nu, 2)) @ T.T, V)
        assert fj.checks.symplectic_defect(T) < 1e-11


def test_symmetry_is_judged_by_the_size_of_the_matrix():
    with pytest.raises(ValueError, match="`A` must be symmetric"):
        fj.decompositions.takagi(1e-9 * np.array([[0, 1], [0, 0]]))
    V = 1e9 * np.array([[2.0, 1.0], [1.0 + 1e-15, 3.0]])
    assert np.linalg.norm(V - V.T) > 1e-7  # by rounding alone
    nu, S = fj.decompositions.williamson(V)
    close((S * np.tile(nu, 2)) @ S.T / 1e9, V / 1e9)


@pytest.mark.parametrize("hbar", [2.0, 1e-6])
def test_a_covariance_is_symmetric_in_any_units(hbar):
    with pytest.raises(ValueError, match="`cov` must be symmetric"):
        fj.kets.gaussian(hbar / 2 * np.array([[1.5, 0.4], [0, 1.5]]), cutoff=3, hbar=hbar)


# elements


def permanent(M):
    """Glynn's formula."""
    n = len(M)
    if n == 0:
        return 1
    signs = 1 - 2 * ((np.arange(2 ** (n - 1))[:, None] >> np.arange(n)) & 1)
    return np.sum(np.prod(signs, 1) * np.prod(signs @ M, 1)) / 2 ** (n - 1)


def element(U, out, into):
    """<out| W(U) |into>."""
    if sum(out) != sum(into):
        return 0
    rows, columns = (np.repeat(np.arange(len(U)), photons) for photons in (out, into))
    norm = math.prod(map(math.factorial, (*out, *into)))
    return permanent(U[np.ix_(rows, columns)]) / math.sqrt(norm)


def exact_elements(U, cutoffs):
    every = list(np.ndindex(*cutoffs))
    return np.array([[element(U, m, n) for n in every] for m in every]).reshape(cutoffs * 2)


@pytest.mark.parametrize("cutoffs", [(4, 3), (2, 4, 3), (2, 3, 2, 2)])
def test_exact_gates_are_permanents(cutoffs):
    U = random_unitary(7, len(cutoffs))
    A = fj.decompositions.generator(U)

    def gates():
        yield fj.gates.passive(A, cutoff=cutoffs)
        for mesh, find in MESHES.items():
            _, *angles = find(U)
            yield fj.gates.interferometer(*angles, cutoff=cutoffs, mesh=mesh, exact=True)

    expected = exact_elements(U, cutoffs)
    for elements in jax.jit(lambda: [gate.to_dense() for gate in gates()])():
        close(elements, expected)


@pytest.mark.slow
def test_exact_gates_keep_their_precision_at_large_cutoffs():
    """Against the beamsplitter's own kernel."""
    U, ket = random_unitary(8, 2), random_ket(8, (60, 60))
    _, *angles = fj.decompositions.rectangular(U)
    A = fj.decompositions.generator(U)

    @jax.jit
    def kets():
        gates = [
            fj.gates.interferometer(*angles, cutoff=60),
            fj.gates.passive(A, cutoff=60),
            fj.gates.passive(A, cutoff=60, dtype="complex64"),
        ]
        dtypes = ["complex128", "complex128", "complex64"]
        return [g.apply(jnp.asarray(ket, d), (0, 1)) for g, d in zip(gates, dtypes, strict=True)]

    mesh, double, single = kets()
    close(double, mesh, 1e-13)
    close(single, mesh, 2e-6)


def test_one_mode_is_a_rotation():
    circuit = (
        fj.Circuit(1)
        .interferometer([[np.exp(0.7j)]], modes=0, exact=True)
        .passive([[0.4]], modes=0)
    )
    ket = circuit({}, cutoff=5, initial=np.full(5, 0.2)).ket()
    close(ket, 0.2 * np.exp(1.1j * np.arange(5)))


@pytest.mark.parametrize("mesh, exact", [("rectangular", False), ("triangular", True)])
def test_complete_sectors_hold_the_group(mesh, exact):
    """W(U) W(V) = W(U V) and W(U)^dagger W(U) = 1 below every cutoff in total."""
    cutoffs = (4, 3, 4)
    U, V = random_unitary(9, 3), random_unitary(10, 3)
    below = np.indices(cutoffs).sum(0).reshape(-1) < min(cutoffs)

    @jax.jit
    @jax.vmap
    def matrix(*angles):
        gate = fj.gates.interferometer(*angles, cutoff=cutoffs, mesh=mesh, exact=exact)
        return gate.to_dense().reshape(len(below), len(below))[np.ix_(below, below)]

    angles = zip(*(MESHES[mesh](M)[1:] for M in (U, V, U @ V)), strict=True)
    WU, WV, WUV = matrix(*map(np.stack, angles))
    close(WU @ WV, WUV)
    close(WU.conj().T @ WU, np.eye(len(WU)))


def test_truncated_and_exact_differ_by_what_leaks():
    U, light = random_unitary(11, 3), 0.5 ** np.indices((6, 6, 6)).sum(0)
    ket = random_ket(11, (6, 6, 6)) * light / np.linalg.norm(light)
    states = [
        fj.Circuit(3).interferometer(U, modes=(0, 1, 2), exact=exact)({}, cutoff=6, initial=ket)
        for exact in (False, True)
    ]
    lost = [np.linalg.norm(ket) ** 2 - float(state.norm) ** 2 for state in states]
    apart = np.linalg.norm(states[0].ket() - states[1].ket())
    assert 1e-7 < lost[1] < lost[0] < 1e-3
    assert 1e-7 < apart < 2 * np.sqrt(3 * lost[0])


# Strawberry Fields


def sf_run(ket, *gates):
    """SF's joint ket after gates, each a function of sf.ops and the register."""
    sf = oracle.load()
    program = sf.Program(ket.ndim)
    with program.context as q:
        _ = sf.ops.Ket(ket) | q
        for gate in gates:
            gate(sf.ops, q)
    engine = sf.Engine("fock", backend_options={"cutoff_dim": ket.shape[0]})
    return engine.run(program).state.ket()


SIZES = [
    (3, 4),
    pytest.param(2, 6, marks=pytest.mark.slow),
    pytest.param(4, 3, marks=pytest.mark.slow),
]


@pytest.mark.parametrize("modes, cutoff", SIZES)
def test_meshes_truncate_as_strawberry_fields_does(modes, cutoff):
    U, ket = random_unitary(12, modes), random_ket(12, (cutoff,) * modes)
    on = range(modes)

    def ours(mesh):
        circuit = fj.Circuit(modes).interferometer(U, modes=on, mesh=mesh)
        return circuit({}, cutoff=cutoff, initial=ket).ket()

    close(ours("rectangular"), sf_run(ket, lambda ops, q: ops.Interferometer(U) | q), 1e-10)

    def triangular(ops, q):
        """SF's factors in the order that makes U (SF 0.23 runs them in another)."""
        factors, diagonal, _ = ops.dec.triangular(U)
        for k in on:
            _ = ops.Rgate(np.angle(diagonal[k])) | q[k]
        for i, j, theta, phi, _ in factors:
            _ = ops.BSgate(-theta, 0) | (q[i], q[j])
            _ = ops.Rgate(-phi) | q[i]

    close(ours("triangular"), sf_run(ket, triangular), 1e-10)


@pytest.mark.parametrize("modes, cutoff", [(1, 7), (2, 6), (3, 4)])
def test_gaussian_transform_truncates_as_strawberry_fields_does(modes, cutoff):
    ket = random_ket(13, (cutoff,) * modes)
    generic = random_symplectic(14, [0.5, -0.3, 0.4][:modes])
    for S in (generic, orthogonal(random_unitary(15, modes))):
        circuit = fj.Circuit(modes).gaussian_transform(S, modes=range(modes))
        ours = circuit({}, cutoff=cutoff, initial=ket).ket()
        close(ours, sf_run(ket, lambda ops, q, S=S: ops.GaussianTransform(S) | q), 1e-10)
    assert [name for name, *_ in circuit.evaluated({})] == ["interferometer"]  # of a passive S


# Gaussian transformations


def test_gaussian_transform_moves_means_and_covariances():
    """x -> S x and V -> S V S^T, at an hbar of its own, from displaced vacuum."""
    S = random_symplectic(16, [0.3, -0.2])
    alpha = np.array([0.3 + 0.2j, -0.1 + 0.4j])
    circuit = fj.Circuit(2, hbar=1.0)
    for mode in range(2):
        circuit.displace(abs(alpha[mode]), np.angle(alpha[mode]), mode=mode)
    state = circuit.gaussian_transform(S, modes=(0, 1))({}, cutoff=22)
    mean = S @ (np.sqrt(2) * np.concatenate([alpha.real, alpha.imag]))
    V = S @ S.T / 2
    for mode in range(2):
        for angle in (0.0, np.pi / 2, 0.6):
            direction = np.zeros(4)
            direction[[mode, mode + 2]] = np.cos(angle), np.sin(angle)
            moments = state.quadrature(mode, angle)
            close(moments.mean, direction @ mean, 1e-8)
            close(moments.variance, direction @ V @ direction, 1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["equal squeezings", "controlled X"])
def test_exact_gaussian_transform_has_the_walrus_elements(name):
    """<m|G|n> from The Walrus's multidimensional Hermite polynomials, with the vacuum's phase."""
    S = SYMPLECTIC[name]
    modes, cutoff = len(S) // 2, 3
    expected = walrus.quantum("fock_tensor", S, np.zeros(modes), cutoff=cutoff)
    expected = expected * np.exp(-1j * np.angle(expected[(0,) * 2 * modes]))
    circuit = fj.Circuit(modes).gaussian_transform(S, modes=range(modes), exact=True)
    ((_, parameters, _),) = circuit.evaluated({})
    gate = jax.jit(lambda: fj.gates.gaussian_transform(**parameters, cutoff=cutoff).to_dense())
    close(gate(), expected, 1e-10)


# gradients


@pytest.mark.slow
def test_passive_is_smooth_where_meshes_are_singular():
    """Both directions and second order against differences: at no coupling, at permutations."""
    cutoffs = (3, 4, 3)
    ket, weight = random_ket(17, cutoffs), random_ket(18, cutoffs)
    circuit = fj.Circuit(3).passive(fj.Weight("A", (3, 3)), modes=(0, 1, 2))

    def value(A):
        amplitude = jnp.sum(circuit({"A": A}, cutoff=cutoffs, initial=ket).ket() * weight)
        return amplitude.real**2 + 2 * amplitude.imag

    every = jax.jit(jax.vmap(jax.value_and_grad(value)))
    derivatives = jax.jit(jax.vmap(lambda A: (jax.jacfwd(value)(A), jax.hessian(value)(A))))
    at = [np.eye(3), permutation(1, 0, 2), permutation(1, 2, 0)]
    generators = np.stack([fj.decompositions.generator(U) for U in at])
    forwards, hessians = derivatives(generators)
    steps = 1e-5 * np.eye(9).reshape(9, 3, 3)
    for A, forward, hessian in zip(generators, forwards, hessians, strict=True):
        (up, slope_up), (down, slope_down) = every(A + steps), every(A - steps)
        close(forward, ((up - down) / 2e-5).reshape(3, 3), 1e-8)
        close(forward, every(A + 0 * steps)[1][0])
        close(hessian, ((slope_up - slope_down) / 2e-5).reshape(3, 3, 3, 3), 1e-7)


# checks


def test_defects():
    U, S = random_unitary(19, 3), random_symplectic(20, [0.3, -0.5])
    checks = fj.checks
    assert checks.unitary_defect(U) < 1e-14 and checks.symplectic_defect(S) < 1e-14
    V = S @ S.T
    assert checks.physical_defect(V) < 1e-14 and checks.purity_defect(V) < 1e-13
    assert checks.physical_defect(V * 0.35, hbar=0.7) < 1e-14
    close(checks.physical_defect(0.8 * np.eye(4)), 0.2)
    assert checks.physical_defect(1.1 * V) == 0 and checks.purity_defect(1.1 * V) > 0.1
    close(checks.purity_defect(np.diag([2.0, 1.0])), np.sqrt(2) * (2 - 1))  # 1 / mu^2 = 2
    lopsided = V + np.triu(np.ones((4, 4)), 1)
    assert checks.physical_defect(lopsided) > 1


@pytest.mark.parametrize(
    "defect, matrix",
    [
        (fj.checks.unitary_defect, np.eye(2) + 0j),
        (fj.checks.symplectic_defect, np.eye(4)),
        (fj.checks.purity_defect, np.eye(4)),
        (fj.checks.physical_defect, np.eye(2)),
        (fj.checks.density_defect, np.diag([0.0, 1.0])),
        (fj.checks.kraus_defect, np.eye(2)[None]),
    ],
)
def test_defects_of_traced_matrices(defect, matrix):
    at = jnp.asarray(matrix)
    off = at.at[0, 0].add(-0.3)
    close(jax.jit(defect)(off), defect(np.asarray(off)))
    gradient = jax.grad(lambda t: defect(off + t.astype(off.dtype) * (off - at)))(jnp.zeros(()))
    step = 1e-6
    numeric = (defect(off + step * (off - at)) - defect(off - step * (off - at))) / (2 * step)
    close(gradient, numeric, 1e-7)
    assert np.all(np.isfinite(jax.grad(lambda t: defect(at * t.astype(at.dtype)))(jnp.ones(()))))


@pytest.mark.parametrize(
    "write, message",
    [
        (
            lambda c: c.interferometer(np.eye(3) * 1.1, modes=(0, 1, 2)),
            r"unitary, but .* = 3.6e-01",
        ),
        (lambda c: c.interferometer(np.eye(2), modes=(0, 1, 2)), r"shape \(3, 3\) for modes"),
        (
            lambda c: c.interferometer(np.ones((2, 3)), modes=(0, 1)),
            r"shape \(n, n\), got \(2, 3\)",
        ),
        (lambda c: c.interferometer(np.eye(3) * np.nan, modes=(0, 1, 2)), "finite"),
        (lambda c: c.interferometer(np.eye(2), modes=(0, 1), mesh="round"), "mesh.*rectangular"),
        (lambda c: c.mesh([0.1], [0.1], [0.0] * 3, modes=(0, 1, 2)), r"`theta` .* \(3,\)"),
        (
            lambda c: c.mesh(fj.Weight("t", 3), [0.1] * 3, fj.Weight("r", 2), modes=(0, 1, 2)),
            r"`rotation` must have shape \(3,\) on these modes, got \(2,\)",
        ),
        (lambda c: c.passive(fj.Weight("A", 3), modes=(0, 1, 2)), r"`generator` .* \(3, 3\)"),
        (
            lambda c: c.gaussian_transform(2 * np.eye(4), modes=(0, 1)),
            r"symplectic, but .* = 6.0e\+00",
        ),
        (lambda c: c.gaussian_transform(np.eye(3), modes=(0, 1)), r"shape \(2n, 2n\)"),
        (lambda c: c.gaussian_transform(np.eye(2), modes=(0, 1)), r"shape \(4, 4\) for modes"),
        (lambda c: fj.decompositions.takagi([[0, 1], [2, 0]]), "symmetric"),
        (lambda c: fj.decompositions.williamson(-np.eye(2)), "positive definite"),
    ],
)
def test_bad_matrices_are_refused(write, message):
    circuit = fj.Circuit(3)
    with pytest.raises(ValueError, match=message):
        write(circuit)
    assert not circuit.operations


@pytest.mark.parametrize(
    "write, cutoff, message",
    [
        (
            lambda c: c.passive(np.zeros((5, 5)), modes=range(5)),
            20,
            r"passive.* elements of [\d,]{15,} b",
        ),
        (
            lambda c: c.gaussian_transform(
                random_symplectic(5, [0.3] * 5), modes=range(5), exact=True
            ),
            4,
            r"gaussian_transform.*\(16, 16, 16, 16, 16\) in between in one state of 16,777,216 b",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_it_is_made(write, cutoff, message):
    circuit = write(fj.Circuit(5))
    with pytest.raises(ValueError, match=message + ".*the limit of 2,000,000"):
        circuit({}, cutoff=cutoff, memory_limit=2_000_000)


def test_traced_matrices_are_refused_where_constants_are_wanted():
    with pytest.raises(TypeError, match=r"circuit.passive"):
        jax.jit(lambda U: fj.Circuit(2).interferometer(U, modes=(0, 1)))(jnp.eye(2))


def test_angles_may_be_given_in_any_way():
    """Lists of parameters and functions of weights, whose shapes are found without values."""
    _, theta, phi, rotation = fj.decompositions.rectangular(random_unitary(21, 3))
    circuit = fj.Circuit(3).mesh(
        [fj.Weight("w")[()], fj.Input(0), theta[2]],
        fj.apply(lambda p: p * 2, fj.Weight("p", 3)),
        fj.Weight("r", (3,)),
        modes=(0, 1, 2),
    )
    weights = {"w": theta[0], "p": phi / 2, "r": rotation}
    ket = random_ket(21, (3, 3, 3))
    expected = fj.Circuit(3).mesh(theta, phi, rotation, modes=(0, 1, 2))
    close(
        circuit(weights, np.array([theta[1]]), cutoff=3, initial=ket).ket(),
        expected({}, cutoff=3, initial=ket).ket(),
    )
