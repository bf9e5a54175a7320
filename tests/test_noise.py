"""Circuits with channels and mixed preparations against density matrices the slow way, in NumPy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compare import close
from dense import amplifier_operators, gate, loss_operators
from jaxprs import equations

import fockjax as fj

CUTOFFS = (4, 3, 3)


# The slow way: rho has row axes, then column axes ------------------------------------------------


def conjugated(rho, element, modes):
    """K rho K^dagger with elements of K on some modes, output photon numbers first."""
    count, half = len(modes), rho.ndim // 2
    inputs = range(count, 2 * count)
    rho = np.moveaxis(np.tensordot(element, rho, (inputs, modes)), range(count), modes)
    columns = [half + mode for mode in modes]
    return np.moveaxis(np.tensordot(element.conj(), rho, (inputs, columns)), range(count), columns)


def channel(rho, elements, mode):
    return sum(conjugated(rho, element, (mode,)) for element in elements)


def thermal_loss(rho, T, nbar, mode):
    gain = 1 + (1 - T) * nbar
    rho = channel(rho, loss_operators(T / gain, rho.shape[mode]), mode)
    return channel(rho, amplifier_operators(gain, rho.shape[mode]), mode)


def dephased(rho, sigma, mode):
    m, n = np.ogrid[: rho.shape[mode], : rho.shape[mode]]
    factor = np.exp(-(sigma**2) * (m - n) ** 2 / 2)
    shape = np.ones(rho.ndim, int)
    shape[[mode, mode + rho.ndim // 2]] = rho.shape[mode]
    return rho * factor.reshape(shape)


def prepared(rho, own, mode):
    half = rho.ndim // 2
    rest = np.trace(rho, axis1=mode, axis2=mode + half)
    rho = np.multiply.outer(own, rest)  # its row and column, rows of the rest, columns of the rest
    return np.moveaxis(rho, (0, 1), (mode, mode + half))


def slowly(T, theta):
    rho = np.zeros(CUTOFFS * 2, complex)
    rho[(0,) * 6] = 1

    def unitary(name, values, modes):
        return conjugated(rho, gate(name, values, tuple(CUTOFFS[m] for m in modes)), modes)

    rho = unitary("displacement", (0.5, 0.3), (0,))
    rho = unitary("squeezing", (0.4, -0.7), (1,))
    rho = unitary("beamsplitter", (theta, 0.5), (0, 1))
    rho = channel(rho, loss_operators(T, 3), 1)
    rho = dephased(rho, 0.4, 0)
    rho = unitary("displacement", (0.3, 1.1), (2,))
    rho = unitary("beamsplitter", (0.7, -0.2), (2, 0))
    rho = unitary("kerr", (0.8,), (0,))
    rho = thermal_loss(rho, 0.6, 0.5, 2)
    weights = np.array([(1 / 1.3) * (0.3 / 1.3) ** n for n in range(3)])
    rho = prepared(rho, np.diag(weights), 1)
    rho = unitary("beamsplitter", (0.3, 0.9), (0, 1))
    return channel(rho, amplifier_operators(1.2, 4), 0)


def noisy():
    circuit = fj.Circuit(3).displace(0.5, 0.3, mode=0).squeeze(0.4, -0.7, mode=1)
    circuit.beamsplitter(fj.Weight("theta"), 0.5, modes=(0, 1)).loss(fj.Weight("T"), mode=1)
    circuit.dephasing(0.4, mode=0).displace(0.3, 1.1, mode=2)
    circuit.beamsplitter(0.7, -0.2, modes=(2, 0)).kerr(0.8, mode=0)
    circuit.thermal_loss(0.6, 0.5, mode=2).prepare("thermal", 0.3, modes=1)
    return circuit.beamsplitter(0.3, 0.9, modes=(0, 1)).amplifier(1.2, mode=0)


def test_a_noisy_circuit_is_its_kraus_sums(x64):
    circuit = noisy()
    points = [(0.8, 0.4), (0.3, -1.1)]
    batch = {"T": jnp.array([p[0] for p in points]), "theta": jnp.array([p[1] for p in points])}
    states = jax.vmap(lambda w: circuit(w, cutoff=CUTOFFS).density_matrix())(batch)
    for state, point in zip(states, points, strict=True):
        close(state, slowly(*point))


def test_what_no_channel_touched_stays_pure():
    circuit = fj.Circuit(4).displace(0.3, mode=0).beamsplitter(modes=(0, 1))
    circuit.squeeze(0.2, mode=2).loss(0.5, mode=3).beamsplitter(modes=(3, 2))
    state = circuit({}, cutoff=3)
    assert state.groups == ((0, 1), (2, 3))
    assert [factor.is_pure for factor in state.factors] == [True, False]
    with pytest.raises(ValueError, match=r"`ket` needs a pure state.*\(2, 3\)"):
        state.ket()


@pytest.mark.slow
def test_layers_of_a_noisy_circuit_are_those_written_out(x64):
    """Whichever factors turn mixed, or pure again, in a layer."""
    block = fj.Circuit(3).squeeze(fj.Weight("r"), 0.3, mode=0).loss(0.8, mode=0)
    block.beamsplitter(0.4, 0.2, modes=(0, 1)).prepare("fock", 1, modes=1)
    block.beamsplitter(0.3, 0.1, modes=(1, 2)).dephasing(0.2, mode=2)
    r = jnp.array([0.3, -0.2, 0.25, 0.1])
    written = fj.Circuit(3)
    for k in range(4):
        written.squeeze(float(r[k]), 0.3, mode=0).loss(0.8, mode=0)
        written.beamsplitter(0.4, 0.2, modes=(0, 1)).prepare("fock", 1, modes=1)
        written.beamsplitter(0.3, 0.1, modes=(1, 2)).dephasing(0.2, mode=2)
    looped = fj.Circuit(3).repeat(block, 4)({"r": r}, cutoff=3)
    plain = written({}, cutoff=3)
    assert looped.groups == plain.groups
    assert looped.truncations == plain.truncations
    close(looped.density_matrix(), plain.density_matrix())


def test_deep_noise_is_scanned():
    def count(times):
        block = fj.Circuit(1).squeeze(fj.Weight("r"), mode=0).loss(0.9, mode=0)
        circuit = fj.Circuit(1).repeat(block, times)
        return len(equations(lambda r: circuit({"r": r}, cutoff=4).trace, jnp.zeros(times)))

    assert count(50) == count(5)


@pytest.mark.slow
def test_derivatives_through_noise_match_finite_differences(x64):
    circuit = noisy()

    def value(point):
        state = circuit({"T": point[0], "theta": point[1]}, cutoff=CUTOFFS)
        return jnp.stack([state.quadrature(1).mean, state.photon_number(0).mean, state.purity(2)])

    point, step = jnp.array([0.7, 0.4]), 1e-5
    forward, backward = jax.jit(lambda p: (jax.jacfwd(value)(p), jax.jacrev(value)(p)))(point)
    batch = point[None] + step * jnp.concatenate([jnp.eye(2), -jnp.eye(2)])
    plus, minus = jnp.split(jax.vmap(value)(batch), 2)
    close(forward, (plus - minus).T / (2 * step), 1e-8)
    close(backward, forward)


def test_training_the_transmissivity_goes_through_the_ends():
    circuit = fj.Circuit(1).displace(0.5, mode=0).loss(fj.Weight("T"), mode=0)

    def photons(T):
        return circuit({"T": T}, cutoff=6).photon_number(0).mean

    values, slopes = jax.vmap(jax.value_and_grad(photons))(jnp.array([0.0, 0.5, 1.0]))
    close(values, [0, 0.125, 0.25], 1e-4)
    close(slopes, 0.25, 1e-3)
    assert not circuit({"T": 1.2}, cutoff=6).is_finite


REFUSED = [
    (lambda c: c.loss(1.2, mode=0), r"Channel 0 \(loss\).*\[0, 1\].*1\.2"),
    (lambda c: c.thermal_loss(0.5, -1.0, mode=0), r"Channel 0 \(thermal_loss\).*nbar.*-1"),
    (lambda c: c.amplifier(0.5, mode=0), r"Channel 0 \(amplifier\).*gain.*0\.5"),
    (lambda c: c.kraus(0.5 * np.eye(3)[None], modes=0), r"Channel 0 \(kraus\).*identity"),
    (
        lambda c: c.prepare("density_matrix", np.diag([1.5, -0.5]), modes=0),
        r"prepare density_matrix.*eigenvalue -0\.5",
    ),
    (lambda c: c.add("los", 0.5, modes=0), "Unknown gate or channel 'los'"),
]


@pytest.mark.parametrize("add, message", REFUSED)
def test_what_is_no_channel_is_refused(add, message):
    with pytest.raises(ValueError, match=message):
        add(fj.Circuit(1))


def test_a_density_matrix_over_the_memory_limit_is_refused_before_it_is_made():
    circuit = fj.Circuit(2).beamsplitter().loss(0.5, mode=0)
    with pytest.raises(ValueError, match=r"loss.*80,000 bytes.*unravel=True"):
        circuit({}, cutoff=10, memory_limit=50_000)
    # what is left after a trace is a density matrix too
    traced = fj.Circuit(3).beamsplitter().beamsplitter(modes=(1, 2)).prepare("fock", 1, modes=0)
    with pytest.raises(ValueError, match=r"prepare fock.*density matrix of 80,000 bytes"):
        traced({}, cutoff=10, memory_limit=50_000)
    # and so is what an imperfect detector leaves
    seen = fj.Circuit(3).beamsplitter().beamsplitter(modes=(1, 2))
    seen.measure_photons(efficiency=0.9, modes=0)
    with pytest.raises(ValueError, match=r"photons.*density matrix of 80,000 bytes"):
        seen({}, cutoff=10, key=jax.random.key(0), memory_limit=50_000)


def test_thermal_loss_into_the_vacuum_is_loss():
    one = fj.Circuit(1).squeeze(0.4, 0.3, mode=0).thermal_loss(0.6, 0.0, mode=0)({}, cutoff=8)
    other = fj.Circuit(1).squeeze(0.4, 0.3, mode=0).loss(0.6, mode=0)({}, cutoff=8)
    assert one.truncations == other.truncations
    np.testing.assert_allclose(one.density_matrix(), other.density_matrix(), atol=1e-6)


# Pure branches -----------------------------------------------------------------------------------


def branching():
    """Channels, a mixed preparation, and modes traced out."""
    circuit = fj.Circuit(2).prepare("mixed_gaussian", np.diag([1.5, 2.0]), modes=0)
    circuit.displace(fj.Weight("r"), 0.3, mode=0).squeeze(0.3, 0.2, mode=1)
    circuit.beamsplitter(0.5, 0.4).loss(fj.Weight("T"), mode=0).thermal_loss(0.8, 0.3, mode=1)
    circuit.beamsplitter(0.6, -0.3).prepare("coherent", 0.4, 0.2, modes=1)
    return circuit.beamsplitter(0.4, 0.1).dephasing(0.3, mode=1)


def readout(state):
    return jnp.stack(
        [state.quadrature(0).mean, state.quadrature(1, 0.5).mean, state.photon_number(0).mean]
    )


def branches(weights, key, samples):
    circuit = branching()
    return fj.monte_carlo(
        lambda key: circuit(weights, cutoff=5, key=key, unravel=True), readout, key, samples
    )


def averaged(weights):
    return readout(branching()(weights, cutoff=5))


POINT = {"T": jnp.array(0.6), "r": jnp.array(0.4)}


@pytest.mark.slow
def test_the_mean_of_branches_is_that_of_the_density_matrix():
    """Within 3.5 standard errors: one false alarm in 700."""
    mean, error = jax.jit(lambda key: branches(POINT, key, 2000))(jax.random.key(5))
    assert np.all((error > 0) & (error < 2 / math.sqrt(2000)))
    assert np.all(np.abs(mean - averaged(POINT)) < 3.5 * error)


@pytest.mark.slow
def test_the_gradient_of_the_mean_of_branches_is_that_of_the_density_matrix():
    """10^5 branches: values within 3 standard errors, slopes within what 20 batches scatter by."""

    @jax.jit
    def both(key):
        slope = jax.jacfwd(lambda w: branches(w, key, 5000).mean)(POINT)
        return branches(POINT, key, 5000), slope

    estimates, slopes = jax.lax.map(both, jax.random.split(jax.random.key(3), 20))
    error = np.linalg.norm(estimates.standard_error, axis=0) / 20
    assert np.all(np.abs(estimates.mean.mean(0) - averaged(POINT)) < 3 * error)
    for name, exact in jax.jacfwd(averaged)(POINT).items():
        scatter = slopes[name].std(0, ddof=1) / math.sqrt(20)
        assert np.all(scatter < 0.02)
        assert np.all(np.abs(slopes[name].mean(0) - exact) < 4 * scatter)


@pytest.mark.slow
def test_a_branch_is_pure_and_of_the_trace_that_is_left():
    circuit, weights = branching(), {"T": 0.6, "r": 0.4}
    keys = jax.random.split(jax.random.key(0), 5)

    @jax.jit
    def run(key):
        state = circuit(weights, cutoff=6, key=key, unravel=True)
        return state.ket(), state.weight, state.trace

    kets, ones, traces = jax.vmap(run)(keys)
    close(ones, 1, 1e-6)
    close(traces, circuit(weights, cutoff=6).trace, 0.02)
    assert all(not np.allclose(kets[k], kets[0], atol=1e-3) for k in range(1, 5))
    close(kets[3], run(keys[3])[0], 1e-6)


@pytest.mark.slow
def test_branches_of_a_mixed_initial_state():
    lossy = fj.Circuit(2).squeeze(0.5, 0.3, mode=0).beamsplitter(0.5).loss(0.5, mode=0)
    start = lossy({}, cutoff=5)
    circuit = fj.Circuit(2).rotate(0.3, mode=0)

    def run(key):
        return circuit({}, cutoff=5, initial=start, key=key, unravel=True)

    one = run(jax.random.key(1))
    assert one.is_pure
    estimate = fj.monte_carlo(run, readout, jax.random.key(0), 1000)
    exact = readout(circuit({}, cutoff=5, initial=start))
    assert np.all(np.abs(estimate.mean - exact) < 4 * estimate.standard_error + 1e-6)


def heralded(T, theta):
    """A photon that is lost with the probability 1 - T, and is not seen in mode 1 afterwards."""
    circuit = fj.Circuit(2).prepare("fock", 1, modes=0).loss(T, mode=0)
    return circuit.beamsplitter(theta, 0.4).measure_photons(modes=1, select=0)


def photons(state):
    return state.photon_number(0).mean


def estimated(T, theta, key, samples, batch_size):
    circuit = heralded(fj.Weight("T"), theta)

    def run(key):
        return circuit({"T": T}, cutoff=3, key=key, unravel=True)

    return fj.monte_carlo(run, photons, key, samples, batch_size=batch_size)


def test_branches_weigh_as_much_as_what_is_selected_is_likely_in_them():
    """A lost photon is never seen in mode 1: <n> = T c^2 / (1 - T s^2)."""
    T, theta = 0.5, 0.7
    exact = T * math.cos(theta) ** 2 / (1 - T * math.sin(theta) ** 2)
    close(photons(heralded(T, theta)({}, cutoff=3)), exact, 1e-6)
    mean, error = estimated(T, theta, jax.random.key(1), 2000, 600)
    assert error < 0.02
    assert abs(mean - exact) < 3 * error


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [500, 100, 1])
def test_the_slope_of_branches_with_a_selection(batch_size):
    """By T, c^2 / (1 - T s^2)^2, within what 40 estimates scatter by."""
    T, theta = 0.5, 0.7

    def both(T, key):
        mean, error = estimated(T, theta, key, 500, batch_size)
        return mean, error

    each = jax.jit(jax.vmap(jax.value_and_grad(both, has_aux=True), in_axes=(None, 0)))
    (means, errors), slopes = each(T, jax.random.split(jax.random.key(2), 40))
    np.testing.assert_allclose(means.std(ddof=1), errors.mean(), rtol=0.3)
    scatter = slopes.std(ddof=1) / math.sqrt(40)
    exact = math.cos(theta) ** 2 / (1 - T * math.sin(theta) ** 2) ** 2
    assert scatter < 0.02
    assert abs(slopes.mean() - exact) < 3 * scatter


def test_what_is_selected_nowhere_has_no_mean():
    circuit = fj.Circuit(2).prepare("fock", 1, modes=0).loss(0.5, mode=0)
    circuit.measure_photons(modes=1, select=2)

    def run(key):
        return circuit({}, cutoff=3, key=key, unravel=True)

    assert np.all(np.isnan(fj.monte_carlo(run, photons, jax.random.key(0), 8, batch_size=4)))


@pytest.mark.parametrize("noisy", [False, True])
def test_a_branch_in_layers_records_what_is_drawn_in_them(noisy):
    """Where nothing is drawn the state is exact up to what was cut, in layers as without."""
    block = fj.Circuit(1).displace(0.3, 0.2, mode=0)
    if noisy:
        block.loss(0.9, mode=0)
    written = fj.Circuit(1)
    for _ in range(3):
        for step in block.operations:
            written.add(step.name, *step.parameters.values(), modes=0)
    repeated = fj.Circuit(1).repeat(block, 3)
    for circuit in (repeated, written):
        state = circuit({}, cutoff=6, key=jax.random.key(0), unravel=True)
        assert (state.score is not None, state.selected) == (noisy, None)
        assert np.isinf(state.error_bound) == noisy


def test_a_branch_of_nothing_is_nothing():
    """Of what an impossible selection leaves of a density matrix."""
    lossy = fj.Circuit(2).squeeze(0.5, mode=0).loss(0.5, mode=0).beamsplitter()
    (factor,) = lossy({}, cutoff=4).factors

    def run(scale):
        start = fj.State((factor.weighted(scale),))
        key = jax.random.key(0)
        return fj.Circuit(2)({}, cutoff=4, initial=start, key=key, unravel=True).trace

    assert jax.value_and_grad(run)(jnp.zeros(())) == (0, 0)


def test_drawing_needs_a_key():
    circuit = fj.Circuit(1).loss(0.5, mode=0)
    with pytest.raises(ValueError, match="Argument `key` is missing"):
        circuit({}, cutoff=4, unravel=True)


def test_unravelling_a_circuit_without_operations_draws_too():
    circuit, mixed = fj.Circuit(1), fj.from_density_matrix(np.diag([0.5, 0.5]))
    with pytest.raises(ValueError, match="`key` is missing"):
        circuit({}, cutoff=2, initial=mixed, unravel=True)
    assert circuit({}, cutoff=2, initial=mixed, unravel=True, key=jax.random.key(0)).is_pure
