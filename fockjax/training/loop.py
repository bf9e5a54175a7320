"""The training loop: one epoch is one jitted program, and the host never makes it wait.

Training and validation rows live on the device. `make_epoch` splits the Flax module once and
returns a function that shuffles, scans over the batches and evaluates on the validation rows, and
whose state is donated. The host launches epoch k + 1 before it reads the metrics of epoch k, which
are one small vector.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from fockjax._advice import UserError
from fockjax.runtime import Runner
from fockjax.runtime.batches import compiled_bytes
from fockjax.runtime.gateway import Device
from fockjax.runtime.memory import free, show_size
from fockjax.training.config import TrainConfig
from fockjax.training.data import Task
from fockjax.training.model import HybridModel, comfortable_batch, in_batches, make_runner

WARMUP_SHARE = 0.05
NEVER = 2**31 - 1

SampleLoss = Callable[[Task, jax.Array, jax.Array], jax.Array]


class Samples(NamedTuple):
    """Standardised rows of a data set on the device: x (rows, features) and y (rows,), float32."""

    x: jax.Array
    y: jax.Array


class Carry(NamedTuple):
    """All that changes during training; a checkpoint is exactly this.

    The shuffle of an epoch follows from the seed and `epoch`, and optax counts its own steps, so
    random state and data position are in here too.
    """

    params: Any  # as nnx.split gives them
    optimizer: Any  # of apply_if_finite
    epoch: jax.Array  # epochs done
    best_params: Any
    best_loss: jax.Array  # validation loss of best_params
    best_epoch: jax.Array
    stale: jax.Array  # epochs since best_epoch


Epoch = Callable[[Carry, Samples, Samples], tuple[Carry, jax.Array]]


class EpochMetrics(NamedTuple):
    """Metrics of one epoch. The score is the accuracy, or R^2 for regression."""

    loss: float  # mean over the steps, without the penalty
    score: float
    leakage: float
    gradient_norm: float
    val_loss: float
    val_score: float
    val_leakage: float
    best_val_loss: float
    stale: float
    skipped: float  # steps of this epoch whose loss or gradient was not finite


@dataclasses.dataclass(frozen=True)
class Steps:
    """An epoch is `count` batches of `size` rows, shuffled anew each time.

    Samples that do not fill a batch are left out, other ones in each epoch.
    """

    count: int
    size: int

    @classmethod
    def of(cls, rows: int, batch_size: int) -> "Steps":
        size = min(rows, batch_size)
        return cls(rows // size, size)


def make_optimizer(config: TrainConfig, steps: Steps) -> optax.GradientTransformation:
    """Adam with clipping, decay, warm-up and cosine. Steps that are not finite are skipped."""
    total = config.epochs * steps.count
    schedule = optax.warmup_cosine_decay_schedule(
        init_value=0.1 * config.learning_rate,
        peak_value=config.learning_rate,
        warmup_steps=max(1, round(WARMUP_SHARE * total)),
        decay_steps=max(2, total),
    )
    chain = optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.adamw(schedule, weight_decay=config.weight_decay, mask=_decayed),
    )
    return optax.apply_if_finite(chain, max_consecutive_errors=NEVER)


def _decayed(params: nnx.State) -> Any:
    """A mask for weight decay: the matrices of the linear layers, not biases or the circuit."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: "kernel" in jax.tree_util.keystr(path), params
    )


def sample_loss(task: Task, output: jax.Array, y: jax.Array) -> jax.Array:
    """Loss of each sample: cross-entropy of a logit or of one per class, or the squared error."""
    if output.ndim > y.ndim:  # a logit for each of several classes
        return optax.softmax_cross_entropy_with_integer_labels(output, y.astype(jnp.int32))
    if task == "classification":
        return optax.sigmoid_binary_cross_entropy(output, y)
    return (output - y) ** 2


def score(task: Task, output: jax.Array, y: jax.Array) -> jax.Array:
    """Accuracy; or 1 - mean squared error, which is R^2 since y has unit variance in training."""
    if output.ndim > y.ndim:
        return jnp.mean(jnp.argmax(output, axis=-1) == y.astype(jnp.int32))
    if task == "classification":
        return jnp.mean((output > 0) == (y > 0.5))
    return 1 - jnp.mean((output - y) ** 2)


def initial_carry(model: nnx.Module, optimizer: optax.GradientTransformation) -> Carry:
    """The state before the first epoch, in new buffers, since they will be donated."""
    params = nnx.state(model, nnx.Param)
    zero = jnp.zeros((), jnp.int32)
    worst = jnp.full((), jnp.inf, jnp.float32)
    carry = Carry(params, optimizer.init(params), zero, params, worst, zero, zero)
    return copy(carry)


@jax.jit
def copy(tree: Any) -> Any:
    """Fresh buffers with the same values, made on the device."""
    return jax.tree.map(jnp.copy, tree)


def fetch(tree: Any) -> Any:
    """The one place where training brings anything to the host."""
    return jax.device_get(tree)


def make_objective(
    graph: nnx.GraphDef,
    rest: nnx.State,
    task: Task,
    config: TrainConfig,
    loss: SampleLoss = sample_loss,
) -> Callable[[nnx.State, Samples], tuple[jax.Array, tuple[jax.Array, ...]]]:
    """Build `objective(params, batch) -> (loss + penalty, (loss, score, leakage))`."""

    def objective(params: nnx.State, batch: Samples):
        output, leakage = nnx.merge(graph, params, rest)(batch.x)
        fit, leaked = jnp.mean(loss(task, output, batch.y)), jnp.mean(leakage)
        penalised = fit + config.leakage_penalty * leaked
        return penalised, (fit, score(task, output, batch.y), leaked)

    return objective


def make_step(
    objective: Callable[[nnx.State, Samples], tuple[jax.Array, tuple[jax.Array, ...]]],
    optimizer: optax.GradientTransformation,
) -> Callable[[tuple[Any, Any], Samples], tuple[tuple[Any, Any], tuple[jax.Array, ...]]]:
    """Build `step((params, state of the optimizer), batch)`, which returns these, and the figures
    of the objective, the norm of the gradient and whether the step was finite, so that it was made.
    """

    def step(state: tuple[Any, Any], batch: Samples):
        params, opt_state = state
        (total, figures), grads = jax.value_and_grad(objective, has_aux=True)(params, batch)
        # apply_if_finite looks only at the gradient: make that NaN if the loss is not finite.
        grads = jax.tree.map(lambda g: jnp.where(jnp.isfinite(total), g, jnp.nan), grads)
        updates, new_state = optimizer.update(grads, opt_state, params)
        params = optax.apply_updates(params, updates)
        finite = cast(optax.ApplyIfFiniteState, new_state).last_finite
        return (params, new_state), (*figures, optax.tree.norm(grads), finite)

    return step


def evaluate(
    apply: Callable[[jax.Array], tuple[jax.Array, jax.Array]],
    samples: Samples,
    at_once: int,
    task: Task,
    loss: SampleLoss,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Loss, score and leakage of all samples, of which `at_once` run at a time."""
    output, leakage = in_batches(apply, samples.x, at_once)
    fit = jnp.mean(loss(task, output, samples.y)).astype(jnp.float32)
    return fit, score(task, output, samples.y), jnp.mean(leakage)


def _after_epoch(
    carry: Carry, params: Any, opt_state: Any, val_loss: jax.Array, patience: int
) -> Carry:
    """What is carried on from an epoch that began with `carry`."""
    # The host notices early stopping one epoch late. That epoch must not change the best one.
    better = (val_loss < carry.best_loss) & (carry.stale < patience)
    done = carry.epoch + 1
    return Carry(
        params=params,
        optimizer=opt_state,
        epoch=done,
        best_params=jax.tree.map(
            lambda new, old: jnp.where(better, new, old), params, carry.best_params
        ),
        best_loss=jnp.where(better, val_loss, carry.best_loss),
        best_epoch=jnp.where(better, done, carry.best_epoch),
        stale=jnp.where(better, 0, carry.stale + 1),
    )


def make_epoch(
    model: nnx.Module,
    optimizer: optax.GradientTransformation,
    task: Task,
    config: TrainConfig,
    loss: SampleLoss = sample_loss,
) -> Epoch:
    """Build `epoch(carry, train, validation) -> (carry, EpochMetrics as a vector)`, the carry
    donated; see `compiled_once`.
    """
    graph, _, rest = nnx.split(model, nnx.Param, ...)
    step = make_step(make_objective(graph, rest, task, config, loss), optimizer)
    at_once = comfortable_batch(config)

    def epoch(carry: Carry, train: Samples, validation: Samples):
        steps = Steps.of(train.x.shape[0], config.batch_size)
        key = jax.random.fold_in(jax.random.key(config.seed), carry.epoch)
        order = jax.random.permutation(key, train.x.shape[0])[: steps.count * steps.size]

        def shuffled_step(state, rows):
            return step(state, Samples(train.x[rows], train.y[rows]))

        start = (carry.params, carry.optimizer)
        order = order.reshape(steps.count, steps.size)
        (params, opt_state), (*figures, finite) = jax.lax.scan(shuffled_step, start, order)
        taken = jnp.sum(finite)
        means = [jnp.sum(jnp.where(finite, figure, 0)) / taken for figure in figures]

        def apply(x):
            return nnx.merge(graph, params, rest)(x)

        validated = evaluate(apply, validation, at_once, task, loss)
        new = _after_epoch(carry, params, opt_state, validated[0], config.patience)
        metrics = (*means, *validated, new.best_loss, new.stale, steps.count - taken)
        return new, jnp.stack([each.astype(jnp.float32) for each in metrics])

    return compiled_once(epoch, config)


def compiled_once(epoch: Epoch, config: TrainConfig) -> Epoch:
    """An epoch that is compiled by the first call with rows of a shape, its carry donated.

    That call raises UserError if the program needs more memory than there is. Otherwise the system
    might kill the process.
    """
    jitted = jax.jit(epoch, donate_argnums=0)
    compiled: dict[Any, jax.stages.Compiled] = {}

    def run(carry: Carry, train: Samples, validation: Samples):
        shapes = train.x.shape, validation.x.shape
        if shapes not in compiled:
            program = jitted.lower(carry, train, validation).compile()
            _check_memory(program, next(iter(train.x.devices())), config)
            compiled[shapes] = program
        return compiled[shapes](carry, train, validation)

    return run


def _check_memory(program: jax.stages.Compiled, device: Device, config: TrainConfig) -> None:
    needed, left = compiled_bytes(program, under_way=0), free(device)
    if needed is not None and needed > left:
        raise config.beyond_memory(
            f"an epoch needs {show_size(needed)} (from the compiler), {show_size(left)} are free."
        )


class Program(NamedTuple):
    """The functions to train and run a model, compiled once for each shape of the data."""

    start: Callable[[], Carry]
    epoch: Epoch
    runner: Runner  # for test rows; set its parameters first


def make_program(model: HybridModel, task: Task, config: TrainConfig, rows: int) -> Program:
    """The program of a model to be trained on `rows` rows; their number decides the schedule."""
    optimizer = make_optimizer(config, Steps.of(rows, config.batch_size))

    def start() -> Carry:
        return initial_carry(model, optimizer)

    return Program(start, make_epoch(model, optimizer, task, config), make_runner(model))


def fit(
    run_epoch: Epoch,
    carry: Carry,
    train: Samples,
    validation: Samples,
    config: TrainConfig,
    *,
    record: Callable[[int, EpochMetrics], None],
    save: Callable[[Carry], None],
    due: Callable[[], bool],
) -> Carry:
    """Run epochs until the last one, or until `patience` runs out.

    Args:
        run_epoch: from `make_epoch`.
        carry: where to start; donated.
        train, validation: rows on the device.
        config: epochs, patience.
        record: called with the number (from 1) and the metrics of each epoch, while the next runs.
        save: called with a copy of the state after `record` for its epoch, if `due()`.
        due: tells whether a checkpoint is wanted now.

    Returns:
        The final state.
    """
    first, stale, best = fetch((carry.epoch, carry.stale, carry.best_loss))
    known = int(stale) - 1  # what is known of `stale` when the next epoch is launched
    waiting: jax.Array | None = None  # metrics of the epoch before
    for epoch in range(int(first), config.epochs + 1):
        snapshot = copy(carry) if waiting is not None and due() else None
        running = None
        if epoch < config.epochs and known < config.patience:
            carry, running = run_epoch(carry, train, validation)
        if waiting is not None:
            metrics = EpochMetrics(*fetch(waiting).tolist())
            record(epoch, metrics)
            if snapshot is not None:
                save(snapshot)
            _check_progress(epoch, metrics, config, train.x.shape[0])
            stale, best = metrics.stale, metrics.best_val_loss
        if running is None:
            break
        waiting, known = running, stale
    if not np.isfinite(best):
        raise UserError(
            "the loss of the validation rows was not finite in any epoch, so there are no best "
            f"weights; try a smaller --learning-rate (now {config.learning_rate:g})"
        )
    return carry


def _check_progress(epoch: int, metrics: EpochMetrics, config: TrainConfig, rows: int) -> None:
    if metrics.skipped == Steps.of(rows, config.batch_size).count:
        raise UserError(
            f"epoch {epoch}: the loss or its gradient was not finite in any step, so nothing can "
            f"be learned; try a smaller --learning-rate (now {config.learning_rate:g}) or "
            f"--alpha-max (now {config.alpha_max:g})"
        )
