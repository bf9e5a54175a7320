"""Every way of differentiating and batching the kernels gives the derivatives of `truth`.

`test_kernels` holds every element of every block to its bar, in forward mode.  Here one number is
read from each gate, the real and imaginary parts of its elements weighted at random, and each
transformation and composition of them must find the same value, gradient and Hessian of it.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import truth
from compare import close_in_scale

from fockjax._phases import phase_factor
from fockjax.gates.beamsplitter import real_blocks
from fockjax.gates.displacement import real_core as displacement_core
from fockjax.gates.squeezing import real_core as squeezing_core
from fockjax.gates.two_mode_squeezing import real_blocks as two_mode_blocks

CUTOFF = 5
n = np.arange(CUTOFF)
k = n[:, None] - n
GATES = {
    "displacement": (lambda r: displacement_core(r, CUTOFF), truth.displacement, CUTOFF, k),
    "squeezing": (lambda r: squeezing_core(r, CUTOFF), truth.squeezing, CUTOFF, k // 2),
    "beamsplitter": (
        lambda theta: real_blocks(theta, (CUTOFF, 7)),
        truth.beamsplitter,
        (CUTOFF, 7),
        -k[None],
    ),
    "two_mode_squeezing": (
        lambda r: two_mode_blocks(r, (CUTOFF, 7)),
        truth.two_mode_squeezing,
        (CUTOFF, 7),
        k[None],
    ),
    "kerr": (lambda x: jnp.ones_like(x), None, None, n**2),  # e^{i kappa n^2}; x has no effect
}
# (strength, phase), with both at exactly 0 and each of them
POINTS = np.float32([[0, 0], [0, 1.3], [-0.7, 0], [0.4, -5.9], [1.9, 3.1]]).astype(np.float64)


@pytest.fixture(
    params=[
        pytest.param(name, marks=pytest.mark.slow) if name == "two_mode_squeezing" else name
        for name in GATES  # it is the beamsplitter's kernel, moved: compiling it twice is dear
    ]
)
def reading(request):
    """(f, truth of its values, gradients, Hessians at POINTS); f is real, of (strength, phase)."""
    core, tables, size, numbers = GATES[request.param]
    shape = numbers.shape if size is None else tables(0.0, size)[0].shape
    generator = np.random.default_rng(len(request.param))
    re, im = generator.normal(size=(2, *shape))

    def f(p):
        elements = phase_factor(p[1], numbers) * core(p[0]).astype(complex)
        return jnp.sum(re * elements.real + im * elements.imag)

    def read(table):
        return np.sum(re * table.real + im * table.imag)

    right = []
    for r, phi in POINTS:
        zero, one, two = tables(r, size) if tables else (1.0, 0.0, 0.0)
        turn = truth.phases_of(phi, numbers)
        i_k = 1j * numbers * turn
        mixed = read(i_k * one)
        hessian = [[read(turn * two), mixed], [mixed, read(-(numbers**2) * turn * zero)]]
        right.append((read(turn * zero), [read(turn * one), read(i_k * zero)], hessian))
    return f, *(np.array(part) for part in zip(*right, strict=True))


def test_first_derivatives(x64, reading):
    f, values, gradients, _ = reading

    def step(total, p):
        value, gradient = jax.value_and_grad(f)(p)
        return total + value, gradient

    @jax.jit
    def all_ways(points):
        total, scanned = jax.lax.scan(step, 0.0, points)
        return (jax.vmap(f)(points), total), (
            jax.vmap(jax.grad(f))(points),
            jax.vmap(jax.jacfwd(f))(points),
            jax.grad(lambda p: jnp.sum(jax.vmap(f)(p)))(points),
            scanned,
        )

    (each, total), found = all_ways(POINTS)
    close_in_scale(each, values)
    close_in_scale(total, np.sum(values))
    for gradient in found:
        close_in_scale(gradient, gradients)


@pytest.mark.slow
def test_second_derivatives(x64, reading):
    f, _, _, hessians = reading

    @jax.jit
    def all_ways(points):
        return (
            jax.vmap(jax.hessian(f))(points),
            jax.vmap(jax.jacrev(jax.grad(f)))(points),
        )

    for hessian in all_ways(POINTS):
        close_in_scale(hessian, hessians)


def test_third_derivative_of_a_phase(x64):
    """The derivative of `phase_factor` is stated, and holds at every order."""
    f = lambda phi: phase_factor(phi, n)  # noqa: E731
    third = jax.jit(jax.jacfwd(jax.jacfwd(jax.jacfwd(f))))(0.7)
    close_in_scale(third, -1j * n**3 * truth.phases_of(0.7, n))
