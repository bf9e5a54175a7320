"""The hybrid model: bounded linear encoder, photonic circuit, linear head."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from fockjax import nn
from fockjax._advice import UserError
from fockjax._limits import OverLimit
from fockjax._numerics import HIGHEST
from fockjax.arguments import layout_of
from fockjax.circuit import Circuit, Input
from fockjax.runtime import Checked, Plan, Runner, functional
from fockjax.runtime.cutoffs.plan import Truncation
from fockjax.training.config import TrainConfig


@dataclasses.dataclass(frozen=True, eq=False)
class StoredPlan(Plan):
    """What has to be kept of a plan to run by it again. Printing it prints the plan that it was.

    Attributes:
        tolerance, rungs: as of any `Plan`.
        text: the printed plan.
    """

    text: str

    def __str__(self) -> str:
        return self.text


def photonic_circuit(modes: int, layers: int) -> Circuit:
    """Displace input i into mode i, then `layers` layers of Killoran et al. (2019)."""
    circuit = Circuit(modes=modes)
    for mode in range(modes):
        circuit.displace(Input(mode), mode=mode)
    circuit.cvqnn_layers(layers)
    return circuit


class HybridModel(nnx.Module):
    """output = head(readout(circuit(alpha))), alpha = alpha_max tanh(W x + b).

    Without a circuit (`photonic=False`) the readout is alpha itself: the model on which the circuit
    has to improve.

    Args:
        features: number of columns of x.
        config: modes, truncation, layers and alpha_max are read from it.
        photonic: whether it has the circuit.
        outputs: 1, or the number of classes if there are more than two.
        rngs: source of the initial weights.
    """

    def __init__(
        self,
        features: int,
        config: TrainConfig,
        *,
        photonic: bool = True,
        outputs: int = 1,
        rngs: nnx.Rngs,
    ):
        modes = config.modes
        self.alpha_max = config.alpha_max
        self.encoder = nnx.Linear(features, modes, precision=HIGHEST, rngs=rngs)
        if not photonic:
            self.quantum = None
        else:
            self.quantum = nn.QuantumLayer(
                photonic_circuit(modes, config.layers),
                cutoff=config.truncation,
                readout=nn.with_leakage(nn.quadratures),
                rngs=rngs,
            )
        readouts = 2 * modes if photonic else modes
        self.head = nnx.Linear(readouts, outputs, precision=HIGHEST, rngs=rngs)

    def encode(self, x: jax.Array) -> jax.Array:
        """(..., features) -> displacement amplitudes (..., modes), within +-alpha_max."""
        return self.alpha_max * jnp.tanh(self.encoder(x))

    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(..., features) -> output, leakage (...,).

        The output is a logit or a standardised value (...,), or one logit per class (..., classes).
        """
        alpha = self.encode(x)
        if self.quantum is None:
            readout, leakage = alpha, jnp.zeros(alpha.shape[:-1], alpha.dtype)
        else:
            readout, leakage = self.quantum(alpha)
        output = self.head(readout)
        return (output[..., 0] if output.shape[-1] == 1 else output), leakage


def build_model(
    features: int, config: TrainConfig, *, photonic: bool = True, outputs: int = 1
) -> HybridModel:
    """The model of a run, with initial weights drawn from the seed of the run.

    Raises:
        UserError: if the circuit cannot be built, or its state would be too large.
    """
    try:
        rngs = nnx.Rngs(config.seed)
        model = HybridModel(features, config, photonic=photonic, outputs=outputs, rngs=rngs)
        jax.eval_shape(model, jax.ShapeDtypeStruct((1, features), jnp.float32))
    except OverLimit as error:
        raise UserError(f"{error.fact}. {config.how_smaller}") from error
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"the circuit cannot be built: {reason}") from error
    return model


def make_runner(model: HybridModel, plan: Plan | None = None, **options: Any) -> Runner:
    """A runner that returns the output and the leakage of a model for each row.

    Args:
        model: the model, with its weights.
        plan: the cutoffs to run at, and those for rows that lose more than its tolerance; by
            default the cutoff of the model.
        options: options of the `Runner`.
    """

    def function(model: HybridModel):
        run, _ = functional(model)
        return lambda params, x: Checked(*run(params, x))

    def at(cutoff: Truncation):
        other = nnx.clone(model)
        assert other.quantum is not None
        other.quantum.cutoff = cutoff
        return function(other)

    about = "" if model.quantum is None else str(model.quantum.circuit)
    functions = [function(model)]
    if plan is not None:
        functions = [at(cutoff) for cutoff in plan.rungs]
        about += f"\n\n{plan}"
        options["tolerance"] = plan.tolerance
    _, params = functional(model)
    return Runner(functions[0], params, larger=functions[1:], about=about, **options)


def comfortable_batch(config: TrainConfig) -> int:
    """How many samples to evaluate at once.

    As many as have 128 MiB of complex64 amplitudes, and at most 1024. On a CPU as many as have
    1 MiB, which stays in its cache, but at least 16, enough for its vector units.
    """
    amplitudes = layout_of(config.modes, config.truncation).size
    most = min(1024, max(1, 2**24 // amplitudes))
    return most if jax.default_backend() != "cpu" else min(most, max(16, 2**17 // amplitudes))


def in_batches(apply, x: jax.Array, batch_size: int):
    """Apply a function to the rows of x, at most `batch_size` at a time, inside a jitted program.

    The last batch is padded with zeros, and their results are removed again.
    """
    rows = x.shape[0]
    batch_size = min(batch_size, rows)
    batches = -(-rows // batch_size)
    padded = jnp.pad(x, ((0, batches * batch_size - rows), (0, 0)))
    results = jax.lax.map(apply, padded.reshape(batches, batch_size, -1))
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:rows], results)
