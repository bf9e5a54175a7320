"""How much of the bare value-and-gradient rate is left in training.

    python benchmarks/training.py [--rows 16384] [--modes 2] [--cutoff 8] [--rounds 5]

Two rates for each batch size, measured in turns so that a busy machine slows both. The bare rate is
that of `jax.value_and_grad` of the training objective alone, over all batches of an epoch in one
program. The training rate is that of whole epochs as `fockjax train` runs them, with shuffling,
optimiser, figures, validation on the device and the fetch of figures to the host; the validation
rows are not counted in it. First an epoch of one batch is seen to have the loss and the gradient's
norm of the bare side. Compilation is timed separately.
"""

import argparse
import dataclasses
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from fockjax.training import TrainConfig, loop
from fockjax.training.model import build_model

FEATURES = 16


def measure(
    config: TrainConfig, rows: int, validation_rows: int, rounds: int, seconds: float
) -> dict[str, float]:
    """Rates in samples per second and compile times in seconds for one batch size."""
    rng = np.random.default_rng(0)

    def draw(count: int) -> loop.Samples:
        x = rng.normal(size=(count, FEATURES)).astype(np.float32)
        return jax.device_put(loop.Samples(x, (x[:, 0] > 0).astype(np.float32)))

    train, validation = draw(rows), draw(validation_rows)
    model = build_model(FEATURES, config)
    steps = loop.Steps.of(rows, config.batch_size)
    optimizer = loop.make_optimizer(config, steps)
    carry = loop.initial_carry(model, optimizer)

    graph, params, rest = nnx.split(model, nnx.Param, ...)
    objective = loop.make_objective(graph, rest, "classification", config)

    @jax.jit
    def bare(params, batches):
        """The losses, without the penalty, and the sum of the gradients."""

        def step(total, batch):
            (_, (loss, *_)), gradient = jax.value_and_grad(objective, has_aux=True)(params, batch)
            return jax.tree.map(jnp.add, total, gradient), loss

        return jax.lax.scan(step, jax.tree.map(jnp.zeros_like, params), batches)

    used, shape = steps.count * steps.size, (steps.count, steps.size)
    batches = jax.tree.map(lambda leaf: leaf[:used].reshape(*shape, *leaf.shape[1:]), train)
    began = time.perf_counter()
    jax.block_until_ready(bare(params, batches))
    bare_compile = time.perf_counter() - began
    began = time.perf_counter()
    jax.block_until_ready(bare(params, batches))
    calls = max(2, round(seconds / (time.perf_counter() - began)))

    run_epoch = loop.make_epoch(model, optimizer, "classification", config)
    first = jax.tree.map(lambda leaf: leaf[: steps.size], train)
    gradient, (loss,) = bare(params, jax.tree.map(lambda leaf: leaf[None], first))
    _, metrics = run_epoch(loop.copy(carry), first, validation)
    expected = loop.EpochMetrics(*metrics)
    found = [float(loss), float(optax.tree.norm(gradient))]
    np.testing.assert_allclose(found, [expected.loss, expected.gradient_norm], rtol=1e-4)
    began = time.perf_counter()
    carry, _ = jax.block_until_ready(run_epoch(carry, train, validation))
    epoch_compile = time.perf_counter() - began
    began = time.perf_counter()
    carry, _ = jax.block_until_ready(run_epoch(carry, train, validation))
    epochs = max(2, round(seconds / (time.perf_counter() - began)))

    bare_rates, train_rates = [], []
    done = 2
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(calls):
            result = bare(params, batches)
        jax.block_until_ready(result)
        bare_rates.append(calls * used / (time.perf_counter() - began))

        one_more = dataclasses.replace(config, epochs=done + epochs, patience=loop.NEVER)
        began = time.perf_counter()
        carry = loop.fit(
            run_epoch,
            carry,
            train,
            validation,
            one_more,
            record=lambda epoch, metrics: None,
            save=lambda carry: None,
            due=lambda: False,
        )
        train_rates.append(epochs * used / (time.perf_counter() - began))
        done += epochs
    return {
        "bare": statistics.median(bare_rates),
        "training": statistics.median(train_rates),
        "ratio": statistics.median(t / b for t, b in zip(train_rates, bare_rates, strict=True)),
        "bare_compile": bare_compile,
        "epoch_compile": epoch_compile,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=16384)
    parser.add_argument("--validation-rows", type=int, default=2048)
    parser.add_argument("--modes", type=int, default=2)
    parser.add_argument("--cutoff", type=int, default=8)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--batches", type=int, nargs="+", default=[256, 1024, 4096])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2, help="of each measurement")
    options = parser.parse_args()
    print(
        f"{jax.devices()[0].device_kind}, jax {jax.__version__}; {options.modes} modes, cutoff "
        f"{options.cutoff}, {options.layers} layers; {options.rows} training and "
        f"{options.validation_rows} validation rows"
    )
    print("batch   bare /s   training /s   ratio   compile: bare s, epoch s")
    for batch in options.batches:
        config = TrainConfig(
            modes=options.modes, cutoff=options.cutoff, layers=options.layers, batch_size=batch
        )
        counts = options.rows, options.validation_rows, options.rounds
        rates = measure(config, *counts, options.seconds)
        print(
            f"{batch:5d} {rates['bare']:9,.0f} {rates['training']:13,.0f} {rates['ratio']:7.2f} "
            f"{rates['bare_compile']:18.1f} {rates['epoch_compile']:8.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
