"""Matrix elements of every gate, and their derivatives in its parameters, against `truth`.

The bars, absolute for elements and relative to G = max(1, largest |derivative|) of each block and
each derivative on its own: complex128 1e-13, 1e-13 G, 1e-11 G; complex64 2e-6, 1e-5 G, 1e-4 G.
All parameters are float32 numbers, so that both precisions are asked for the same thing.
"""

from functools import partial

import jax
import mpmath
import numpy as np
import pytest
import truth

import fockjax as fj
from fockjax._numerics import canonical_complex, geometric
from fockjax._phases import phase_factor, wave
from fockjax.gates.beamsplitter import real_blocks
from fockjax.gates.displacement import real_core as displacement_core
from fockjax.gates.squeezing import real_core as squeezing_core
from fockjax.gates.two_mode_squeezing import real_blocks as two_mode_blocks
from fockjax.operators import Turned

BARS = {"complex64": (2e-6, 1e-5, 1e-4), "complex128": (1e-13, 1e-13, 1e-11)}


def check(elements, dtype, cases):
    """elements(parameters), its jacobian and its Hessian, against pairs (parameters, truth)."""
    compiled = jax.jit(partial(series, elements))
    for parameters, expected in cases:
        results = compiled(np.array(parameters, np.finfo(dtype).dtype))
        for order, (got, right) in enumerate(zip(results, expected, strict=True)):
            got, right = np.asarray(got, np.complex128), np.asarray(right)
            assert got.shape == right.shape
            entries = tuple(range(got.ndim - order * np.ndim(parameters)))  # before derivatives
            scale = np.maximum(1, np.max(np.abs(right), axis=entries)) if order else 1
            error = np.max(np.max(np.abs(got - right), axis=entries) / scale)
            assert error <= BARS[dtype.name][order], f"order {order} at {parameters}: {error:.1e}"


def series(f, x):
    return f(x), jax.jacfwd(f)(x), jax.jacfwd(jax.jacfwd(f))(x)


def expected(tables, phi, numbers):
    """Truth of e^{i phi numbers} R(r) and its derivatives in (r, phi)."""
    zero, one, two = (truth.turned(table, phi, numbers) for table in tables)
    k = 1j * np.asarray(numbers)
    gradient = np.stack([one, k * zero], -1)
    hessian = np.stack([np.stack([two, k * one], -1), np.stack([k * one, k * k * zero], -1)], -1)
    return zero, gradient, hessian


def f32(*values):
    return [float(np.float32(value)) for value in values]


def pairs(strengths, phases):
    return list(zip(f32(*strengths), f32(*phases), strict=True))


def random_phases(count):
    return 0, 6.2831, -6.2831, *np.random.default_rng(count).uniform(-6.2831, 6.2831, count - 3)


# One mode -----------------------------------------------------------------------------------------


def difference(cutoff):
    n = np.arange(cutoff)
    return n[:, None] - n


def check_one_mode(gate, tables, numbers, pairs, cutoff, dtype):
    """The public gate, e^{i phi numbers} R(r), in (r, phi)."""

    def elements(p):
        return gate(p[0], p[1], cutoff=cutoff, dtype=dtype).to_dense()

    right = [expected(tables(r, cutoff), phi, numbers) for r, phi in pairs]
    check(elements, dtype, zip(pairs, right, strict=True))


def check_displacement(pairs, cutoff, dtype):
    k = difference(cutoff)
    check_one_mode(fj.gates.displacement, truth.displacement, k, pairs, cutoff, dtype)


def check_squeezing(pairs, cutoff, dtype):
    k = difference(cutoff) // 2  # where m - n is odd there is nothing to turn
    check_one_mode(fj.gates.squeezing, truth.squeezing, k, pairs, cutoff, dtype)


@pytest.mark.parametrize("cutoff", [1, 30])
def test_displacement(cutoff, dtype):
    check_displacement(pairs((0, 0.3, -1.1, 3, 10), (1.3, -6.2, 0, 2.9, 0.7)), cutoff, dtype)


@pytest.mark.parametrize("cutoff", [1, pytest.param(2, marks=pytest.mark.slow), 31])
def test_squeezing(cutoff, dtype):
    check_squeezing(pairs((0, 0.2, -1, 1.7, 3), (1.3, -6.2, 0, 2.9, 0.7)), cutoff, dtype)


@pytest.mark.slow
@pytest.mark.parametrize("cutoff", [6, 20, 50, 100, 200])
def test_displacement_sweep(cutoff, dtype):
    amplitudes = (0, 1e-6, 0.01, 0.1, 0.5, 1, 1.9, 3, -4.3, 6, 8.1, 9.9, 10)
    check_displacement(pairs(amplitudes, random_phases(13)), cutoff, dtype)


@pytest.mark.slow
@pytest.mark.parametrize("cutoff", [6, 20, 50, 100, 200])
def test_squeezing_sweep(cutoff, dtype):
    strengths = (0, 1e-6, 0.01, 0.1, 0.4, 0.7, 1, 1.2, -1.5, 2, 2.3, 2.8, 3)
    check_squeezing(pairs(strengths, random_phases(13)), cutoff, dtype)


def check_diagonal(gate, parameters, numbers, dtype):
    cutoff = len(numbers)
    i = np.arange(cutoff)

    def dense(p):
        return gate(p, cutoff=cutoff, dtype=dtype).to_dense()

    def elements(p):
        return dense(p)[i, i]

    def right(p):
        value, k = truth.phases_of(p, numbers), 1j * numbers
        return value, k * value, k * k * value

    check(elements, dtype, [(p, right(p)) for p in parameters])
    assert np.count_nonzero(jax.jit(dense)(parameters[-1])) == cutoff


@pytest.mark.parametrize("cutoff", [1, 200])
def test_rotation(cutoff, dtype):
    phases = f32(0, 1e-7, 0.3, -1.9, np.pi / 2, 4.4, *random_phases(20))
    check_diagonal(fj.gates.rotation, phases, np.arange(cutoff), dtype)


@pytest.mark.parametrize("cutoff", [1, 20, 200])
def test_kerr(cutoff, dtype):
    strengths = f32(0, 1e-7, 0.3, -1.9, np.pi / 2, *np.divide(random_phases(20), 2))
    check_diagonal(fj.gates.kerr, strengths, np.arange(cutoff) ** 2, dtype)


# Beamsplitter -------------------------------------------------------------------------------------


def check_blocks(pairs, cutoffs, dtype):
    a = np.arange(min(cutoffs))
    numbers = (a - a[:, None])[None]  # n2 out - n2 in = n1 in - n1 out
    if cutoffs[0] > cutoffs[1]:
        numbers = -numbers

    def elements(p):
        return phase_factor(p[1], numbers) * real_blocks(p[0], cutoffs).astype(dtype)

    tables = [truth.beamsplitter(theta, cutoffs) for theta, _ in pairs]
    right = [expected(table, phi, numbers) for table, (_, phi) in zip(tables, pairs, strict=True)]
    check(elements, dtype, zip(pairs, right, strict=True))


@pytest.mark.parametrize("cutoffs", [(1, 1), (4, 1), (5, 9), (9, 5), (20, 20)])
def test_beamsplitter(cutoffs, dtype):
    angles = (0, 0.1, np.pi / 4, -1.2, 5.5)
    check_blocks(pairs(angles, (1.3, -6.2, 0, 2.9, 0.7)), cutoffs, dtype)


@pytest.mark.slow
@pytest.mark.parametrize("cutoffs", [(6, 6), (20, 20), (50, 50), (100, 100), (20, 60), (100, 30)])
def test_beamsplitter_sweep(cutoffs, dtype):
    angles = (0, 1e-6, 0.01, 0.1, np.pi / 4, 1.2, np.pi / 2, np.pi + 0.013, -2.6, 2 * np.pi)
    check_blocks(pairs(angles, random_phases(10)), cutoffs, dtype)


@pytest.mark.parametrize("cutoffs", [(5, 5), (4, 7), (7, 4)])
def test_beamsplitter_is_packed_as_described(cutoffs, x64):
    """The public gate, element by element: the packing, the phase and which mode is which."""
    theta, phi = 0.6875, -2.1875
    gate = jax.jit(lambda theta, phi: fj.gates.beamsplitter(theta, phi, cutoff=cutoffs).to_dense())
    dense = np.asarray(gate(theta, phi))
    with mpmath.workdps(30):
        for p, q, m, n in np.ndindex(dense.shape):
            right = truth.closed_form_beamsplitter(mpmath.mpf(theta), p, q, m, n)
            right *= mpmath.expj(mpmath.mpf(phi) * (q - n))
            assert abs(dense[p, q, m, n] - complex(right)) < 1e-14


def test_complete_sectors_are_orthogonal(x64):
    """Below the cutoff nothing is cut off: at cutoff 60 the sectors N < 60 are unitary."""
    blocks = np.asarray(jax.jit(lambda theta: real_blocks(theta, (60, 60)))(0.83))
    for total in range(60):
        block = blocks[total, : total + 1, : total + 1]
        np.testing.assert_allclose(block @ block.T, np.eye(total + 1), atol=5e-15)


# Two-mode squeezing -------------------------------------------------------------------------------


def check_two_mode_squeezing(pairs, cutoffs, dtype):
    a = np.arange(min(cutoffs))
    numbers = (a[:, None] - a)[None]  # n1 out - n1 in = n2 out - n2 in

    def elements(p):
        gate = fj.gates.two_mode_squeezing(p[0], p[1], cutoff=cutoffs, dtype=dtype)
        return (gate.fused() if isinstance(gate, Turned) else gate).blocks

    tables = [truth.two_mode_squeezing(r, cutoffs) for r, _ in pairs]
    right = [expected(table, phi, numbers) for table, (_, phi) in zip(tables, pairs, strict=True)]
    check(elements, dtype, zip(pairs, right, strict=True))


@pytest.mark.parametrize("cutoffs", [(9, 5), pytest.param((20, 20), marks=pytest.mark.slow)])
def test_two_mode_squeezing(cutoffs, dtype):
    strengths = (0, 0.1, 0.9, -1.7, 3)
    check_two_mode_squeezing(pairs(strengths, (1.3, -6.2, 0, 2.9, 0.7)), cutoffs, dtype)


@pytest.mark.slow
@pytest.mark.parametrize("cutoffs", [(6, 6), (20, 20), (50, 50), (100, 100), (20, 60), (1, 4)])
def test_two_mode_squeezing_sweep(cutoffs, dtype):
    strengths = (0, 1e-6, 0.01, 0.1, 0.4, 0.7, 1, -1.5, 2.3, 3)
    check_two_mode_squeezing(pairs(strengths, random_phases(10)), cutoffs, dtype)


@pytest.mark.parametrize("cutoffs", [(4, 6), (6, 4)])
def test_two_mode_squeezing_is_packed_as_described(cutoffs, x64):
    r, phi = 0.6875, -2.1875
    gate = jax.jit(lambda: fj.gates.two_mode_squeezing(r, phi, cutoff=cutoffs).to_dense())
    dense = np.asarray(gate())
    with mpmath.workdps(30):
        for p, q, m, n in np.ndindex(dense.shape):
            right = truth.closed_form_two_mode_squeezing(mpmath.mpf(r), p, q, m, n)
            right *= mpmath.expj(mpmath.mpf(phi) * (p - m))
            assert abs(dense[p, q, m, n] - complex(right)) < 1e-14


# First columns ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 17, 200])
@pytest.mark.parametrize("ratio", [0.0, -1.7, 9.5, 3 + 4j])
def test_a_geometric_progression(size, ratio, dtype):
    """Those of a coherent state: from where they start they may rise by 20 orders."""
    dtype = np.finfo(dtype).dtype if ratio.imag == 0 else dtype
    ratio = dtype.type(ratio)
    first = np.exp(-(abs(ratio) ** 2) / 2)
    factors = np.sqrt(1 / np.arange(1, size))
    exact = mpmath.mpmathify(ratio.item())
    right = [mpmath.mpf(first.item())]
    for k in range(1, size):
        right.append(right[-1] * exact / mpmath.sqrt(k))
    right = np.array(list(map(complex, right)))
    got = geometric(jax.numpy.asarray(first).astype(dtype), jax.numpy.asarray(ratio), factors)
    np.testing.assert_allclose(
        got, right, rtol=40 * np.finfo(dtype).eps, atol=np.finfo(dtype).tiny * 100
    )


# Phases -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phi", [0.1, 2.0, -3.3, 6.283185])
def test_phase_factor_of_a_full_float64(phi, x64):
    """With all 53 bits in use the product n phi itself rounds, by up to 1e-11 at n = 40000."""
    n = np.concatenate([np.arange(200) ** 2, -np.arange(400), [40000, -40000]])
    right = truth.phases_of(phi, n)
    np.testing.assert_allclose(phase_factor(phi, n), right, rtol=0, atol=1e-14)


def test_phase_factor_beyond_two_turns_is_off_by_a_rounding_of_phi(dtype):
    real = np.finfo(dtype).dtype
    n = np.arange(200) ** 2
    for phi in f32(7, 100, -12345.678, 1e9):
        error = np.abs(np.asarray(phase_factor(real.type(phi), n)) - truth.phases_of(phi, n))
        assert np.max(error / (1 + n)) <= 2 * np.finfo(dtype).eps * abs(phi)


@pytest.mark.parametrize("phi", [np.nan, np.inf, -np.inf])
def test_phase_factor_of_no_number_is_no_number(phi):
    assert np.all(np.isnan(phase_factor(np.float32(phi), np.arange(3))))


def test_steps_of_a_phase_are_exact(dtype):
    """phi + steps 2 pi / 256, traced steps among them; with phi = 0 quarter turns are exact."""
    n = np.arange(-40, 400)
    with mpmath.workdps(40):
        for phi, steps in ((0.0, 64), (0.0, -64), (0.3125, 31), (-5.5, -64), (2.75, 200)):
            x = mpmath.mpf(phi) + steps * mpmath.pi / 128
            right = np.array([complex(mpmath.expj(int(k) * x)) for k in n])
            for whole in (steps, np.int32(steps)):
                phases = jax.jit(lambda phi, whole: phase_factor(phi, n, whole))(
                    np.finfo(dtype).dtype.type(phi), whole
                )
                np.testing.assert_allclose(phases, right, rtol=0, atol=2 * np.finfo(dtype).eps)
                if phi == 0:
                    np.testing.assert_array_equal(phases, right.round())


def test_wave_of_real_frequencies(dtype):
    """In float32 the plain product is off by 2e-4 here."""
    real = np.finfo(dtype).dtype
    frequencies = np.random.default_rng(0).uniform(-1500, 1500, 200)
    for phi in f32(0, 1e-6, 0.1, -2.3):
        (c, s), (dc, ds) = jax.jvp(
            lambda x: wave(x, frequencies), (real.type(phi),), (real.type(1),)
        )
        with mpmath.workdps(40):
            right = np.array(
                [complex(mpmath.expj(mpmath.mpf(phi) * float(f))) for f in frequencies]
            )
        bar = 6e-7 if real == np.float32 else 1e-12  # float64: the frequencies' own digits
        np.testing.assert_allclose(c, right.real, rtol=0, atol=bar)
        np.testing.assert_allclose(s, right.imag, rtol=0, atol=bar)
        np.testing.assert_allclose(dc, -frequencies * right.imag, rtol=0, atol=1500 * bar)
        np.testing.assert_allclose(ds, frequencies * right.real, rtol=0, atol=1500 * bar)


# The dtypes ---------------------------------------------------------------------------------------


def test_dtype_follows_x64_and_is_never_lowered_silently():
    assert canonical_complex() == np.complex64
    with pytest.raises(ValueError, match='`dtype` is complex128.*"jax_enable_x64", True'):
        canonical_complex(np.complex128)
    with jax.enable_x64(True):
        assert canonical_complex() == np.complex128
        assert canonical_complex("complex64") == np.complex64
    for wrong in (np.float32, "complex", int, "nonsense"):
        with jax.enable_x64(False), pytest.raises(ValueError, match="`dtype`"):
            canonical_complex(wrong)


def test_cores_have_the_dtype_of_their_parameter(x64):
    for core in (
        lambda r: displacement_core(r, 4),
        lambda r: squeezing_core(r, 4),
        lambda theta: real_blocks(theta, (3, 4)),
        lambda r: two_mode_blocks(r, (3, 4)),
        lambda phi: phase_factor(phi, np.arange(4)),
    ):
        for real in (np.float32, np.float64):
            result = jax.eval_shape(core, jax.ShapeDtypeStruct((), real))
            assert np.finfo(result.dtype).dtype == real


# Second opinions ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_walrus_agrees_where_it_is_accurate(x64):
    from thewalrus import fock_gradients  # takes a second

    def theirs(name, *arguments):
        return getattr(fock_gradients, name)(*arguments)

    for r, phi in ((0.4, 2.1), (1.0, -0.8)):
        for name in ("displacement", "squeezing"):
            ours = getattr(fj.gates, name)(r, phi, cutoff=15).to_dense()
            np.testing.assert_allclose(ours, theirs(name, r, phi, 15), rtol=0, atol=1e-11)
        ours = fj.gates.beamsplitter(r, phi, cutoff=8).to_dense()
        np.testing.assert_allclose(ours, theirs("beamsplitter", r, phi, 8), rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", ["displacement", "squeezing"])
@pytest.mark.parametrize("r, cutoff", [(0.3125, 12), (-1.25, 30), (3.0, 60)])
def test_truth_of_one_mode_is_its_closed_form(name, r, cutoff):
    tables = getattr(truth, name)(r, cutoff)
    form = getattr(truth, f"closed_form_{name}")
    generator = np.random.default_rng(cutoff)
    with mpmath.workdps(120):
        for _ in range(8):
            n = int(generator.integers(cutoff))
            m = int(generator.choice(np.arange(n % 2, cutoff, 2)))
            for order, table in enumerate(tables):
                right = derivative(lambda x, m=m, n=n: form(x, m, n), r, order)
                assert table[m, n] == pytest.approx(right, rel=1e-15, abs=1e-300)


@pytest.mark.parametrize("theta, cutoffs", [(0.7, (6, 6)), (-1.2, (5, 9)), (0.785, (20, 12))])
def test_truth_of_the_beamsplitter_is_its_closed_form(theta, cutoffs):
    tables = truth.beamsplitter(theta, cutoffs)
    d1, d2 = cutoffs
    generator = np.random.default_rng(0)
    with mpmath.workdps(120):
        for _ in range(12):
            m, n = int(generator.integers(d1)), int(generator.integers(d2))
            p = int(generator.integers(max(0, m + n - d2 + 1), min(m + n, d1 - 1) + 1))
            q = m + n - p
            a, c = (p, m) if d1 <= d2 else (q, n)
            for order, table in enumerate(tables):
                right = derivative(
                    lambda x, i=(p, q, m, n): truth.closed_form_beamsplitter(x, *i), theta, order
                )
                assert table[(m + n) % max(cutoffs), a, c] == pytest.approx(
                    right, rel=1e-15, abs=1e-300
                )


@pytest.mark.parametrize("r, cutoffs", [(0.7, (6, 6)), (-1.2, (5, 9)), (2.5, (20, 12))])
def test_truth_of_two_mode_squeezing_is_its_closed_form(r, cutoffs):
    tables = truth.two_mode_squeezing(r, cutoffs)
    d1, d2 = cutoffs
    generator = np.random.default_rng(0)
    with mpmath.workdps(120):
        for _ in range(12):
            m, n = int(generator.integers(d1)), int(generator.integers(d2))
            p = int(generator.integers(max(0, m - n), min(d1, d2 + m - n)))
            q = p + n - m
            (a, b), (c, k) = ((p, q), (m, n)) if d1 <= d2 else ((q, p), (n, m))
            for order, table in enumerate(tables):
                right = derivative(
                    lambda x, i=(p, q, m, n): truth.closed_form_two_mode_squeezing(x, *i), r, order
                )
                got = table[(b - a) % max(cutoffs), a, c]
                assert (b - a) % max(cutoffs) == (k - c) % max(cutoffs)
                assert got == pytest.approx(right, rel=1e-15, abs=1e-300)


@pytest.mark.slow
def test_truth_has_bits_to_spare():
    for few, many in (
        (truth.displacement(10.0, 200), truth.displacement(10.0, 200, 2 * truth.BITS)),
        (truth.squeezing(1.0, 200), truth.squeezing(1.0, 200, 2 * truth.BITS)),
        (truth.beamsplitter(0.785, (60, 60)), truth.beamsplitter(0.785, (60, 60), 600)),
        (truth.two_mode_squeezing(1.0, (60, 60)), truth.two_mode_squeezing(1.0, (60, 60), 600)),
    ):
        for table, better in zip(few, many, strict=True):
            np.testing.assert_allclose(table, better, rtol=1e-15, atol=1e-100)


def derivative(f, x, order):
    """Central difference in mpmath's working precision."""
    x = mpmath.mpf(float(x))
    return float(mpmath.diff(f, x, order, h=mpmath.mpf(10) ** -35) if order else f(x))
