"""How time, memory and compile time grow with batch, cutoff, modes and depth.

    python benchmarks/scaling.py [batch cutoff modes depth] [--quick] [--seconds 2] [--gib 4]
    python benchmarks/scaling.py cutoff --sizes 16 17 20 21 25 [--rounds 3]

It prints a table for each and draws all in one figure (benchmarks/figures/scaling.png unless told
otherwise). "v+g" is the value and gradient with respect to the weights. The slope is d log(v+g
time) / d log(what grows), from the point before, so that a change of slope shows where a cost
bends. For modes it is the factor that one more mode costs. Points over the limits, and all larger
ones, are left out, and the table says so. With --sizes nothing is drawn unless told where.
complex64, no flags, `jax.vmap` of the one-sample call.
"""

import argparse
import math
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
from _circuits import encoded, inputs, quadratures, reference, squared_error
from _timing import GIB, Compiled, LeftOut, Limits, compile_fresh, time_within
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import Progress

import fockjax as fj
from fockjax._figures import COLOURS, decorate

PARTS = ("forward", "v+g")
MOST_TICKS = 5


@dataclass(frozen=True)
class Setting:
    """A circuit, its cutoff and the batch."""

    circuit: Any
    cutoff: int
    batch: int


@dataclass(frozen=True)
class Series:
    """Settings that differ in one number."""

    what: str
    label: str
    sizes: tuple[int, ...]
    setting: Callable[[int], Setting]


SERIES = [
    Series(
        "batch",
        "4 modes, D=6, 2 layers",
        tuple(4**k for k in range(9)),
        lambda n: Setting(reference(4, 2), 6, n),
    ),
    Series(
        "cutoff",
        "1 mode, 4 CV-NN layers, batch 32",
        (4, 6, 10, 16, 25, 40, 63, 100),
        lambda n: Setting(encoded(1).cvqnn_layers(4), n, 32),
    ),
    Series(
        "cutoff",
        "2 modes, 2 layers, batch 32",
        (4, 6, 10, 16, 25, 40, 63, 100),
        lambda n: Setting(reference(2, 2), n, 32),
    ),
    Series(
        "modes",
        "all entangled, D=4, 2 layers, batch 8",
        tuple(range(1, 11)),
        lambda n: Setting(reference(n, 2), 4, 8),
    ),
    Series(
        "modes",
        "in groups of 2, D=4, 2 layers, batch 8",
        (2, 4, 6, 8, 10),
        lambda n: Setting(fj.grouped(lambda size: reference(size, 2), modes=n, group_size=2), 4, 8),
    ),
    Series(
        "depth",
        "CV-NN layers of 2 modes, D=8, batch 8",
        (1, 2, 4, 8, 16, 50, 200),
        lambda n: Setting(encoded(2).cvqnn_layers(n), 8, 8),
    ),
]


@dataclass(frozen=True)
class Point:
    """What one program takes."""

    size: int
    part: str
    seconds: float
    compiled: Compiled


def programs(setting: Setting) -> tuple[dict[str, Callable], tuple]:
    """Forward pass and value-and-gradient, and their arguments."""
    forward = quadratures(setting.circuit, setting.cutoff)
    gradient = jax.value_and_grad(squared_error(forward))
    weights = setting.circuit.init(jax.random.key(0))
    functions = dict(zip(PARTS, (forward, gradient), strict=True))
    return functions, (weights, inputs(setting.circuit, setting.batch))


def measure(
    series: Series, sizes: tuple[int, ...], limits: Limits, rounds: int
) -> Iterator[Point | LeftOut]:
    """The points of a series, a forward pass and a value-and-gradient for each size, up to the
    first that is left out of either.
    """
    left_out = set()
    for size in sizes:
        functions, args = programs(series.setting(size))
        for part in PARTS:
            if part in left_out:
                continue
            try:
                compiled = compile_fresh(functions[part], *args)
                yield Point(size, part, time_within(limits, compiled, args, rounds), compiled)
            except LeftOut as reason:
                left_out.add(part)
                yield LeftOut(f"{part} at {size:,} and beyond: {reason}")


def rows(series: Series, points: list[Point]) -> Iterator[str]:
    """A line for each size."""
    sizes = dict.fromkeys(point.size for point in points)
    by_size = {size: {p.part: p for p in points if p.size == size} for size in sizes}
    before = None
    for size, found in by_size.items():
        both = [found.get(part) for part in PARTS]
        slope = ""
        if both[1]:
            slope = growth(series, before, both[1]) if before else ""
            before = both[1]
        cells = [
            "-" if p is None else text(p)
            for text in (
                lambda p: f"{1e3 * p.seconds:.3g}",
                lambda p: f"{p.compiled.bytes / 1e6:.3g}",
                lambda p: f"{p.compiled.seconds:.1f}",
            )
            for p in both
        ]
        yield "| " + " | ".join([f"{size:,}", *cells[:2], slope, *cells[2:]]) + " |"


def growth(series: Series, before: Point, after: Point) -> str:
    """The slope between two points, or the factor for one more mode."""
    rise = math.log(after.seconds / before.seconds)
    if series.what == "modes":
        return f"x {math.exp(rise / (after.size - before.size)):.2f}"
    return f"{rise / math.log(after.size / before.size):.2f}"


HEADER = (
    "forward ms | v+g ms | slope | forward MB | v+g MB | compile forward s | compile v+g s |\n"
    "|-|-|-|-|-|-|-|-|"
)


# The figure
# -------------------------------------------------------------------------------------------------


def draw(found: list[tuple[Series, list[Point]]], path: Path) -> None:
    """Time above, memory below, a column for each thing that grows."""
    whats = list(dict.fromkeys(series.what for series, _ in found))
    figure = Figure(figsize=(4 * len(whats), 6.4), layout="constrained")
    axes = figure.subplots(2, len(whats), sharex="col", squeeze=False)
    for (time, memory), what in zip(axes.T, whats, strict=True):
        of_this = [(series, points) for series, points in found if series.what == what]
        for colour, (series, points) in zip(COLOURS, of_this, strict=False):
            for part, style in zip(PARTS, ("--", "-"), strict=True):
                own = [point for point in points if point.part == part]
                sizes = [point.size for point in own]
                line = {"color": colour, "linestyle": style, "marker": "o", "markersize": 3}
                label = series.label if style == "-" else None
                time.plot(sizes, [1e3 * p.seconds for p in own], label=label, **line)
                memory.plot(sizes, [p.compiled.bytes / 1e6 for p in own], **line)
        time.legend(fontsize=8, frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
        time.set(yscale="log")
        memory.set(yscale="log", xscale="linear" if what == "modes" else "log")
        every = sorted({point.size for _, points in of_this for point in points})
        ticks = every[:: len(every) // -MOST_TICKS]  # the largest among them
        memory.set_xticks(ticks, [f"{size:,}" for size in ticks])
        memory.set_xticks([], minor=True)
        decorate(time, "", "milliseconds a call")
        decorate(memory, what, "megabytes")
    figure.suptitle("solid: value and gradient; dashed: forward pass", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def main() -> None:
    whats = list(dict.fromkeys(series.what for series in SERIES))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("whats", nargs="*", metavar="WHAT", help=", ".join(whats))
    parser.add_argument("--quick", action="store_true", help="every third size")
    parser.add_argument("--sizes", type=int, nargs="+", help="in place of those of the series")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2, help="longest call (default: 2)")
    parser.add_argument("--gib", type=float, default=4, help="most memory (default: 4)")
    figure = Path(__file__).parent / "figures" / "scaling.png"
    parser.add_argument("-o", "--output", type=Path, help=f"the figure (default: {figure})")
    options = parser.parse_args()
    if unknown := set(options.whats) - set(whats):
        parser.error(f"unknown {min(unknown)!r}; there are {', '.join(whats)}")
    limits = Limits(options.seconds, options.gib * GIB)
    chosen = [series for series in SERIES if series.what in (options.whats or whats)]
    print(
        f"Python {platform.python_version()}, jax {version('jax')}, "
        f"{jax.devices()[0].device_kind}; medians of {options.rounds}"
    )
    found = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        for series in chosen:
            sizes = options.sizes or series.sizes[:: 3 if options.quick else 1]
            task = progress.add_task(f"{series.what}: {series.label}", total=2 * len(sizes))
            points, reasons = [], []
            for point in measure(series, sizes, limits, options.rounds):
                (points if isinstance(point, Point) else reasons).append(point)
                progress.advance(task)
            progress.remove_task(task)
            found.append((series, points))
            print(f"\n{series.label}\n\n| {series.what} | {HEADER}")
            print("\n".join(rows(series, points)))
            for reason in reasons:
                print(f"\nLeft out: {reason}.")
    if options.output or not options.sizes:
        draw(found, options.output or figure)


if __name__ == "__main__":
    main()
