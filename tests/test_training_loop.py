"""The loop: one compile, one small fetch per epoch, exact early stopping, bad steps skipped."""

import dataclasses
import functools
import logging
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fockjax.training import TrainConfig, UserError, loop
from fockjax.training.model import build_model, in_batches

pytestmark = pytest.mark.loose_promotion  # Flax and Optax promote

CONFIG = TrainConfig(epochs=6, batch_size=16, modes=2)


def rows(count, seed, slope=1.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 3)).astype(np.float32)
    y = (x @ np.array([slope, -1, 0.5]) + 0.3 * rng.normal(size=count) > 0).astype(np.float32)
    return loop.Samples(*jax.device_put((x, y)))


@functools.cache
def compiled(config, loss, photonic):
    model = build_model(3, config, photonic=photonic)
    optimizer = loop.make_optimizer(config, loop.Steps.of(70, config.batch_size))
    return model, optimizer, loop.make_epoch(model, optimizer, "classification", config, loss=loss)


class Setup:
    """A model and its data; by default one without a circuit, which compiles faster."""

    def __init__(self, config=CONFIG, loss=loop.sample_loss, photonic=False):
        self.config = config
        self.train, self.validation = rows(70, 0), rows(30, 1)
        self.model, self.optimizer, self.epoch = compiled(config, loss, photonic)
        self.history, self.saved = [], []

    def start(self):
        return loop.initial_carry(self.model, self.optimizer)

    def fit(self, carry=None, due=False):
        return loop.fit(
            self.epoch,
            self.start() if carry is None else carry,
            self.train,
            self.validation,
            self.config,
            record=lambda epoch, metrics: self.history.append((epoch, metrics)),
            save=lambda carry: self.saved.append(jax.device_get(carry)),
            due=lambda: due,
        )


def test_a_run_learns_and_records_every_epoch_once():
    setup = Setup(dataclasses.replace(CONFIG, epochs=40, learning_rate=0.03))
    setup.fit()
    assert [epoch for epoch, _ in setup.history] == list(range(1, 41))
    first, last = setup.history[0][1], setup.history[-1][1]
    assert last.val_loss < 0.6 * first.val_loss and last.val_score > 0.8
    assert last.skipped == 0


def test_one_compile_and_one_fetch_per_epoch(caplog, monkeypatch):
    compiled.cache_clear()
    setup = Setup()
    carry = setup.start()
    array_type = type(jnp.zeros(()))
    brought, inner = [], array_type._value  # all ways to the host read `_value`

    def counting(array):
        brought.append(array.shape)
        return inner.fget(array)

    with jax.log_compiles(), caplog.at_level(logging.WARNING), warnings.catch_warnings():
        # A donated buffer that could not be used would be a warning, so an error here.
        warnings.simplefilter("error")
        with jax.transfer_guard_host_to_device("disallow"):
            monkeypatch.setattr(array_type, "_value", property(counting))
            setup.fit(carry)
    lines = [record.getMessage() for record in caplog.records]
    compilations = [line for line in lines if line.startswith("Compiling ")]
    assert len(compilations) == 1 and "epoch" in compilations[0], compilations
    # Where to start (epoch, stale, best loss), then one vector per epoch.
    assert brought == [(), (), ()] + [(len(loop.EpochMetrics._fields),)] * CONFIG.epochs


def test_the_figures_of_an_epoch_are_awaited_while_the_next_one_runs(monkeypatch):
    setup, order = Setup(), []
    run = setup.epoch

    def launching(*arguments):
        order.append("launch")
        return run(*arguments)

    setup.epoch = launching
    fetch = loop.fetch
    monkeypatch.setattr(loop, "fetch", lambda tree: (order.append("fetch"), fetch(tree))[1])
    setup.fit()
    assert order == ["fetch", "launch"] + ["launch", "fetch"] * 5 + ["fetch"]


def test_the_state_is_donated():
    setup = Setup()
    carry = setup.start()
    setup.epoch(carry, setup.train, setup.validation)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(carry))


def test_an_epoch_beyond_the_memory_is_refused_before_it_runs(monkeypatch):
    compiled.cache_clear()
    setup = Setup()
    carry = setup.start()
    monkeypatch.setattr(loop, "free", lambda device: 10)
    with pytest.raises(UserError, match=r"an epoch needs .*B \(from the compiler\), 10 B are free"):
        setup.fit(carry)
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(carry))


def assert_equal(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("at", [1, 3, 5])
def test_a_run_continued_from_a_checkpoint_ends_bit_for_bit_the_same(at):
    whole = Setup()
    final = whole.fit(due=True)
    assert [int(carry.epoch) for carry in whole.saved] == [1, 2, 3, 4, 5, 6]
    rest = Setup()
    again = rest.fit(loop.copy(jax.device_put(whole.saved[at - 1])))
    assert rest.history == whole.history[at:]
    assert_equal(again, final)


def test_early_stopping_keeps_the_best_epoch_though_the_host_sees_it_late():
    config = dataclasses.replace(CONFIG, epochs=200, patience=3, learning_rate=0.3)
    setup = Setup(config)
    # Labels of the validation rows that follow another rule: soon it only gets worse.
    setup.validation = rows(30, 1, slope=-0.2)
    final = setup.fit(due=True)
    losses = [metrics.val_loss for _, metrics in setup.history]
    best = int(np.argmin(losses))
    assert len(losses) == best + 1 + 3 + 1 < 200  # the last was under way by then
    assert int(final.best_epoch) == best + 1
    assert float(final.best_loss) == losses[best]
    assert_equal(final.best_params, setup.saved[best].params)
    # Once stopped, a run stays stopped.
    again = Setup(config)
    again.fit(final)
    assert again.history == []


def poisoned(where):
    """A loss that is not finite (`where` "loss"), or whose gradient is not, for some outputs."""

    def loss(task, output, y):
        usual = loop.sample_loss(task, output, y)
        bad = jnp.abs(output) > 0.15
        if where == "loss":
            return jnp.where(bad, jnp.inf, usual)
        return usual + jnp.where(bad, jnp.sqrt(0 * output), 0.0)

    return loss


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_step_that_is_not_finite_changes_nothing_and_is_counted(where):
    setup = Setup(loss=poisoned(where))
    carry = setup.start()
    before = jax.device_get(carry.params)
    with pytest.raises(UserError, match="epoch 1: .*not finite in any step.*learning-rate"):
        setup.fit(carry)
    metrics = setup.history[0][1]
    assert metrics.skipped == 4
    final = setup.epoch(setup.start(), setup.train, setup.validation)[0]
    assert_equal(final.params, before)
    assert int(final.optimizer.total_notfinite) == 4


def test_a_few_bad_steps_leave_the_others_to_learn():
    setup = Setup(dataclasses.replace(CONFIG, batch_size=5))
    x = np.asarray(setup.train.x).copy()
    x[7] = np.nan  # one row, so one of 14 batches
    setup.train = loop.Samples(jnp.asarray(x), setup.train.y)
    final = setup.fit()
    assert [metrics.skipped for _, metrics in setup.history] == [1.0] * 6
    assert all(np.isfinite(metrics).all() for _, metrics in setup.history)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(final.params))
    assert setup.history[-1][1].loss < setup.history[0][1].loss


def test_an_epoch_visits_each_row_once_in_a_new_order():
    """At a learning rate of zero the mean loss of two half batches is that of all rows."""
    setup = Setup(dataclasses.replace(CONFIG, batch_size=35, learning_rate=1e-30, weight_decay=0.0))
    output, _ = setup.model(setup.train.x)
    expected = float(jnp.mean(loop.sample_loss("classification", output, setup.train.y)))
    setup.fit()
    for _, metrics in setup.history:
        assert metrics.loss == pytest.approx(expected, rel=1e-5)
    # The mean of the two gradients' norms depends on who is in which half.
    assert len({metrics.gradient_norm for _, metrics in setup.history}) == CONFIG.epochs


def test_the_seed_decides_everything():
    runs = []
    for seed in (0, 0, 1):
        setup = Setup(dataclasses.replace(CONFIG, seed=seed))
        setup.fit()
        runs.append(setup.history)
    assert runs[0] == runs[1] != runs[2]


def test_decay_reaches_the_linear_layers_only():
    mask = loop._decayed(nnx.state(build_model(3, CONFIG), nnx.Param))
    decayed = [
        jax.tree_util.keystr(path)
        for path, value in jax.tree_util.tree_leaves_with_path(mask)
        if value
    ]
    assert len(decayed) == 2
    assert all("encoder" in name or "head" in name for name in decayed)


@pytest.mark.parametrize("rows_and_batch", [(7, 3), (6, 3), (2, 5), (1, 1)])
def test_evaluation_in_batches_equals_evaluation_at_once(rows_and_batch):
    count, batch = rows_and_batch
    x = jnp.asarray(np.random.default_rng(0).normal(size=(count, 3)), jnp.float32)

    def apply(x):
        return jnp.sum(x, axis=1), x[:, :2]

    once, batched = apply(x), in_batches(apply, x, batch)
    assert_equal(batched, once)


def test_regression_minimises_the_squared_error():
    assert float(loop.sample_loss("regression", jnp.float32(3.0), jnp.float32(1.0))) == 4.0
    y = jnp.asarray([-1.0, 1.0])
    assert float(loop.score("regression", y, y)) == 1.0
    assert float(loop.score("regression", jnp.zeros(2), y)) == 0.0


def test_no_finite_loss_of_the_validation_rows_is_an_error():
    """Else the weights delivered would be those before the first step."""
    setup = Setup(dataclasses.replace(CONFIG, epochs=2))
    setup.validation = setup.validation._replace(y=jnp.full_like(setup.validation.y, jnp.inf))
    with pytest.raises(UserError, match="loss of the validation rows was not finite in any epoch"):
        setup.fit()
    assert len(setup.history) == 2
