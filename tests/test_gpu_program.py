"""The programs that a GPU is given, run on the CPU: all but what its compiler makes of them."""

import io
import os
import re
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _circuits import encoded, reference
from compare import close
from jax import export
from rich.console import Console

import fockjax as fj
from fockjax.validation import readings, report

ONCE = {"xla_backend_optimization_level": 0}  # it runs once
NOT_ON_CPU = "chlo.scan", "custom_call"  # a cumulative sum, as JAX 0.12 has it for GPUs; a library


def for_gpu(function, *args):
    """What is compiled there. Its matrix products are seen to take all digits, whatever precision
    the user has set (else TF32, of 10 bits).
    """
    program = export.export(
        jax.jit(function),
        platforms=["cuda"],
        disabled_checks=[export.DisabledSafetyCheck.platform()],
    )(*args)
    for product in re.findall(r"= stablehlo\.dot_general .*", program.mlir_module()):
        assert "precision = [HIGHEST, HIGHEST]" in product
    return program


def lossy():
    circuit = encoded(2).cvqnn_layers(1)
    return circuit.loss(0.8, mode=0).thermal_loss(0.9, 0.1, mode=1).dephasing(0.1, mode=0)


@pytest.mark.parametrize(
    ("circuit", "cutoff"),
    [
        pytest.param(encoded(1).cvqnn_layers(1), 40, id="long sums"),
        pytest.param(encoded(2).cvqnn_layers(2), 5, id="layers", marks=pytest.mark.slow),
        pytest.param(reference(3, 1), fj.TotalPhotons(5), id="total", marks=pytest.mark.slow),
        pytest.param(lossy(), 4, id="lossy", marks=pytest.mark.slow),
        pytest.param(reference(4, 2), 4, id="four modes", marks=pytest.mark.slow),
    ],
)
def test_gives_the_values_and_gradients_of_the_cpu(x64, circuit, cutoff):
    def loss(weights, x):
        def one(x):
            state = circuit(weights, x, cutoff=cutoff, dtype=complex)
            return jnp.append(fj.nn.quadratures(state), state.leakage)

        return (jax.vmap(one)(x) ** 2).sum(-1).mean()

    x = np.random.default_rng(0).uniform(-0.5, 0.5, (3, circuit.num_inputs))
    args = circuit.init(jax.random.key(0)), jnp.asarray(x)
    function = jax.value_and_grad(loss)
    program = for_gpu(function, *args)
    assert program.mlir_module() != export.export(jax.jit(function))(*args).mlir_module()
    found, expected = (
        jax.jit(call, compiler_options=ONCE)(*args) for call in (program.call, function)
    )
    jax.tree.map(close, found, expected)
    assert expected[0] > 1e-3


class Gpu:
    """`jax`, but what is jitted is what a GPU is given; the CPU's own where it cannot run that."""

    def __init__(self):
        self.ran = Counter()

    def __getattr__(self, name):
        return getattr(jax, name)

    def jit(self, function, **options):
        def call(*args):
            program = for_gpu(function, *args)
            here = not any(name in program.mlir_module() for name in NOT_ON_CPU)
            self.ran[here] += 1
            return jax.jit(program.call if here else function, **options)(*args)

        return call


SOME = (
    "beamsplitter", "cubic_phase", "interferometer", "two_mode_squeezing",
    "cat", "thermal_loss", "quadrature_polynomial", "wigner",
)  # fmt: skip


@pytest.mark.slow
def test_is_what_strawberry_fields_says(monkeypatch):
    """Some kinds of programs; with ``ALL_PROGRAMS=1`` in the environment all, in half an hour."""
    gpu = Gpu()
    monkeypatch.setattr(readings, "jax", gpu)
    text = io.StringIO()
    console = Console(width=200, file=text)
    only = None if os.environ.get("ALL_PROGRAMS") else SOME
    assert report.run(source="golden", only=only, console=console) == 0, text.getvalue()
    print(f"{gpu.ran[True]} of {gpu.ran.total()} programs ran as a GPU is given them")
    assert gpu.ran[True] > 5 * gpu.ran[False]
