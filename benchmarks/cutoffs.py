"""Planned cutoffs on random circuits: do they suffice, and are they needed?

    python benchmarks/cutoffs.py [--circuits 200] [--tolerance 1e-3] [--plot FILE]

The circuits have one to three modes. A quarter each are Gaussian, have Kerr gates, have cubic phase
gates (half of them padded), or have displacements by data (every other one with Kerr gates). Each
is planned for 32 samples, and run at the plan on these and on 96 others. If a plan says that the
maximum does not suffice, the circuit is planned again with a greater one.

The least cutoff that suffices is found by search. All modes have a large cutoff but one, which is
cut after every operation to each cutoff that a plan may choose, until it keeps to the tolerance. As
the other modes are large, this asks less of a mode than a plan can.

A sample's photon number counts as right if it is as far from that at the maximum as its loss may
move it, and no further: its ket is off by at most the root of (operations times loss).

Beside the plan runs the heuristic ``3 + 2 max|alpha| + max r``, one cutoff for all modes.
"""

import argparse
import math
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from rich.progress import track

import fockjax as fj
from fockjax._figures import COLOURS, decorate
from fockjax.runtime.cutoffs.ladders import ladder_of

KINDS = ("Gaussian", "Kerr", "cubic", "data")
LARGE = {1: (96,), 2: (56, 128), 3: (24, 48)}  # of one, two, three modes: the maximum, and the next
PLANNED, OTHERS = 32, 96
ROUNDING = 1e-6  # what it moves a leakage by, complex64


@dataclass
class Found:
    """What came of one circuit.

    Attributes:
        kept: whether all samples planned for kept to the tolerance at the planned cutoffs.
        others: the share of the other samples that did; None without data.
        caught: whether each sample, wherever it ran, came out right or flagged.
        lost: the most that one planned for lost at the planned cutoffs.
        above: how many buckets a mode is above the least that suffices, at most.
        heuristic, heuristic_lost: its cutoff, and what is lost at it.
        large: the maximum that the plan needed.
    """

    kind: str
    modes: int
    large: int
    cutoffs: tuple[int, ...]
    guaranteed: bool
    kept: bool
    others: float | None
    caught: bool
    lost: float
    above: int
    heuristic: int
    heuristic_lost: float
    seconds: float

    @property
    def size(self) -> int:
        """Amplitudes at the planned cutoffs."""
        return math.prod(self.cutoffs)

    @property
    def heuristic_size(self) -> int:
        return self.heuristic**self.modes


def circuit_of(kind: str, number: int, rng: np.random.Generator) -> tuple[fj.Circuit, int]:
    """A random circuit, and how many inputs it has."""
    with_data = kind == "data"
    kerr = kind == "Kerr" or (with_data and number % 2)
    modes = int(rng.integers(1, 4 if kind == "Gaussian" else 3))
    circuit = fj.Circuit(modes)

    def angle():
        return rng.uniform(0, 2 * np.pi)

    for _ in range(rng.integers(1, 3)):
        for mode in range(modes):
            circuit.squeeze(rng.normal(0, 0.35), angle(), mode=mode)
        for mode in range(modes - 1):
            circuit.beamsplitter(angle(), angle(), modes=(mode, mode + 1))
        for mode in range(modes):
            size = fj.Input(mode) * rng.uniform(0.2, 0.8) if with_data else abs(rng.normal(0, 0.7))
            circuit.displace(size, angle(), mode=mode)
            if kerr:
                circuit.kerr(rng.normal(0, 0.3), mode=mode)
            if kind == "cubic":
                circuit.cubic_phase(rng.normal(0, 0.05), padding=40 * (number % 2), mode=mode)
    return circuit, modes if with_data else 0


def losses(circuit: fj.Circuit, x: np.ndarray, cutoffs: np.ndarray, large: int) -> np.ndarray:
    """What is lost if the circuit is cut to each of the cutoffs, (sets, modes), after every
    operation. Operations are built at the large cutoff once for all.
    """
    run = jax.vmap(lambda limits: states(circuit, x, large, limits).leakage)
    return np.asarray(run(jnp.asarray(cutoffs)))


def states(circuit: fj.Circuit, x, large: int, limits=None) -> fj.State:
    """The state of a sample at the large cutoff, if there are limits cut after every operation."""
    state = fj.vacuum((large,) * circuit.modes)
    for name, parameters, modes in circuit.evaluated({}, x):
        parameters.pop("hbar", None)  # the circuit's
        options = {key: value for key, value in parameters.items() if isinstance(value, int)}
        values = {key: parameters[key] for key in parameters if key not in options}
        before = replace(state, truncations=0, reflects=False)
        state = after(before, values, (name, modes, tuple(options.items())))
        if limits is not None:
            state = replace(state, factors=cut(state.factors, limits))
    return state


@partial(jax.jit, static_argnames="kind")
def after(state: fj.State, values: dict, kind: tuple) -> fj.State:
    """The state after one operation, which is compiled once for its kind."""
    name, modes, options = kind
    step = fj.Circuit(state.modes)
    step.add(name, **{key: fj.Weight(key) for key in values}, modes=modes, **dict(options))
    return step(values, cutoff=state.cutoffs, initial=state, memory_limit=2**33)


@jax.jit
def cut(factors, limits):
    def kept(factor):
        array = factor.array
        for axis, mode in enumerate(factor.modes):
            inside = jnp.arange(array.shape[axis]) < limits[mode]
            shape = [-1 if k == axis else 1 for k in range(array.ndim)]
            array = jnp.where(inside.reshape(shape), array, 0)
        return replace(factor, array=array)

    return tuple(kept(factor) for factor in factors)


def photons(state: fj.State) -> jax.Array:
    """The means of the photon number of mode 0 and of its square."""
    n = jnp.arange(state.cutoffs[0], dtype=jnp.float32)
    return jnp.stack([n, n * n]) @ state.probabilities(0)


def right(circuit: fj.Circuit, x: np.ndarray, result: fj.runtime.Results, large: int) -> np.ndarray:
    """Whether the photon number of each sample is that at the large cutoff, but for what both lost:
    of two kets |<a|n|a> - <b|n|b>| <= |a - b| (|n a| + |n b|).
    """

    def at_large(x):
        state = states(circuit, x, large)
        return photons(state), fj.runtime.lost(state)

    expected, lost = jax.device_get(jax.vmap(at_large)(x))
    found, count = result.values, len(circuit.operations)
    off = sum(np.sqrt(count * (each + ROUNDING)) for each in (result.leakage, lost))
    reach = np.sqrt(found[:, 1]) + np.sqrt(expected[:, 1])
    return abs(found[:, 0] - expected[:, 0]) <= off * reach


def heuristic(circuit: fj.Circuit, x: np.ndarray) -> int:
    """``3 + 2 max|alpha| + max r`` of what stands in the circuit."""
    alpha = r = 0.0
    for row in x:
        for name, parameters, _ in circuit.evaluated({}, row):
            value = abs(float(next(iter(parameters.values()), 0.0)))
            alpha = max(alpha, value) if name == "displacement" else alpha
            r = max(r, value) if name == "squeezing" else r
    return math.ceil(3 + 2 * alpha + r)


def study(kind: str, number: int, tolerance: float) -> Found:
    rng = np.random.default_rng([KINDS.index(kind), number])
    circuit, inputs = circuit_of(kind, number, rng)
    x = rng.normal(size=(PLANNED + OTHERS, inputs)) if inputs else np.zeros((1, 0))
    planned = x[:PLANNED]
    start = time.perf_counter()
    for large in LARGE[circuit.modes]:
        plan = fj.runtime.plan_cutoffs(circuit, {}, planned, tolerance=tolerance, maximum=large)
        if not len(plan.short):
            break
    seconds = time.perf_counter() - start

    result = fj.runtime.run_adaptive(circuit, photons, {}, x, plan, flag=True)
    first = result.level == 0
    caught = bool(np.all(right(circuit, x, result, large)[result.ok]))

    ladder = ladder_of(4, large)
    guess = heuristic(circuit, planned)
    asked = [
        np.where(np.arange(circuit.modes) == mode, cutoff, large)
        for mode in range(circuit.modes)
        for cutoff in ladder
    ]
    asked += [np.array(plan.truncation), np.full(circuit.modes, guess)]
    rows = {why.row for why in plan.reasons if why} or {0}  # what the plan is for
    lost = np.max([losses(circuit, planned[row], np.array(asked), large) for row in rows], axis=0)
    enough = lost[:-2].reshape(circuit.modes, len(ladder)) <= tolerance
    least = np.where(enough.any(1), enough.argmax(1), len(ladder) - 1)
    return Found(
        kind=kind,
        modes=circuit.modes,
        large=large,
        cutoffs=plan.truncation,
        guaranteed=plan.trial is None,
        kept=bool(np.all((first & result.ok)[:PLANNED])),
        others=float(np.mean((first & result.ok)[PLANNED:])) if inputs else None,
        caught=caught,
        lost=float(lost[-2]),
        above=max(
            ladder.index(cutoff) - int(low)
            for cutoff, low in zip(plan.truncation, least, strict=True)
        ),
        heuristic=guess,
        heuristic_lost=float(lost[-1]),
        seconds=seconds,
    )


def table(found: list[Found], tolerance: float) -> str:
    head = (
        *("", "circuits", "guaranteed", "kept", "of other samples", "right or flagged"),
        *("<= 2 buckets above", "heuristic kept", "planning s"),
    )
    lines = [f"| {' | '.join(head)} |", "|-" * len(head) + "|"]
    for kind in (*KINDS, "all"):
        own = [f for f in found if kind in (f.kind, "all")]
        if not own:
            continue
        others = [f.others for f in own if f.others is not None]
        cells = [
            kind,
            str(len(own)),
            str(sum(f.guaranteed for f in own)),
            f"{np.mean([f.kept for f in own]):.1%}",
            f"{np.mean(others):.2%}" if others else "-",
            "all" if all(f.caught for f in own) else "NOT ALL",
            f"{np.mean([f.above <= 2 for f in own]):.1%}",
            f"{np.mean([f.heuristic_lost <= tolerance for f in own]):.1%}",
            f"{np.median([f.seconds for f in own]):.2f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    anew = sum(f.large > LARGE[f.modes][0] for f in found)
    lines.append(f"{anew} were planned anew with a greater maximum, as their plans asked.")
    ratio = [f.size / f.heuristic_size for f in found]
    good = [f.size / f.heuristic_size for f in found if f.heuristic_lost <= tolerance]
    lines.append(
        f"Amplitudes planned, over those of the heuristic: median {np.median(ratio):.2f}, at most "
        f"{max(ratio):.1f}; where the heuristic suffices median {np.median(good):.2f}. The most "
        f"that the heuristic loses: {max(f.heuristic_lost for f in found):.2g}, the plan: "
        f"{max(f.lost for f in found):.2g}."
    )
    return "\n".join(lines)


def plot(found: list[Found], tolerance: float, path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, 2, figsize=(9.5, 4.2), layout="constrained", sharex=True, sharey=True
    )
    for axis, title, lost, size in (
        (axes[0], "plan_cutoffs", "lost", "size"),
        (axes[1], "3 + 2 max|alpha| + max r", "heuristic_lost", "heuristic_size"),
    ):
        for kind, colour in zip(KINDS, COLOURS, strict=False):
            own = [f for f in found if f.kind == kind]
            sizes = [8 * getattr(f, size) for f in own]
            losts = [max(getattr(f, lost), 1e-7) for f in own]
            axis.loglog(sizes, losts, "o", ms=4, alpha=0.7, color=colour, label=kind)
        axis.axhline(tolerance, color="black", lw=1)
        decorate(axis, "bytes of a state, complex64", "lost probability")
        axis.set(title=title)
        axis.label_outer()
    where = {"xycoords": ("axes fraction", "data"), "ha": "right", "va": "bottom"}
    axes[0].annotate("tolerance", (0.98, tolerance * 1.05), **where)
    axes[1].legend(frameon=False)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--circuits", type=int, default=200)
    parser.add_argument("--tolerance", type=float, default=1e-3)
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    found = [
        study(KINDS[k % len(KINDS)], k // len(KINDS), given.tolerance)
        for k in track(range(given.circuits), "circuits")
    ]
    print(f"JAX {jax.__version__}, tolerance {given.tolerance:g}")
    print(table(found, given.tolerance))
    for f in found:
        if f.above > 2 or not (f.kept and f.caught):
            print(f"  {f}")
    if given.plot:
        plot(found, given.tolerance, given.plot)


if __name__ == "__main__":
    main()
