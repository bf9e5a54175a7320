"""Readouts over modes, in phase space and of subsystems: closed forms, NumPy, Strawberry Fields."""

import math

import dense
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compare import close, close_by_name
from scipy.special import eval_laguerre, factorial
from test_states import CUTOFFS, GROUPS, factored, joined, leaky_factors, marginal

import fockjax as fj
from fockjax.interop import oracle

# closed forms

R, PSI, ALPHA, PHI = 0.35, -1.3, 0.8, 2.2  # D(alpha e^{i phi}) S(r e^{i psi}) |0>
X, P = np.linspace(-3.0, 4.0, 7), np.linspace(-2.5, 2.0, 5)


def displaced_squeezed(angle, hbar):
    """Mean and variance of its quadrature."""
    turn = angle - PSI / 2
    spread = math.exp(-2 * R) * math.cos(turn) ** 2 + math.exp(2 * R) * math.sin(turn) ** 2
    return math.sqrt(2 * hbar) * ALPHA * math.cos(PHI - angle), hbar / 2 * spread


@pytest.mark.parametrize("hbar", [2.0, 1.0])
def test_a_displaced_squeezed_state_is_gaussian_in_every_readout(hbar, x64):
    circuit = fj.Circuit(1, hbar=hbar).squeeze(R, PSI, mode=0).displace(ALPHA, PHI, mode=0)
    angles = (0.0, 0.9)

    @jax.jit
    def read(x, p, angles):
        state = circuit({}, cutoff=56)  # what is cut off is below 1e-13
        return {
            "moments": [[state.quadrature_moment(0, k, a) for k in range(1, 6)] for a in angles],
            "distribution": [state.quadrature_distribution(0, x, a) for a in angles],
            "wigner": state.wigner(0, x, p),
            "means": state.quadrature_means(),
            "covariance": state.covariance(),
            "parity": state.parity(0),
        }

    out = read(X, P, angles)
    for k, angle in enumerate(angles):
        m, v = displaced_squeezed(angle, hbar)
        expected = [m, m**2 + v, m**3 + 3 * m * v, m**4 + 6 * m**2 * v + 3 * v**2]
        expected.append(m**5 + 10 * m**3 * v + 15 * m * v**2)
        close(out["moments"][k], expected, 1e-10)
        density = np.exp(-((X - m) ** 2) / (2 * v)) / math.sqrt(2 * math.pi * v)
        close(out["distribution"][k], density, 1e-10)
    means, variances = zip(*(displaced_squeezed(a, hbar) for a in (0, math.pi / 2)), strict=True)
    diagonal = displaced_squeezed(math.pi / 4, hbar)[1]
    covariance = np.diag(variances) + (diagonal - sum(variances) / 2) * np.eye(2)[::-1]
    close(out["means"], means, 1e-10)
    close(out["covariance"], covariance, 1e-10)
    at = np.stack(np.meshgrid(X, P), -1) - means
    exponent = np.einsum("pxi,ij,pxj->px", at, np.linalg.inv(covariance), at)
    gaussian = np.exp(-exponent / 2) / (2 * math.pi * math.sqrt(np.linalg.det(covariance)))
    close(out["wigner"], gaussian, 1e-10)
    origin = np.array(means) @ np.linalg.inv(covariance) @ means
    close(out["parity"], math.exp(-origin / 2), 1e-10)  # the determinant is (hbar/2)^2


def test_fock_states_up_to_the_cutoff(x64):
    """Moments, Wigner function and Hermite functions of the highest level there is."""

    def read(ket):
        state = fj.from_ket(ket)
        return {
            "moments": [state.quadrature_moment(0, k, 0.3, 1.0) for k in (4, 3)],
            "wigner": state.wigner(0, X, P),
            "distribution": state.quadrature_distribution(0, X, 0.7),
        }

    cases = ((1, 0), (2, 1), (6, 5))
    outs = jax.jit(lambda kets: [read(ket) for ket in kets])([np.eye(c)[n] for c, n in cases])
    for (cutoff, n), out in zip(cases, outs, strict=True):
        close(out["moments"], ((6 * n**2 + 6 * n + 3) / 4, 0))
        square = np.add.outer(P**2, X**2)
        wigner = (-1) ** n * eval_laguerre(n, square) * np.exp(-square / 2) / (2 * math.pi)
        close(out["wigner"], wigner)
        hermite = np.polynomial.hermite.hermval(X / math.sqrt(2), np.eye(cutoff)[n])
        density = hermite**2 * np.exp(-(X**2) / 2) / (2.0**n * factorial(n))
        close(out["distribution"], density / math.sqrt(2 * math.pi))


def test_fringes_of_a_cat(x64):
    alpha = 1.4 * np.exp(0.6j)
    cat = dense.coherent(alpha, 40) + 1j * dense.coherent(
        -alpha, 40
    )  # its halves overlap without a share
    wigner = jax.jit(lambda ket: fj.from_ket(ket).wigner(0, X, P, 1.0))(cat / math.sqrt(2))
    z = (X + 1j * P[:, None]) / math.sqrt(2)
    hills = np.exp(-2 * abs(z - alpha) ** 2) + np.exp(-2 * abs(z + alpha) ** 2)
    fringes = 2 * np.exp(-2 * abs(z) ** 2) * np.cos(4 * (z * alpha.conj()).imag - math.pi / 2)
    close(wigner, (hills - fringes) / (2 * math.pi))


def test_two_mode_squeezed_vacuum(x64):
    r, phi, cutoff = 0.5, 0.8, 40
    pairs = np.diag((np.exp(1j * phi) * np.tanh(r)) ** np.arange(cutoff) / np.cosh(r))

    @jax.jit
    def read(ket):
        state = fj.from_ket(ket, hbar=1.0)
        return {
            "covariance": state.covariance(),
            "swapped": state.covariance((1, 0), hbar=2.0),
            "purity": [state.purity(modes) for modes in (0, 1, (0, 1))],
            "entropy": [state.entropy(modes) for modes in (0, 1, (1, 0), ())],
            "product": state.photon_number_product(),
            "parity": [state.parity(modes) for modes in (0, (0, 1))],
        }

    out = read(pairs)
    c, s = np.cosh(2 * r), np.sinh(2 * r)
    x, p = s * np.cos(phi), s * np.sin(phi)
    covariance = np.array([[c, x, 0, p], [x, c, p, 0], [0, p, c, -x], [p, 0, -x, c]])
    close(out["covariance"], covariance / 2, 1e-10)
    close(out["swapped"], covariance, 1e-10)  # symmetric in its modes
    close(out["purity"], (1 / c, 1 / c, 1), 1e-10)
    n = np.sinh(r) ** 2
    thermal = (n + 1) * np.log(n + 1) - n * np.log(n)
    close(out["entropy"], (thermal, thermal, 0, 0), 1e-10)
    close(out["parity"], (1 / (2 * n + 1), 1), 1e-10)
    square = n + 2 * n**2  # <n^2>, and <n^4> of the geometric distribution
    fourth = n + 14 * n**2 + 36 * n**3 + 24 * n**4
    close(out["product"], (square, fourth - square**2), 1e-9)


def test_ghz_state_has_one_bit_of_entropy_however_it_is_cut(x64):
    ket = np.zeros((2, 3, 2))
    ket[0, 0, 0] = ket[1, 2, 1] = math.sqrt(0.5)
    state = fj.from_ket(ket)
    cuts = (0, 1, (0, 1), (2, 1), (0, 2))
    close(jax.jit(lambda: [state.entropy(modes) for modes in cuts])(), math.log(2))
    close(jax.jit(lambda: [state.purity(modes) for modes in cuts])(), 0.5)


@pytest.mark.slow
def test_phase_space_in_single_precision_at_cutoff_100():
    """Where e^{-q^2/2} underflows float32 and polynomials of degree 198 overflow it."""
    cutoff, alpha = 100, 7.0 * np.exp(0.7j)
    kets = np.stack([np.eye(cutoff)[99], dense.coherent(alpha, cutoff)]).astype(np.complex64)
    at = np.linspace(-26, 26, 31, dtype=np.float32)

    @jax.jit
    @jax.vmap
    def read(ket):
        state = fj.from_ket(ket)
        return state.wigner(0, at, at), state.quadrature_distribution(0, at, 0.4)

    wigner, density = read(kets)
    square = np.add.outer(at**2, at**2).astype(float)
    laguerre = -eval_laguerre(99, square) * np.exp(-square / 2) / (2 * math.pi)
    close(wigner[0], laguerre, 1e-6)
    mean = 2 * (alpha * np.exp(-0.4j)).real
    close(density[1], np.exp(-((at - mean) ** 2) / 2) / math.sqrt(2 * math.pi), 5e-6)
    square = (at - 2 * alpha.real) ** 2 + (at[:, None] - 2 * alpha.imag) ** 2
    close(wigner[1], np.exp(-square / 2) / (2 * math.pi), 3e-6)


def test_distributions_integrate_to_the_norm(x64):
    ket = 0.9 * dense.random_ket(np.random.default_rng(0), (5, 3))
    grid = np.linspace(-9, 9, 121)
    step = grid[1] - grid[0]
    state = fj.from_ket(ket)
    angles = np.array([0.0, math.pi / 2, 0.3])

    @jax.jit
    def read(angles):
        x, p, tilted = jax.vmap(lambda angle: state.quadrature_distribution(0, grid, angle))(angles)
        return state.wigner(0, grid, grid), x, p, tilted

    wigner, x, p, tilted = map(np.asarray, read(angles))
    close(wigner.sum() * step**2, 0.81, 1e-10)
    close(tilted.sum() * step, 0.81, 1e-10)
    close(wigner.sum(0) * step, x, 1e-10)
    close(wigner.sum(1) * step, p, 1e-10)


# any state, dense in NumPy


def everything(state, target, grid):
    """Readouts of groups of modes, in one pytree; `target` is a state."""
    n = state.modes
    modes = [*range(n), (0, n - 1), tuple(range(n))[::-1]]
    values = [np.linspace(-1.0, 2.0, cutoff) for cutoff in state.cutoffs]
    A = np.cos(np.add.outer(np.arange(2 * n), np.arange(2 * n)) ** 2)
    polynomial = (A, np.sin(np.arange(2 * n)), 0.3, 0.7, 1.7)
    return {
        "finite": state.is_finite,
        "probability": state.probability([c - 1 for c in state.cutoffs]),
        "vacuum": state.fidelity_vacuum(),
        "coherent": state.fidelity_coherent(np.linspace(0.1, 0.6, n), np.linspace(1, 2, n)),
        "fidelity": state.fidelity(target),
        "product": [state.photon_number_product(m) for m in modes],
        "parity": [state.parity(m) for m in modes],
        "diagonal": [
            state.diagonal_expectation(tuple(values), range(n)),
            state.diagonal_expectation(np.add.outer(values[0], values[n - 1]), (0, n - 1)),
        ],
        "moments": [state.quadrature_moment(m, k, 0.6, 1.7) for m in range(n) for k in (1, 2, 3)],
        "means": state.quadrature_means(hbar=1.7),
        "covariance": [state.covariance(hbar=1.7), state.covariance((n - 1, 0), 1.7)],
        "polynomial": [
            state.quadrature_polynomial(*polynomial),
            state.quadrature_polynomial(*polynomial, padding=2),
        ],
        "reduced": [state.reduced(m) for m in modes[:-1]],
        "purity": [state.purity(m) for m in modes],
        "entropy": [state.entropy(m) for m in modes],
        "distribution": [state.quadrature_distribution(m, grid, 0.6, 1.7) for m in range(n)],
        "wigner": [state.wigner(m, grid, grid[:2], 1.7) for m in range(n)],
    }


def on(operator, mode, ket):
    return np.moveaxis(np.tensordot(operator, ket, (1, mode)), 0, mode)


def quadrature_vectors(ket, hbar, angle, padding):
    """x |ket> of every mode, then p |ket>, as a function to apply once more; and the padded ket."""
    ket = np.pad(ket, [(0, padding)] * ket.ndim)
    turn = np.exp(-1j * angle)

    def act(ket):
        lowered = [on(dense.lowering(c) * turn, k, ket) for k, c in enumerate(ket.shape)]
        raised = [on(dense.lowering(c).T / turn, k, ket) for k, c in enumerate(ket.shape)]
        scale = math.sqrt(hbar / 2)
        x = [scale * (a + b) for a, b in zip(lowered, raised, strict=True)]
        return x + [-1j * scale * (a - b) for a, b in zip(lowered, raised, strict=True)]

    return ket, act


def expected_of(ket, target, grid):
    n, cutoffs, p = ket.ndim, ket.shape, abs(ket) ** 2
    modes = [(k,) for k in range(n)] + [(0, n - 1), tuple(range(n))[::-1]]
    levels = [np.arange(c) for c in cutoffs]
    values = [np.linspace(-1.0, 2.0, c) for c in cutoffs]

    def product(vectors, of):
        total = marginal(p, of)
        for k in of:
            total = np.tensordot(vectors[k], total, (0, 0))
        return total

    def moments(of):
        mean = product(levels, of)
        return mean, product([v**2 for v in levels], of) - mean**2

    def reduced(of):
        others = [k for k in range(n) if k not in of]
        density = np.tensordot(ket, ket.conj(), (others, others))
        order = [sorted(of).index(k) for k in of]
        return density.transpose([*order, *(len(of) + k for k in order)])

    def spectrum(of):
        density = reduced(of)
        size = math.prod(density.shape[: len(of)])
        return np.linalg.eigvalsh(density.reshape(size, size))

    def moment(mode, power):
        psi, act = quadrature_vectors(ket, 1.7, 0.6, power)
        moved = psi
        for _ in range(power):
            moved = act(moved)[mode]
        return np.vdot(psi, moved).real

    def covariance(of):
        psi, act = quadrature_vectors(ket, 1.7, 0.0, 1)
        vectors = act(psi)
        vectors = [vectors[k] for k in of] + [vectors[n + k] for k in of]
        means = np.array([np.vdot(psi, v).real for v in vectors])
        return np.array([[np.vdot(a, b).real for a in vectors] for b in vectors]) - np.outer(
            means, means
        ), means

    A = np.cos(np.add.outer(np.arange(2 * n), np.arange(2 * n)) ** 2)
    d = np.sin(np.arange(2 * n))

    def polynomial(padding):
        psi, act = quadrature_vectors(ket, 1.7, 0.7, padding)
        vectors = act(psi)
        out = 0.3 * psi + sum(c * v for c, v in zip(d, vectors, strict=True))
        for k in range(2 * n):
            out = out + act(sum(c * v for c, v in zip(A[k], vectors, strict=True)))[k]
        mean = np.vdot(psi, out).real
        return mean, np.vdot(out, out).real - mean**2

    def distribution(mode):
        n = np.arange(cutoffs[mode])
        h = (
            dense.hermite_functions(grid / math.sqrt(1.7), len(n))
            * np.exp(-0.6j * n)[:, None]
            / 1.7**0.25
        )
        return np.einsum("mx,mn,nx->x", h, reduced((mode,)), h.conj()).real

    def wigner(mode):
        """The Fourier integral, by the trapezoidal rule."""
        y = np.linspace(-14, 14, 801)
        scale = math.sqrt(1.7)
        left = dense.hermite_functions((grid[:, None] - y) / scale, cutoffs[mode])
        right = dense.hermite_functions((grid[:, None] + y) / scale, cutoffs[mode])
        kernel = np.einsum("mxy,mn,nxy->xy", left, reduced((mode,)), right) / scale
        fourier = np.exp(2j * np.outer(grid[:2], y) / 1.7) * (y[1] - y[0])
        return (fourier @ kernel.T).real / (math.pi * 1.7)

    alphas = np.linspace(0.1, 0.6, n) * np.exp(1j * np.linspace(1, 2, n))
    overlap = ket
    for alpha, cutoff in zip(alphas, cutoffs, strict=True):
        overlap = np.tensordot(dense.coherent(alpha, cutoff).conj(), overlap, (0, 0))
    all_modes = tuple(range(n))
    return {
        "finite": True,
        "probability": p[tuple(c - 1 for c in cutoffs)],
        "vacuum": p[(0,) * n],
        "coherent": abs(overlap) ** 2,
        "fidelity": abs(np.vdot(target, ket)) ** 2,
        "product": [moments(of) for of in modes],
        "parity": [product([(-1.0) ** v for v in levels], of) for of in modes],
        "diagonal": [
            product(values, all_modes),
            np.sum(np.add.outer(values[0], values[-1]) * marginal(p, (0, n - 1))),
        ],
        "moments": [moment(k, power) for k in range(n) for power in (1, 2, 3)],
        "means": covariance(all_modes)[1],
        "covariance": [covariance(all_modes)[0], covariance((n - 1, 0))[0]],
        "polynomial": [polynomial(1), polynomial(2)],
        "reduced": [reduced(of) for of in modes[:-1]],
        "purity": [np.sum(spectrum(of) ** 2) for of in modes],
        "entropy": [-sum(v * np.log(v) for v in spectrum(of) if v > 1e-14) for of in modes],
        "distribution": [distribution(k) for k in range(n)],
        "wigner": [wigner(k) for k in range(n)],
    }


GRID = np.array([-1.3, 0.2, 2.5])


@pytest.mark.slow
def test_readouts_of_leaky_factors_are_those_of_their_dense_ket(x64):
    """Unequal cutoffs, one of them 1; the factors of the other state are grouped differently."""
    rng = np.random.default_rng(1)
    groups = ((0, 2, 4), (1, 3))
    others = [dense.random_ket(rng, tuple(CUTOFFS[mode] for mode in group)) for group in groups]
    batch = [leaky_factors(rng) for _ in range(2)]

    @jax.jit
    @jax.vmap
    def read(kets):
        return everything(factored(kets, GROUPS), factored(others, groups), GRID)

    together = read([np.stack(kets) for kets in zip(*batch, strict=True)])
    target = np.einsum("ace,bd->abcde", *others)
    for k, kets in enumerate(batch):
        one = jax.tree.map(lambda leaf, k=k: leaf[k], together)
        close_by_name(one, expected_of(joined(kets), target, GRID))


# Strawberry Fields


def test_strawberry_fields_reads_the_same(x64):
    rng = np.random.default_rng(3)
    ket = 0.95 * dense.random_ket(rng, (4, 4, 4))
    A, d, values = rng.normal(size=(6, 6)), rng.normal(size=6), rng.normal(size=4)
    A = A + A.T
    some = A.copy()  # mode 1 is left alone: then SF does not pad it
    some[[1, 4]] = some[:, [1, 4]] = 0
    r, phi = np.array([0.1, 0.5, 0.9]), np.array([1.0, 2.0, 3.0])
    hbars = (2.0, 1.0)

    @jax.jit
    def read(A, some, d):
        state = fj.from_ket(ket)
        return {
            "by hbar": [
                (
                    state.wigner(1, X, P, hbar),
                    state.quadrature_polynomial(A, d, 0.4, hbar=hbar),
                    state.quadrature_polynomial(A, d, 0.4, 0.7, hbar),
                    state.quadrature_polynomial(some, angle=0.7, hbar=hbar),
                )
                for hbar in hbars
            ],
            "others": [
                *state.photon_number_product((0, 2)),
                state.parity((0, 2)),
                state.diagonal_expectation((values, values), (0, 2)),
                state.reduced((0, 2)).transpose(0, 2, 1, 3),
                state.probability((3, 0, 2)),
                state.fidelity_vacuum(),
                state.fidelity_coherent(r, phi),
            ],
        }

    out = read(A, some, d)
    for hbar, ours in zip(hbars, out["by hbar"], strict=True):
        sf = oracle.state(ket)
        sf._hbar = hbar
        close(ours[0], sf.wigner(1, X, P))
        close(ours[1], sf.poly_quad_expectation(A, d, 0.4), 1e-11)
        close(ours[2], sf.poly_quad_expectation(A, d, 0.4, 0.7), 1e-11)
        close(ours[3], sf.poly_quad_expectation(some, phi=0.7), 1e-11)
    expected = [
        *sf.number_expectation([0, 2]),
        sf.parity_expectation([0, 2]),
        sf.diagonal_expectation([0, 2], values),
        sf.reduced_dm([0, 2]),
        sf.fock_prob([3, 0, 2]),
        sf.fidelity_vacuum(),
        sf.fidelity_coherent(r * np.exp(1j * phi)),
    ]
    for a, b in zip(out["others"], expected, strict=True):
        close(a, b)


def test_the_quadrature_distribution_is_the_integral_that_strawberry_fields_takes(x64):
    ket = dense.random_ket(np.random.default_rng(4), (5,))
    grid = np.linspace(-8, 8, 81)
    expected = oracle.state(ket).x_quad_values(0, grid, grid)
    close(fj.from_ket(ket).quadrature_distribution(0, grid), expected, 1e-9)


# derivatives


def test_entropy_has_right_derivatives_at_equal_and_at_zero_eigenvalues(x64):
    def pair(t):  # cos t |00> + sin t |11>, turned inside each mode as well
        ket = jnp.stack([jnp.cos(t), jnp.zeros_like(t), jnp.zeros_like(t), jnp.sin(t)])
        c, s = jnp.cos(2 * t), jnp.sin(2 * t)
        turn = jnp.stack([jnp.stack([c, -s]), jnp.stack([s, c])])
        ket = turn @ ket.reshape(2, 2)
        return fj.from_ket(ket.astype(complex)).entropy(0)

    def product(t):  # stays a product: two zero eigenvalues of three
        one = jnp.stack([jnp.cos(t), jnp.sin(t), 0.0 * t])
        return fj.from_ket(jnp.outer(one, one).astype(complex)).entropy(0)

    @jax.jit
    def derivatives(t):
        return [(f(t), jax.grad(f)(t), jax.hessian(f)(t)) for f in (pair, product)]

    equal, alone = derivatives(jnp.array(math.pi / 4))
    close(equal, (math.log(2), 0, -4), 1e-10)
    close(alone, (0, 0, 0), 1e-10)
    t = 0.3
    p, slope, bend = np.cos(t) ** 2, -np.sin(2 * t), -2 * np.cos(2 * t)
    first, second = np.log((1 - p) / p), -1 / (p * (1 - p))
    generic, alone = derivatives(jnp.array(t))
    entropy = -p * np.log(p) - (1 - p) * np.log(1 - p)
    close(generic, (entropy, first * slope, second * slope**2 + first * bend), 1e-10)
    close(alone, (0, 0, 0), 1e-10)


def line():
    """A real number made of all readouts of two factors, along a line of kets and arguments."""
    groups, shapes = ((0, 2), (1,)), ((3, 2), (3,))
    rng = np.random.default_rng(5)
    lines = [[dense.random_ket(rng, shape) for shape in shapes] for _ in range(2)]
    target = fj.from_ket(dense.random_ket(rng, (3, 3, 2)))

    def total(t):
        kets = [0.6 * a + t.astype(complex) * b for a, b in zip(*lines, strict=True)]
        state = factored(kets, groups)
        read = everything(state, target, GRID + t)
        read["finite"] = read["finite"].astype(float)
        read["arguments"] = [
            state.quadrature_moment(0, 3, t),
            state.quadrature_polynomial(t * np.eye(6), t * np.ones(6), t, t),
            state.quadrature_distribution(0, GRID, t),
            state.diagonal_expectation(t * np.arange(3.0), 1),
            state.fidelity_coherent(t, 2 * t),
        ]
        leaves = [leaf.reshape(-1).astype(complex) for leaf in jax.tree.leaves(read)]
        flat = jnp.concatenate(leaves)
        return jnp.sum(jnp.sin(flat.real + 2 * flat.imag + 0.3))

    return total


STEP = 3e-4
AROUND = [np.array(0.1 + shift * STEP) for shift in (-2, -1, 1, 2)]
DIFFERENCE = np.array([1, -8, 8, -1]) / (12 * STEP)


@pytest.mark.slow
def test_derivatives_of_all_readouts_match_finite_differences(x64):
    """First derivatives forwards and backwards, then forward over reverse."""
    total = line()
    first = jax.grad(total)
    both = jax.jit(lambda t: (total(t), *jax.jvp(first, (t,), (jnp.ones(()),))))
    values, slopes, _ = zip(*map(both, AROUND), strict=True)
    _, slope, bend = both(np.array(0.1))
    close(slope, np.array(values) @ DIFFERENCE, 1e-7)
    close(bend, np.array(slopes) @ DIFFERENCE, 1e-7)
    close(jax.jit(jax.jacfwd(total))(np.array(0.1)), slope, 1e-11)


def test_derivatives_are_finite_at_the_vacuum_and_at_nothing(x64):
    def total(parts):
        state = fj.from_ket(jax.lax.complex(parts, 0.1 * parts))
        read = [state.entropy(0), state.covariance(), state.quadrature_polynomial(np.eye(4))]
        return sum(jnp.sum(leaf) for leaf in jax.tree.leaves(read))

    @jax.jit
    def derivatives(parts):
        return jax.jvp(jax.grad(total), (parts,), (jnp.ones_like(parts),))

    for parts in (np.zeros((2, 3)), np.eye(2, 3)[:1] * np.eye(2, 3)):
        assert all(np.isfinite(leaf).all() for leaf in derivatives(parts))


# flags, patterns that are traced, dtypes, errors


def test_a_flag_tells_a_state_that_is_not_finite():
    circuit = fj.Circuit(2).displace(fj.Input(0), mode=1)
    finite = jax.jit(jax.vmap(lambda x: circuit({}, x, cutoff=3).is_finite))
    x = np.array([[0.1], [np.nan], [np.inf]], np.float32)
    assert finite(x).tolist() == [True, False, False]


def test_traced_patterns_have_probability_zero_outside_the_cutoff():
    state = fj.from_ket(np.array([[0.6, 0.0, 0.0], [0.0, 0.0, 0.8j]]))
    patterns = np.array([[0, 0], [1, 2], [2, 0], [0, -1], [1, 3]])
    close(jax.vmap(state.probability)(patterns), [0.36, 0.64, 0, 0, 0], 1e-6)


def test_single_precision_stays_single(x64):
    state = fj.from_ket(np.eye(2, 3) / 2, dtype=np.complex64)
    read = jax.eval_shape(lambda: everything(state, state, GRID))
    for leaf in jax.tree.leaves(read):
        assert leaf.dtype in (np.complex64, np.float32, np.bool_)


@pytest.mark.parametrize(
    "read, message",
    [
        (lambda s: s.probability((0,)), "2 integers, one for each mode"),
        (lambda s: s.probability((0.0, 1.0)), "2 integers"),
        (lambda s: s.probability((2, 0)), r"inside the cutoffs \(2, 3\), got \(2, 0\)"),
        (lambda s: s.probability((0, -1)), r"inside the cutoffs \(2, 3\), got \(0, -1\)"),
        (lambda s: s.parity((0, 0)), "must not repeat a mode"),
        (lambda s: s.photon_number_product((0, 2)), r"from 0 to 1, got \(0, 2\)"),
        (lambda s: s.diagonal_expectation(np.ones(3), 0), r"must have shape \(2,\).*got \(3,\)"),
        (lambda s: s.diagonal_expectation((np.ones(2),), (0, 1)), r"lengths \(2, 3\)"),
        (lambda s: s.quadrature_moment(0, 0), "`power` must be an integer >= 1, got 0"),
        (lambda s: s.quadrature_moment(0, 1.5), "`power` must be an integer >= 1, got 1.5"),
        (lambda s: s.quadrature(0, np.ones(2)), r"`angle` must be one real.*got float32\[2\]"),
        (lambda s: s.quadrature_distribution(0, np.ones(2), 1j), "`angle` must be one real number"),
        (lambda s: s.quadrature_polynomial(angle=np.ones(1)), "`angle` must be one real number"),
        (lambda s: s.quadrature_polynomial(k=1j), "`k` must be one real number, got complex64"),
        (lambda s: s.quadrature_polynomial(k=np.ones(3)), r"`k` must be one real.*float32\[3\]"),
        (
            lambda s: s.diagonal_expectation([[0, 1], [0, 1, 2]], (0, 1)),
            "`values` must be an array of real numbers, got .* give a tuple",
        ),
        (lambda s: s.fidelity(2 * np.eye(2, 3)), "`other` has norm 2.8.*, above 1"),
        (
            lambda s: s.fidelity(np.triu(np.ones((6, 6))).reshape(2, 3, 2, 3)),
            "`other` must be Hermitian",
        ),
        (lambda s: s.quadrature_polynomial(np.eye(2)), r"`A` must have shape \(4, 4\)"),
        (lambda s: s.quadrature_polynomial(np.tri(4)), "`A` must be symmetric"),
        (lambda s: s.quadrature_polynomial(d=np.ones(2)), r"`d` must have shape \(4,\)"),
        (lambda s: s.quadrature_polynomial(padding=0), "`padding` must be an integer >= 1"),
        (lambda s: s.covariance(()), r"`modes` must name at least one mode, got \(\)"),
        (lambda s: s.quadrature_means(()), "at least one mode"),
        (lambda s: s.covariance(hbar=-1), "`hbar` must be positive"),
        (lambda s: s.wigner(0, 0.0, np.zeros(1)), r"`x` must have one axis, got shape \(\)"),
        (lambda s: s.wigner(0, np.zeros(1), np.eye(2)), "`p` must have one axis"),
        (lambda s: s.reduced((0, 0)), "must not repeat a mode"),
        (lambda s: s.purity(5), "from 0 to 1, got 5"),
        (lambda s: s.fidelity(fj.vacuum((2, 2))), r"cutoffs of the state, \(2, 3\), got \(2, 2\)"),
        (lambda s: s.fidelity_coherent([0.1]), r"`r` must be a number or have shape \(2,\)"),
    ],
)
def test_bad_arguments(read, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(read, fj.vacuum((2, 3)))


def test_complex_arguments_of_real_readouts_are_refused():
    state = fj.Circuit(1).displace(0.5, np.pi / 2, mode=0)({}, cutoff=4)
    for call in (
        lambda: state.fidelity_coherent([0.5j]),
        lambda: state.diagonal_expectation(np.ones(4) * 1j, 0),
        lambda: state.diagonal_expectation((np.ones(4) * 1j,), 0),
        lambda: state.quadrature_polynomial(d=[1j, 0]),
        lambda: state.wigner(0, np.array([1j]), np.array([0.0])),
    ):
        with pytest.raises(TypeError, match="must be real, got dtype complex"):
            call()


@pytest.mark.parametrize(
    "name, read",
    [
        ("ket", lambda s: s.ket()),
        ("density_matrix", lambda s: s.density_matrix()),
        ("probabilities", lambda s: s.probabilities()),
        ("reduced", lambda s: s.reduced(range(10))),
    ],
)
@pytest.mark.parametrize("trace", [False, True])
def test_what_does_not_fit_in_memory_is_refused_by_name(name, read, trace):
    state = fj.vacuum((6,) * 20)
    with pytest.raises(ValueError, match=f"`{name}` puts modes .* over the limit of 8,589,934,592"):
        jax.eval_shape(read, state) if trace else read(state)
    assert state.parity() == 1 and state.reduced((3, 17)).shape == (6, 6, 6, 6)


def test_under_a_total_the_ket_with_an_axis_for_each_mode_may_not_fit():
    state = fj.vacuum(fj.TotalPhotons(2), modes=40)
    with pytest.raises(ValueError, match=r"`ket` puts modes \[0, 1, .*8,796,093,022,208 bytes"):
        state.ket()
    assert state.amplitudes().shape == (41,)


def test_what_is_no_larger_than_a_factor_always_fits(monkeypatch):
    monkeypatch.setattr("fockjax.readouts.factored.MEMORY_LIMIT", 100)
    state = fj.from_ket(np.eye(11, 7) / np.sqrt(7))
    assert state.ket().shape == state.probabilities().shape == (11, 7)
    with pytest.raises(ValueError, match="over the limit of 616 bytes"):
        state.density_matrix()
