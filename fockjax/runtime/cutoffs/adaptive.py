"""Samples run at planned cutoffs; those that lose too much run again, alone, at larger ones."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fockjax._advice import first_few
from fockjax._given import check_key
from fockjax.arguments import Cutoff
from fockjax.circuit import Circuit, Weights
from fockjax.leakage import checked
from fockjax.runtime.cutoffs.plan import Plan
from fockjax.runtime.cutoffs.samples import checked_samples
from fockjax.runtime.executables import Executables
from fockjax.runtime.rows import Results
from fockjax.runtime.runner import Function, Runner
from fockjax.states import State


class LeakageError(RuntimeError):
    """Samples that lose more than the tolerance at the greatest cutoffs.

    Attributes:
        results: the `Results` of all samples; its ``ok`` marks those that can be used.
        plan: the plan by which they ran.
    """

    def __init__(self, results: Results, plan: Plan):
        self.results, self.plan = results, plan
        lost = np.asarray(results.leakage)
        rows = np.flatnonzero(~(lost <= plan.tolerance))
        last = plan.rungs[-1]
        greatest = f"cutoffs {last}" if isinstance(last, tuple) else last
        super().__init__(
            f"{len(rows)} of {len(lost)} samples lose more than {plan.tolerance:.1e} even at "
            f"{greatest} (rows {first_few(rows)}; at most {np.max(lost[rows]):.1e}). Plan with a "
            "greater `maximum`, limit their displacements and squeezing, raise the tolerance, or "
            "take the results flagged (`flag=True`; here `error.results`)."
        )


def run_adaptive(
    circuit: Circuit,
    readout: Callable[[State], Any],
    weights: Weights,
    x: Any,
    plan: Plan,
    *,
    batch: int | None = None,
    key: jax.Array | None = None,
    flag: bool = False,
    dtype=None,
    executables: Executables | None = None,
) -> Results:
    """Read out many samples at the cutoffs of a plan. A sample that loses more than the plan's
    tolerance (see `lost`) runs again at the next larger cutoffs.

    Args:
        circuit: the circuit planned for.
        readout: from a `State` to a pytree of arrays, whose shapes must not depend on the cutoff.
        weights: as in calling the circuit.
        x: samples, shape ``(rows, inputs)``.
        plan: from `plan_cutoffs`, `plan_total` or `plan_truncation`.
        batch: the most samples to run at a time, by default as many as the `Runner` finds best.
        key: a JAX random key, for a circuit that measures. Each sample gets its own: this one, with
            the number of the sample folded in.
        flag: return samples that lose too much at the greatest cutoffs too, flagged by
            `Results.ok`, instead of raising.
        dtype: complex64 or complex128.
        executables: the cache of compiled programs. Calls that share one compile only once, even if
            the weights differ.

    Returns:
        The `Results` of all samples, whose ``level`` is the rung of the plan at which each ran, and
        whose ``ok`` tells which are finite and within the tolerance.

    Raises:
        LeakageError: if some samples lose too much even at the greatest cutoffs; its ``results``
            are those of all.
        RunError: if a sample cannot be finished, as where the shapes that are read differ between
            cutoffs.

    Example:
        >>> import numpy as np, fockjax as fj
        >>> circuit = fj.Circuit(1).displace(fj.Input(0), mode=0)
        >>> plan = fj.runtime.plan_cutoffs(circuit, {}, [[0.5]], maximum=16)
        >>> read = lambda state: state.photon_number(0).mean
        >>> result = fj.runtime.run_adaptive(circuit, read, {}, [[0.5], [0.4], [1.0]], plan)
        >>> result.values.round(2)
        array([0.25, 0.16, 1.  ], dtype=float32)
        >>> print(result)
        level 0: 2 rows
        level 1: 1 row
        >>> plan.rungs[:2]
        ((4,), (6,))
    """
    if not isinstance(plan, Plan):
        raise TypeError(
            "Argument `plan` must come from `plan_cutoffs`, `plan_total` or `plan_truncation`, got "
            f"{type(plan).__name__}."
        )
    samples = {"x": checked_samples(circuit, x)}
    if key is not None:
        check_key(key)
        own = jax.vmap(partial(jax.random.fold_in, key))(np.arange(len(samples["x"])))
        samples["key"] = np.asarray(jax.random.key_data(own))

    def at(cutoff: Cutoff) -> Function:
        def one(weights, sample):
            own = None if key is None else _key_like(key, sample["key"])
            state = circuit(weights, sample["x"], cutoff=cutoff, key=own, dtype=dtype)
            return checked(state, readout)

        return one

    first, *larger = map(at, plan.rungs)
    runner = Runner(
        first,
        weights,
        larger=larger,
        tolerance=plan.tolerance,
        largest_batch=batch,
        executables=executables,
        about=circuit,
        labels=[str(rung) for rung in plan.rungs],
    )
    (found,) = runner.stream([samples])  # which does not warn
    assert found.leakage is not None
    if not flag and not np.all(found.leakage <= plan.tolerance):  # NaN is not within
        raise LeakageError(found, plan)
    return found


def _key_like(key: jax.Array, data: jax.Array) -> jax.Array:
    """A random key of the kind of another one, from its data."""
    if jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(key))
    return data
