"""Mixed states: what a ket says read from its density matrix, closed forms, NumPy."""

import math
from functools import cache, partial

import dense
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from compare import close

import fockjax as fj
from fockjax.factors import Mixed, Pure
from fockjax.readouts.spectral import root_fidelity
from fockjax.states import State
from fockjax.validation.readouts import PURE_ONLY, READOUTS, TRUNCATIONS


def outer(ket):
    return np.multiply.outer(ket, np.conj(ket))


# All readouts: of the product of modes (0, 2) and mode 1, of trace 0.9^4 and with two kets that are
# mixed.

# Those of kets; what is not the same, or in the noise of tests/test_geometry.py.
ELSEWHERE = {"error_bound", "quantum_fisher"} | PURE_ONLY
READ = [readout for readout in READOUTS if readout.name not in ELSEWHERE]
NAMES = [readout.name for readout in READ]
SHARE = 0.7


def kets():
    rng = np.random.default_rng(7)
    pairs = np.stack([0.9 * dense.random_ket(rng, (2, 3)) for _ in range(2)])
    return pairs, 0.9 * dense.random_ket(rng, (3,))


def read(factors):
    state = State(tuple(sorted(factors, key=lambda f: f.modes)), TRUNCATIONS)
    return {readout.name: readout.ours(state, **readout.arguments) for readout in READ}


def read_pure(pair, single):
    return read([Pure.of_ket(pair, (2, 0)), Pure.of_ket(single, (1,))])


def read_mixed(rho, single):
    return read([Mixed.of_matrix(rho, (2, 0)), Pure.of_ket(single, (1,))])


def line(t):
    """A line of density matrices; its ends are pure."""
    start, end = (outer(pair) for pair in kets()[0])
    return start + t * (end - start)


AT = 0.4
AROUND = AT + 1e-3 * np.array([-2.0, -1.0, 1.0, 2.0])


@cache
def everything():
    """Of two kets; of their density matrices, a mixture of these, and more for differences."""
    with jax.numpy_dtype_promotion("strict"), jax.enable_x64(True):
        pairs, single = kets()
        pure = jax.jit(jax.vmap(read_pure, in_axes=(0, None)))(pairs, single)
        rhos = np.stack([line(t) for t in (0, 1, SHARE, *AROUND)])
        mixed = jax.jit(jax.vmap(read_mixed, in_axes=(0, None)))(rhos, single)
        return jax.tree.map(np.asarray, (pure, mixed))


@pytest.mark.parametrize("name", NAMES)
def test_a_density_matrix_says_what_its_ket_says(name):
    pure, mixed = everything()
    for a, b in zip(*map(jax.tree.leaves, (mixed[name], pure[name])), strict=True):
        assert a.dtype == b.dtype
        close(a[:2], b, 1e-13)


def linear(name, read):
    """What is read in a form that is linear in the state."""
    if name == "norm":
        return read**2
    if name == "covariance":
        return None
    return jax.tree.map(
        lambda m: (m.mean, m.variance + m.mean**2) if isinstance(m, fj.Moments) else m,
        read,
        is_leaf=lambda m: isinstance(m, fj.Moments),
    )


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"purity", "entropy", "is_finite"}))
def test_a_mixture_says_the_mean_of_what_its_parts_say(name):
    def second(values):  # the products of quadratures
        return [
            cov + np.einsum("ki,kj->kij", mean, mean)
            for cov, mean in zip(values["covariance"], values["quadrature_means"], strict=True)
        ]

    mixed = everything()[1]
    values = second(mixed) if name == "covariance" else linear(name, mixed[name])
    for leaf in jax.tree.leaves(values):
        close(leaf[2], (1 - SHARE) * leaf[0] + SHARE * leaf[1], 1e-13)


@pytest.mark.slow
def test_derivatives_of_all_readouts_along_a_line_of_density_matrices(x64):
    """Reverse mode against differences."""

    def number(values):
        random = np.random.default_rng(8)
        leaves = jax.tree.leaves([values[name] for name in NAMES if name != "is_finite"])
        signs = [random.uniform(-1, 1, leaf.shape) for leaf in leaves]
        return sum(
            jnp.sum(s * jnp.sin(leaf.real + 2 * leaf.imag + 0.3))
            for s, leaf in zip(signs, leaves, strict=True)
        )

    def along(t):
        return number(read_mixed(line(t.astype(complex)), jnp.asarray(kets()[1])))

    around = [jax.tree.map(lambda leaf, k=k: leaf[3 + k], everything()[1]) for k in range(4)]
    difference = np.array([1, -8, 8, -1]) @ np.array([number(v) for v in around]) / 12e-3
    close(jax.jit(jax.grad(along))(np.array(AT)), difference, 1e-9)


# closed forms: D(alpha) S(z) of a thermal state


def thermal(nbar, cutoff):
    n = np.arange(cutoff)
    return np.diag(nbar**n / (1 + nbar) ** (n + 1.0)).astype(complex)


def gaussian(nbar, z, psi, r, phi, cutoff):
    factor = Mixed.of_matrix(jnp.asarray(thermal(nbar, cutoff)), (0,))
    for gate in (
        fj.gates.squeezing(z, psi, cutoff=cutoff),
        fj.gates.displacement(r, phi, cutoff=cutoff),
    ):
        factor = factor.apply(gate, (0,))
    return State((factor,), truncations=3)


def moments(nbar, z, psi, r, phi):
    """Means and covariance at hbar = 2."""
    turn = np.array([[np.cos(psi / 2), -np.sin(psi / 2)], [np.sin(psi / 2), np.cos(psi / 2)]])
    cov = (2 * nbar + 1) * turn @ np.diag([np.exp(-2 * z), np.exp(2 * z)]) @ turn.T
    return 2 * r * np.array([np.cos(phi), np.sin(phi)]), cov


def test_gaussian_mixed_states(x64):
    one, other = (0.3, 0.35, -1.3, 0.5, 2.2), (0.5, 0.2, 0.7, 0.4, -0.3)
    x, p = np.linspace(-2.0, 2.5, 4), np.linspace(-1.5, 2.0, 3)

    @jax.jit
    def read():
        a, b = (gaussian(*numbers, cutoff=44) for numbers in (one, other))
        n = a.photon_number(0)
        return [a.quadrature_means(), a.covariance(), a.wigner(0, x, p), a.purity(), a.entropy()], [
            a.fidelity(b),
            b.fidelity(a),
            a.trace,
            n.mean,
        ]

    (means, cov, wigner, purity, entropy), (fidelity, turned, trace, n) = read()
    mean, covariance = moments(*one)
    close(means, mean, 1e-8)
    close(cov, covariance, 1e-8)
    at = np.stack(np.meshgrid(x, p), -1) - mean
    exponent = np.einsum("pxi,ij,pxj->px", at, np.linalg.inv(covariance), at)
    normal = np.exp(-exponent / 2) / (2 * np.pi * np.sqrt(np.linalg.det(covariance)))
    close(wigner, normal, 1e-8)
    close(purity, 1 / 1.6, 1e-8)
    close(entropy, 1.3 * np.log(1.3) - 0.3 * np.log(0.3), 1e-7)
    close(trace, 1, 1e-9)
    close(n, (np.trace(covariance) + mean @ mean - 2) / 4, 1e-8)
    # H. Scutaru, J. Phys. A 31, 3659 (1998)
    more, second = moments(*other)
    big = np.linalg.det(covariance + second)
    small = (np.linalg.det(covariance) - 1) * (np.linalg.det(second) - 1)
    shift = (mean - more) @ np.linalg.inv(covariance + second) @ (mean - more)
    expected = 2 / (np.sqrt(big + small) - np.sqrt(small)) * np.exp(-shift / 2)
    close(fidelity, expected, 1e-7)
    close(turned, expected, 1e-7)


def test_the_error_bound_holds_in_trace_norm(x64):
    numbers, size = (0.3, 0.35, -1.3, 0.9, 2.2), 44
    exact = jax.jit(lambda: gaussian(*numbers, cutoff=size).density_matrix())()
    for cutoff in (4, 9):
        short, bound, leakage = jax.jit(
            lambda cutoff=cutoff: (
                (state := gaussian(*numbers, cutoff=cutoff)).density_matrix(),
                state.error_bound,
                state.leakage,
            )
        )()
        assert distance(exact, short) <= bound
        close(bound, 2 * np.sqrt(3 * leakage))
    # Of one cut of a ket it is what the ket itself comes to, the loss being small.
    ket = dense.random_ket(np.random.default_rng(9), (6,)) * 10.0 ** -np.arange(6)
    ket = ket / np.linalg.norm(ket)
    state = fj.from_density_matrix(outer(ket[:2]))
    found = distance(outer(ket), state.density_matrix())
    assert found <= state.error_bound
    close(found, state.error_bound, 1e-3)


def distance(exact, short):
    """In trace norm."""
    short = np.pad(short, [(0, len(exact) - len(short))] * 2)
    return abs(np.linalg.eigvalsh(exact - short)).sum()


# fidelity


def uhlmann(rho, sigma):
    """By SciPy, of density matrices of any number of modes."""
    size = math.isqrt(rho.size)
    rho, sigma = rho.reshape(size, size), sigma.reshape(size, size)
    root = scipy.linalg.sqrtm(rho)
    return np.trace(scipy.linalg.sqrtm(root @ sigma @ root)).real ** 2


def random_matrix(rng, shape):
    return 0.9 * sum(outer(dense.random_ket(rng, shape)) for _ in range(12)) / 12


@pytest.mark.slow
def test_fidelity_of_products_that_are_grouped_differently(x64):
    """Modes 0, 1, 3, 4 of one state against pairs of another: of each kind, pure and mixed meet."""
    rng = np.random.default_rng(11)
    ket = partial(dense.random_ket, rng)
    states = {
        "mixed and pure": [
            Mixed.of_matrix(jnp.asarray(random_matrix(rng, (2, 3))), (0, 1)),
            Pure.of_ket(jnp.asarray(0.9 * ket((2,))), (2,)),
            Pure.of_ket(jnp.asarray(ket((2,))), (3,)),
        ],
        "mixed apart": [
            Mixed.of_matrix(jnp.asarray(random_matrix(rng, (2,))), (0,)),
            Mixed.of_matrix(jnp.asarray(random_matrix(rng, (3,))), (1,)),
            Mixed.of_matrix(jnp.asarray(random_matrix(rng, (2, 2))), (2, 3)),
        ],
        "pure, mixed": [
            Pure.of_ket(jnp.asarray(ket((3, 2))), (1, 0)),
            Mixed.of_matrix(jnp.asarray(random_matrix(rng, (2, 2))), (3, 2)),
        ],
        "pure": [
            Pure.of_ket(jnp.asarray(ket((2, 2))), (0, 2)),
            Pure.of_ket(jnp.asarray(ket((3,))), (1,)),
            Pure.of_ket(jnp.asarray(0.8 * ket((2,))), (3,)),
        ],
    }
    states = {name: State(tuple(factors)) for name, factors in states.items()}
    table = jax.jit(lambda states: [[a.fidelity(b) for b in states] for a in states])
    found = np.array(table(list(states.values())))
    matrices = [np.asarray(state.density_matrix()) for state in states.values()]
    expected = [[uhlmann(a, b) for b in matrices] for a in matrices]
    close(found, expected, 2e-7)  # a root in the reference: of 1e-16 it is 1e-8
    close(found, found.T, 1e-13)
    close(states["pure"].fidelity(matrices[0]), found[3, 0], 1e-13)
    close(states["mixed apart"].fidelity(matrices[1]), found[1, 1], 1e-13)
    close(states["mixed apart"].fidelity(states["pure"].ket()), found[3, 1], 1e-13)


def family(t, turns, levels):
    """Two density matrices along a line: their eigenvectors turn, those of the first change."""
    for which, angle in ((0, t + 0.3), (1, 0.1 - 2 * t)):
        values, vectors = turns[which]
        spectrum = levels[which] * (jnp.exp(t * jnp.arange(6.0)) if which == 0 else 1)
        turned = vectors * jnp.exp(1j * (angle * values).astype(complex))[None]
        turned = jnp.matmul(turned, vectors.conj().T, precision="highest")
        yield jnp.matmul(
            turned * spectrum[None].astype(complex), turned.conj().T, precision="highest"
        )


@pytest.mark.slow
def test_derivatives_of_the_fidelity_of_mixed_states(x64):
    """Of any rank that stays, with eigenvalues that are equal, and at nothing."""
    rng = np.random.default_rng(12)
    hermitian = rng.normal(size=(2, 6, 6, 2)) @ [1, 1j]
    turns = [np.linalg.eigh(h + h.conj().T) for h in hermitian]
    full, three, one = rng.dirichlet(np.ones(6)), np.array([0.5, 0.3, 0.2, 0, 0, 0]), np.eye(6)[0]
    equal, nothing, steep = np.ones(6) / 6, np.zeros(6), 3.0 ** -np.arange(6)
    pairs = [(full, full[::-1]), (full, three), (three, full), (three, three), (one, full)]
    pairs += [(one, three), (equal, equal), (steep, 2.0 ** -np.arange(6)), (nothing, nothing)]

    def along(t, levels):
        return root_fidelity(*family(t, turns, levels))

    def all_orders(t, levels):
        slope = jax.grad(along)
        return along(t, levels), slope(t, levels), jax.jvp(lambda t: slope(t, levels), (t,), (1.0,))

    levels = np.array(pairs)
    read = jax.jit(jax.vmap(jax.vmap(all_orders, (0, None)), (None, 0)))
    value, slope, (_, curvature) = read(4e-4 * np.arange(-2, 3.0), levels)
    difference = np.array([1, -8, 0, 8, -1]) / 48e-4
    close(slope[:, 2], value @ difference, 1e-7)
    close(curvature[:, 2], slope @ difference, 1e-7)
    ranked = [uhlmann(*map(np.asarray, family(0.0, turns, level))) for level in levels[:3]]
    close(value[:3, 2] ** 2, ranked, 2e-7)


def test_the_fidelity_of_mixed_states_in_single_precision():
    rng = np.random.default_rng(13)
    one, other = (random_matrix(rng, (8,)).astype(np.complex64) for _ in range(2))
    state = fj.from_density_matrix(one)
    assert state.dtype == np.complex64
    close(state.fidelity(other), uhlmann(one.astype(complex), other.astype(complex)), 1e-5)
    close(state.fidelity(state), state.trace**2, 1e-5)
    rotten = jax.jit(lambda rho: fj.from_density_matrix(rho).fidelity(other))(one * np.nan)
    assert np.isnan(rotten)


# the state


def test_a_mixed_state_tells_what_it_is(x64):
    rho = np.diag([0.5, 0.3])
    state = State((fj.from_density_matrix(rho).factors[0], Pure.of_ket(jnp.eye(3)[0], (1,))))
    assert not state.is_pure and fj.vacuum((2,)).is_pure
    assert (
        repr(state) == "State(cutoffs=(2, 3), groups=((0,), (1,)), mixed=((0,),), dtype=complex128)"
    )
    close(state.norm**2, 0.8)
    close(fj.from_density_matrix(rho).error_bound, 2 * math.sqrt(0.2))
    with pytest.raises(ValueError, match=r"`ket` needs a pure state, but the modes \(\(0,\),\)"):
        state.ket()
    with pytest.raises(ValueError, match="`metric_tensor` needs a pure state"):
        fj.metric_tensor(lambda t: fj.from_density_matrix(t * rho), jnp.ones(()))


SKEW = np.array([[0.5, 0.1j], [0.1j, 0.5]])


@pytest.mark.parametrize(
    "rho, message",
    [
        (np.eye(2)[0], r"a row axis for each mode, then a column axis.*got shape \(2,\)"),
        (np.ones((2, 3)), r"of the same lengths; got shape \(2, 3\)"),
        (1.0, "one axis for each mode, got a scalar"),
        (np.zeros((0, 0)), r"not be empty.*\(0, 0\)"),
        ([["a"]], "must be made of numbers"),
        (np.diag([np.nan, 1]), "must be finite"),
        (SKEW, "must be Hermitian, but an element differs.*by 0.2"),
        (np.diag([1.2, -0.2]), "has the eigenvalue -0.2, below 0: that is no state"),
        (np.zeros((2, 2)), "is zero: that is no state"),
        (np.eye(2), "has trace 2, above 1"),
    ],
)
def test_density_matrices_of_no_state(rho, message):
    with pytest.raises(ValueError, match=f"Argument `rho` .*{message}"):
        fj.from_density_matrix(rho)


def test_a_density_matrix_of_another_size_has_no_fidelity():
    with pytest.raises(ValueError, match=r"shape \(2,\).*or \(2, 2\) as a density matrix"):
        fj.vacuum((2,)).fidelity(np.eye(3) / 3)


def test_entropy_has_second_derivatives_at_eigenvalues_far_apart(x64):
    """Of a rotation into the other eigenvector, -2 ln(a / b) / (a - b), a / b above 1 / eps too."""
    turn = jnp.array([[0.0, 1.0], [1.0, 0.0]])

    def entropy(t, least):
        rho = jnp.diag(jnp.stack([jnp.ones(()), least]))
        return fj.from_density_matrix(rho + t * turn).entropy()

    least = jnp.array([1e-20, 1e-8, 1e-3])
    second = jax.jit(jax.vmap(jax.hessian(entropy), in_axes=(None, 0)))(0.0, least)
    np.testing.assert_allclose(second, 2 * np.log(least) / (1 - least), rtol=1e-9)
