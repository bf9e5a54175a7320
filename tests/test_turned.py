"""Gates above the cutoff `FOLD`, whose phases and derivatives stand beside their elements; it is
lowered here, so that small ones are among them.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compare import close_in_scale

import fockjax as fj
from fockjax import register
from fockjax.gates import _cores
from fockjax.operators import Generated, Matrix, Padded, Turned, flat_parts

FOLD, CUTOFF = 3, 6
SIZES = (CUTOFF, CUTOFF - 1)
GATES = {
    "displacement": lambda: fj.gates.displacement(0.7, 0.4, cutoff=CUTOFF),
    "p displacement": lambda: fj.gates.p_displacement(0.7, cutoff=CUTOFF),
    "squeezing": lambda: fj.gates.squeezing(-0.6, 1.1, cutoff=CUTOFF),
    "beamsplitter": lambda: fj.gates.beamsplitter(0.8, 2.1, cutoff=SIZES),
    "beamsplitter, modes changed": lambda: fj.gates.beamsplitter(0.8, 2.1, cutoff=SIZES[::-1]),
    "two-mode squeezing": lambda: fj.gates.two_mode_squeezing(0.3, -0.9, cutoff=SIZES),
}


@pytest.fixture(autouse=True)
def lowered(x64, monkeypatch):
    """Everything in double precision, so that disagreement is never rounding."""
    for module in (_cores, register):
        monkeypatch.setattr(module, "FOLD", FOLD)


def complex_normal(seed, shape):
    random = np.random.RandomState(seed)
    return jnp.asarray(random.normal(size=shape) + 1j * random.normal(size=shape))


def applied(gate, ket, modes):
    """As a circuit does it."""
    for part, at in flat_parts(gate, modes):
        ket = part.apply(ket, at)
    return ket


@pytest.mark.parametrize("name", GATES)
def test_parts_are_the_gate(name):
    gate = GATES[name]()
    assert isinstance(gate, Turned)
    modes = (1,) if len(gate.cutoffs) == 1 else (2, 1)
    shape = [2, CUTOFF, CUTOFF]
    for mode, size in zip(modes, gate.cutoffs, strict=True):
        shape[mode] = size
    ket = complex_normal(1, shape)
    whole = gate.fused().apply(ket, modes)
    close_in_scale(applied(gate, ket, modes), whole)
    close_in_scale(applied(gate.conj(), ket.conj(), modes), whole.conj())
    close_in_scale(gate.adjoint().to_dense(), gate.fused().adjoint().to_dense())


def test_small_gates_are_their_elements():
    """There a pass over the state costs more than it saves."""
    for gate in (fj.gates.displacement, fj.gates.squeezing):
        assert type(gate(0.3, 0.2, cutoff=FOLD)) is type(gate(0.3, cutoff=FOLD)) is Matrix
        assert isinstance(gate(0.3, cutoff=FOLD + 1), Generated)


POINTS = jnp.array([[0.0, 0.3, 0.0], [-0.6, 1.1, 0.2]])


def number(gate, by, point, ket):
    """A real number that depends on a gate's two parameters and on the ket."""
    weights = complex_normal(3, (3, CUTOFF))
    gate = gate(point[0], point[1], cutoff=CUTOFF)
    after = by(gate, ket + point[2].astype(complex) * weights)
    return jnp.sum(jnp.sin((weights * after).real / 9))


def both_ways(derivative, gate):
    """Of the gate as it is applied and of its elements, batched in everything."""
    kets = complex_normal(2, (2, 3, CUTOFF))
    ways = (
        lambda gate, ket: applied(gate, ket, (1,)),
        lambda gate, ket: gate.fused().apply(ket, (1,)),
    )
    for by in ways:
        f = partial(number, gate, by)
        yield jax.jit(jax.vmap(partial(derivative, f)))(POINTS, kets)


@pytest.mark.slow
@pytest.mark.parametrize("gate", [fj.gates.displacement, fj.gates.squeezing])
def test_derivatives_are_those_of_the_elements(gate):
    def derivatives(f, point, ket):
        return f(point, ket), jax.grad(f)(point, ket), jax.hessian(f)(point, ket)

    jax.tree.map(close_in_scale, *both_ways(derivatives, gate))


@pytest.mark.slow
@pytest.mark.parametrize("gate", [fj.gates.displacement, fj.gates.squeezing])
def test_in_every_direction_to_third_order(gate):
    def derivatives(f, point, ket):
        return (
            jax.jacfwd(jax.jacfwd(f))(point, ket),
            jax.jacrev(jax.grad(f))(point, ket),
            jax.jacfwd(jax.hessian(f))(point, ket),
            jax.jacrev(jax.hessian(f))(point, ket),
        )

    one, other = both_ways(derivatives, gate)
    jax.tree.map(close_in_scale, one, other)
    close_in_scale(one[2], one[3])


@pytest.mark.slow
@pytest.mark.parametrize(
    "cutoff", [(CUTOFF, FOLD), pytest.param((CUTOFF, CUTOFF - 1), marks=pytest.mark.slow)]
)
def test_a_circuit_is_the_product_of_its_gates(cutoff):
    """Gates that wait, fuse and meet, with phases on both sides of everything."""
    circuit = fj.Circuit(2).squeeze(0.3, 0.2, mode=0).rotate(0.4, mode=0)
    circuit.displace(0.2, 0.1, mode=0).kerr(0.1, mode=1).squeeze(0.2, -1.0, mode=1)
    circuit.beamsplitter(0.7, 0.5, modes=(0, 1)).rotate(0.3, mode=1).kerr(0.2, mode=0)
    circuit.squeeze(-0.2, 0.6, mode=0).rotate(1.0, mode=0).displace(0.1, 0.9, mode=0)
    circuit.cross_kerr(0.3, modes=(1, 0)).displace(0.3, mode=1)
    circuit.two_mode_squeeze(0.1, 0.8, modes=(1, 0)).rotate(-0.4, mode=1)
    ket = np.zeros(cutoff, complex)
    ket[0, 0] = 1
    for name, parameters, modes in circuit.evaluated({}):
        sizes = tuple(cutoff[mode] for mode in modes)
        build = getattr(fj.gates, name)
        gate = build(**parameters, cutoff=sizes if len(modes) > 1 else sizes[0])
        after = np.tensordot(gate.to_dense(), ket, (range(len(modes), 2 * len(modes)), modes))
        ket = np.moveaxis(after, range(len(modes)), modes)
    close_in_scale(circuit({}, cutoff=cutoff).ket(), ket)


def test_density_matrices_turn_like_their_kets():
    """A ket, and its density matrix as a channel leaves it that does nothing."""
    circuit = fj.Circuit(1).squeeze(0.4, 0.3, mode=0)
    mixed = fj.Circuit(1).squeeze(0.4, 0.3, mode=0).loss(1.0, mode=0)
    ket, rho = (made.displace(0.2, 0.7, mode=0)({}, cutoff=CUTOFF) for made in (circuit, mixed))
    close_in_scale(rho.density_matrix(), np.multiply.outer(ket.ket(), ket.ket().conj()))


SYMPLECTIC = np.array(  # a two-mode squeezer after two rotations
    np.kron(np.diag([1, 1]), np.cosh(0.2) * np.eye(2))
    + np.sinh(0.2) * np.kron(np.diag([1, -1]), [[0, 1], [1, 0]])
)
COMPOSED = {
    "controlled_z, exact": lambda c: c.controlled_z(0.3, exact=True, modes=(1, 0)),
    "controlled_x, exact": lambda c: c.controlled_x(0.3, exact=True, modes=(1, 0)),
    "controlled_z": lambda c: c.controlled_z(0.3, modes=(1, 0)),
    "gaussian_transform, exact": lambda c: c.gaussian_transform(SYMPLECTIC, exact=True),
    "gaussian_transform": lambda c: c.gaussian_transform(SYMPLECTIC),
    "symmetric_mach_zehnder, exact": lambda c: c.symmetric_mach_zehnder(0.3, 0.8, exact=True),
    "mach_zehnder": lambda c: c.mach_zehnder(0.3, 0.8),
}


QUICK = ("controlled_z, exact", "gaussian_transform, exact")


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in COMPOSED]
)
def test_gates_of_several_parts_turn_density_matrices_like_their_kets(name):
    made = []
    for circuit in (fj.Circuit(2), fj.Circuit(2).loss(1.0, mode=0).loss(1.0, mode=1)):
        circuit.squeeze(0.2, 0.3, mode=0).displace(0.3, 0.7, mode=1)
        made.append(COMPOSED[name](circuit)({}, cutoff=SIZES))
    ket, rho = (state.density_matrix() for state in made)
    assert made[0].is_pure and not made[1].is_pure
    close_in_scale(rho, ket)


@pytest.mark.parametrize("name", ["controlled_x", "controlled_z"])
def test_the_conjugate_of_a_gate_has_the_conjugate_elements(name):
    gate = getattr(fj.gates, name)(0.3, cutoff=SIZES, exact=True)
    assert isinstance(gate, Padded)
    close_in_scale(gate.conj().to_dense(), gate.to_dense().conj())
