"""Which truncation: a cutoff for each mode, or one for the photons of all modes together.

    python benchmarks/truncation.py [--quick] [--seconds 5] [--gib 2] [-o FIGURE]

The reference circuit (a displacement by the data and two layers of squeezers and beamsplitters) on
2 to 8 modes, with weak squeezing (|r| < 0.2) and strong (|r| < 0.4). The error is the norm of the
difference to the state of a far larger total, the mean of 4 random circuits. Where that state
itself loses more than 1e-6, its own loss is printed. Time, memory and compile time are those of
value and gradient with respect to the weights, batch 8, complex64. The figure shows the error
against amplitudes, memory and time. A second table tells what each total takes of a box of equal
error, interpolated between the boxes (the logarithm of what they take over that of their error).
Last come training steps of larger settings, with the bar of one of them.
"""

import argparse
import math
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from _circuits import inputs, quadratures, reference, squared_error
from _timing import GIB, Compiled, LeftOut, Limits, compile_fresh, time_within
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

import fockjax as fj
from fockjax._figures import BLUE, ORANGE, decorate
from fockjax.arguments import Cutoff, layout_of

STRENGTHS = {"weak": 1.0, "strong": 2.0}  # times |r| < 0.2
SEEDS, BATCH = 4, 8


@dataclass(frozen=True)
class Ladder:
    """What is compared on a number of modes.

    Attributes:
        exact: the total of the state that errors are measured from.
        boxes: cutoffs for each mode.
        totals: of all modes together.
    """

    modes: int
    exact: int
    boxes: tuple[int, ...]
    totals: tuple[int, ...]

    def truncations(self, quick: bool) -> Iterator[Cutoff]:
        step = 3 if quick else 1
        yield from self.boxes[::step]
        yield from map(fj.TotalPhotons, self.totals[::step])


LADDERS = (
    Ladder(2, 60, (4, 8, 14, 24), (5, 9, 16, 28)),
    Ladder(4, 26, (3, 5, 7, 10), (4, 7, 10, 14)),
    Ladder(6, 16, (2, 3, 4, 6), (3, 5, 7, 10)),
    Ladder(8, 13, (2, 3, 4, 5), (3, 5, 7, 9)),
)


@dataclass(frozen=True)
class Point:
    """One truncation; errors by the strength of squeezing."""

    modes: int
    truncation: Cutoff
    errors: dict[str, float]
    compiled: Compiled
    seconds: float

    @property
    def amplitudes(self) -> int:
        return layout_of(self.modes, self.truncation).size

    @property
    def total(self) -> bool:
        return isinstance(self.truncation, fj.TotalPhotons)

    def __str__(self):
        name = f"total < {self.truncation.below}" if self.total else f"each < {self.truncation}"
        errors = " | ".join(f"{self.errors[strength]:.1e}" for strength in STRENGTHS)
        return (
            f"| {self.modes} | {name} | {self.amplitudes:,} | {errors} | {1e3 * self.seconds:.3g} "
            f"| {self.compiled.temp_bytes / 1e6:.3g} | {self.compiled.seconds:.1f} |"
        )


PRICES: dict[str, Callable[[Point], float]] = {
    "amplitudes": lambda p: p.amplitudes,
    "v+g megabytes": lambda p: p.compiled.temp_bytes / 1e6,
    "v+g milliseconds": lambda p: 1e3 * p.seconds,
}
HEADER = (
    "| modes | photons | amplitudes | error, weak | error, strong | v+g ms | v+g temp MB "
    "| compile s |\n|-|-|-|-|-|-|-|-|"
)


# Errors
# -------------------------------------------------------------------------------------------------


def drawn(
    circuit: fj.Circuit, seed: int, strength: float
) -> tuple[dict[str, jax.Array], jax.Array]:
    """Weights and a sample."""
    weights = circuit.init(jax.random.key(seed))
    weights["squeeze_r"] = strength * weights["squeeze_r"]
    key = jax.random.key(SEEDS + seed)
    return weights, jax.random.uniform(key, (circuit.modes,), minval=-0.5, maxval=0.5)


def amplitudes(circuit: fj.Circuit, cutoff: Cutoff) -> dict[str, list[np.ndarray]]:
    """Of random circuits, by the strength of squeezing."""
    run = jax.jit(lambda weights, x: circuit(weights, x, cutoff=cutoff).amplitudes())
    return {
        name: [np.asarray(run(*drawn(circuit, seed, strength))) for seed in range(SEEDS)]
        for name, strength in STRENGTHS.items()
    }


def distance(exact: np.ndarray, states: np.ndarray, found: np.ndarray, cutoff: Cutoff) -> float:
    """The norm of the difference; an amplitude that is not kept counts as zero."""
    if isinstance(cutoff, fj.TotalPhotons):  # fewer photons come first
        both = np.zeros_like(exact)
        both[: len(found)] = found
        return float(np.linalg.norm(exact - both))
    own = states[np.all(states < cutoff, axis=1)]
    common = np.zeros_like(exact)
    rest = found.copy()
    common[np.all(states < cutoff, axis=1)] = found[tuple(own.T)]
    rest[tuple(own.T)] = 0
    return float(np.hypot(np.linalg.norm(exact - common), np.linalg.norm(rest)))


# Time and memory
# -------------------------------------------------------------------------------------------------


def gradient(circuit: fj.Circuit, cutoff: Cutoff, dtype=None) -> Callable:
    """Value and gradient of a loss with respect to the weights."""
    return jax.value_and_grad(squared_error(quadratures(circuit, cutoff, dtype)))


def measure(ladder: Ladder, limits: Limits, quick: bool) -> Iterator[Point | LeftOut]:
    circuit = reference(ladder.modes, 2)
    states = fj.TotalPhotons(ladder.exact).states(ladder.modes)
    exact = amplitudes(circuit, fj.TotalPhotons(ladder.exact))
    for name, kets in exact.items():
        lost = np.mean([1 - np.linalg.norm(ket) ** 2 for ket in kets])
        if lost > 1e-6:
            print(
                f"{ladder.modes} modes, {name}: the state that errors are measured from loses "
                f"{lost:.0e} itself; errors below {np.sqrt(lost):.0e} tell little"
            )
    for cutoff in ladder.truncations(quick):
        try:
            args = circuit.init(jax.random.key(0)), inputs(circuit, BATCH)
            compiled = compile_fresh(gradient(circuit, cutoff), *args)
            seconds = time_within(limits, compiled, args, 3)
        except LeftOut as reason:
            yield LeftOut(f"{ladder.modes} modes, {cutoff}: {reason}")
            continue
        found = amplitudes(circuit, cutoff)
        errors = {
            name: float(
                np.mean(
                    [distance(a, states, b, cutoff) for a, b in zip(exact[name], kets, strict=True)]
                )
            )
            for name, kets in found.items()
        }
        yield Point(ladder.modes, cutoff, errors, compiled, seconds)


def shares(points: list[Point]) -> Iterator[str]:
    """What each total takes of a box of equal error; none beyond the errors of the boxes."""
    for modes in dict.fromkeys(point.modes for point in points):
        boxes = [p for p in points if p.modes == modes and not p.total]
        totals = [p for p in points if p.modes == modes and p.total]
        for strength in STRENGTHS if boxes else ():
            own = sorted(boxes, key=lambda p: p.errors[strength])
            errors = [p.errors[strength] for p in own]
            for point in totals:
                error = point.errors[strength]
                if not errors[0] <= error <= errors[-1]:
                    continue
                cells = []
                for price in PRICES.values():
                    prices = np.log([price(box) for box in own])
                    box = np.exp(np.interp(np.log(error), np.log(errors), prices))
                    cells.append(f"{price(point) / box:.1%}")
                below = point.truncation.below
                yield f"| {modes} | {strength} | {below} | {error:.1e} | {' | '.join(cells)} |"


# Training steps
# -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """A setting, and the most temporaries it may take."""

    modes: int
    below: int
    batch: int
    dtype: str = "complex64"
    most: float = np.inf

    def measure(self) -> str:
        circuit = reference(self.modes, 2)
        with jax.enable_x64(self.dtype == "complex128"):
            step = gradient(circuit, fj.TotalPhotons(self.below), self.dtype)
            args = circuit.init(jax.random.key(0)), inputs(circuit, self.batch)
            compiled = compile_fresh(step, *args)
            seconds = time_within(Limits(np.inf, np.inf), compiled, args, 3)
            temp = compiled.temp_bytes
        told = ""
        if self.most < np.inf:
            told = f" ({'met' if temp <= self.most else 'NOT met'}: < {self.most / 1e6:g})"
        amplitudes = layout_of(self.modes, fj.TotalPhotons(self.below)).size
        return (
            f"| {self.modes} | {self.below} | {amplitudes:,} | {self.batch} | {self.dtype} "
            f"| {1e3 * seconds:.3g} | {temp / 1e6:.3g}{told} | {compiled.seconds:.1f} |"
        )


STEPS = (
    Step(4, 6, 128, "complex128"),
    Step(4, 6, 128),
    Step(8, 6, 128, most=100e6),
    Step(8, 12, 16),
    Step(12, 6, 32),
)


# The figure
# -------------------------------------------------------------------------------------------------


def draw(points: list[Point], path: Path) -> None:
    """A column for each number of modes, a row for each price of accuracy."""
    modes = list(dict.fromkeys(point.modes for point in points))
    figure = Figure(figsize=(3.2 * len(modes), 8), layout="constrained")
    axes = figure.subplots(len(PRICES), len(modes), sharey="col", squeeze=False)
    for row, (label, price) in zip(axes, PRICES.items(), strict=True):
        for axis, n in zip(row, modes, strict=True):
            for total, colour in ((False, ORANGE), (True, BLUE)):
                own = [p for p in points if p.modes == n and p.total == total]
                for strength, style in zip(STRENGTHS, ("-", "--"), strict=True):
                    axis.loglog(
                        [price(p) for p in own],
                        [p.errors[strength] for p in own],
                        color=colour,
                        linestyle=style,
                        marker="o",
                        markersize=3,
                        label=f"{'all modes together' if total else 'each mode'}, {strength}",
                    )
            decorate(axis, label, "error" if n == modes[0] else "")
            for each in (axis.xaxis, axis.yaxis):
                each.set_minor_formatter(NullFormatter())
    for axis, n in zip(axes[0], modes, strict=True):
        axis.set_title(f"{n} modes", fontsize=10)
        least = min(error for p in points if p.modes == n for error in p.errors.values())
        axis.set_ylim(10.0 ** math.floor(math.log10(least)), 1)
    axes[0][0].legend(fontsize=7, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="every third size, on 2 modes")
    parser.add_argument("--seconds", type=float, default=5, help="longest call (default: 5)")
    parser.add_argument("--gib", type=float, default=2, help="most memory (default: 2)")
    figure = Path(__file__).parent / "figures" / "truncation.png"
    parser.add_argument("-o", "--output", type=Path, default=figure, help="the figure")
    options = parser.parse_args()
    limits = Limits(options.seconds, options.gib * GIB)
    jax.block_until_ready(jax.jit(lambda x: x + 1)(jnp.zeros(3)))  # starts the compiler
    print(
        f"Python {platform.python_version()}, jax {version('jax')}, "
        f"{jax.devices()[0].device_kind}; medians of 3\n\n{HEADER}"
    )
    points, reasons = [], []
    for ladder in LADDERS[: 1 if options.quick else None]:
        for found in measure(ladder, limits, options.quick):
            (points if isinstance(found, Point) else reasons).append(found)
            if isinstance(found, Point):
                print(found, flush=True)
    print("".join(f"\nLeft out: {reason}." for reason in reasons))
    print(f"\n| modes | squeezing | total < | error | of {' | of '.join(PRICES)} |")
    print("|-" * (4 + len(PRICES)) + "|")
    print("\n".join(shares(points)))
    print("\n| modes | photons < | amplitudes | batch | | v+g ms | v+g temp MB | compile s |")
    print("|-|-|-|-|-|-|-|-|")
    for step in STEPS[: 1 if options.quick else None]:
        print(step.measure(), flush=True)
    draw(points, options.output)


if __name__ == "__main__":
    main()
