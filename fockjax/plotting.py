"""Figures of circuits and states.

Each function draws on the Matplotlib axes it is given, or on those of a new figure, and returns
them. It shows nothing and changes no settings: that is left to the caller.
"""

from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np

from fockjax._figures import BLUE, COLOURS, ORANGE, axes_of, decorate, new_figure, verbatim
from fockjax._given import mode_of, modes_of
from fockjax.diagrams import circuit
from fockjax.inspection import Inspection, Row
from fockjax.readouts.factored import Modes
from fockjax.states import State

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = [
    "circuit",
    "density_matrix",
    "inspection",
    "photon_numbers",
    "quadratures",
    "wigner",
]


def wigner(
    state: State,
    mode: int = 0,
    ax: "Axes | None" = None,
    *,
    x: np.ndarray | None = None,
    p: np.ndarray | None = None,
) -> "Axes":
    """The Wigner function of a mode, blue where positive and white where zero, with a colour bar.

    Args:
        state: a state of one sample.
        mode: which mode.
        ax: where to draw; by default a new figure.
        x, p: the grid in phase space, increasing 1-D arrays in the units of the state's hbar. By
            default a square around the region where the distributions of x and p exceed a
            thousandth of their peaks.

    Example:
        >>> import fockjax as fj
        >>> cat = fj.Circuit(1).prepare("cat", 1.5, modes=0)({}, cutoff=20)
        >>> fj.plotting.wigner(cat, 0).figure.savefig("cat.png")  # doctest: +SKIP
    """
    _check(state, mode)
    if x is None or p is None:
        spans = [_span(state, mode, angle) for angle in (0.0, np.pi / 2)]
        half = max(high - low for low, high in spans) / 2
        default = [np.linspace((a + b) / 2 - half, (a + b) / 2 + half, 151) for a, b in spans]
        x, p = default[0] if x is None else x, default[1] if p is None else p
    values = np.asarray(state.wigner(mode, jnp.asarray(x), jnp.asarray(p)))
    ax = axes_of(ax, (4.8, 4.0))
    peak = np.abs(values).max()
    image = ax.pcolormesh(
        x, p, values, cmap="RdBu", vmin=-peak, vmax=peak, shading="gouraud", rasterized=True
    )
    _colour_bar(ax, image, "W(x, p)")
    ax.set_aspect("equal")
    ax.set(xlabel=_unit("x", state), ylabel="p", title=f"mode {mode}")
    return ax


def quadratures(
    state: State,
    mode: int = 0,
    ax: "Axes | None" = None,
    *,
    x_samples: np.ndarray | None = None,
    p_samples: np.ndarray | None = None,
) -> "Axes":
    """The probability densities of x and p of a mode, in the units of the state's hbar.

    Args:
        state: a state of one sample.
        mode: which mode.
        ax: where to draw; by default a new figure.
        x_samples, p_samples: outcomes of homodyne detection at the angles 0 and pi/2, real, shape
            ``(shots,)``; drawn as histograms, instead of filling the area under the curves.

    Example:
        >>> import jax, fockjax as fj
        >>> state = fj.from_ket([0, 1])
        >>> x = state.sample_homodyne(jax.random.key(0), 0, shots=500)
        >>> ax = fj.plotting.quadratures(state, 0, x_samples=x)
        >>> ax.figure.savefig("one_photon.png")  # doctest: +SKIP
    """
    _check(state, mode)
    angles = {"x": 0.0, "p": np.pi / 2}
    samples = {
        name: None if values is None else _samples(f"{name}_samples", values, 1)
        for name, values in (("x", x_samples), ("p", p_samples))
    }
    spans = [_span(state, mode, angle) for angle in angles.values()]
    spans += [(values.min(), values.max()) for values in samples.values() if values is not None]
    grid = np.linspace(min(low for low, _ in spans), max(high for _, high in spans), 401)
    ax = axes_of(ax, (4.8, 3.2))
    styles = ((BLUE, "-"), (ORANGE, "--"))
    for (name, angle), (colour, dashes) in zip(angles.items(), styles, strict=True):
        density = np.asarray(state.quadrature_distribution(mode, jnp.asarray(grid), angle))
        ax.plot(grid, density, dashes, color=colour, linewidth=1.6, label=name)
        counted = samples[name]
        if counted is None:
            ax.fill_between(grid, density, color=colour, alpha=0.15, linewidth=0)
        else:
            label = f"{name}, {counted.size} samples"
            ax.hist(counted, bins="auto", density=True, color=colour, alpha=0.3, label=label)
    decorate(ax, _unit("x, p", state), "probability density")
    top = 1.2 * ax.dataLim.ymax  # room for the legend
    ax.set(title=f"mode {mode}", xlim=(grid[0], grid[-1]), ylim=(0, top))
    shape = {"ncols": 4, "columnspacing": 1.0, "handlelength": 1.4, "fontsize": 9}
    ax.legend(frameon=False, loc="upper center", **shape)
    return ax


def photon_numbers(
    state: State,
    modes: int | tuple[int, ...] | None = None,
    ax: "Axes | None" = None,
    *,
    joint: bool = False,
    samples: np.ndarray | None = None,
) -> "Axes":
    """The photon-number probabilities: bars for each mode, or a map of two modes together. They are
    shown up to the last that exceeds a thousandth of the peak.

    Args:
        state: a state of one sample.
        modes: which modes; by default all.
        ax: where to draw; by default a new figure.
        joint: draw the joint probabilities of two modes.
        samples: photon numbers that were counted, integers of shape ``(shots, modes)``, or
            ``(shots,)`` for one mode. Their frequencies are drawn as points over the bars, with the
            standard deviation for this number of shots.

    Example:
        >>> import fockjax as fj
        >>> twins = fj.Circuit(2).two_mode_squeeze(0.8)({}, cutoff=12)
        >>> ax = fj.plotting.photon_numbers(twins, joint=True)
        >>> ax.figure.savefig("twins.png")  # doctest: +SKIP
    """
    _check(state)
    modes = _modes_of(state, modes)
    if joint:
        if samples is not None:
            raise ValueError("Argument `samples` is drawn over bars; leave `joint` out.")
        return _joint_photon_numbers(state, modes, ax)
    columns = [np.asarray(state.probabilities(mode)) for mode in modes]
    levels = _levels(columns)
    counted = None if samples is None else _samples("samples", samples, len(modes))
    if counted is not None and (np.any(counted < 0) or np.any(counted % 1)):
        raise ValueError("Argument `samples` must be made of integers >= 0.")
    if counted is not None:
        levels = max(levels, int(counted.max()) + 1)
        columns = [np.pad(column, (0, max(levels - len(column), 0))) for column in columns]
    ax = axes_of(ax, (max(4.8, 0.6 + 0.12 * levels * (len(modes) + 1)), 3.2))
    width = 0.8 / len(modes)
    for k, (mode, column) in enumerate(zip(modes, columns, strict=True)):
        column = column[:levels]
        at = np.arange(len(column)) + (k - (len(modes) - 1) / 2) * width
        ax.bar(at, column, width, color=COLOURS[k % len(COLOURS)], label=f"mode {mode}")
        if counted is not None:
            shots = len(counted)
            found = np.array([np.mean(counted[:, k] == n) for n in range(len(column))])
            ax.errorbar(
                at,
                found,
                np.sqrt(found * (1 - found) / shots),
                fmt=".",
                color="black",
                linewidth=1,
                label=f"{shots} samples" if k == len(modes) - 1 else None,
            )
    decorate(ax, "photons", "probability")
    ax.grid(False, axis="x")
    _whole_numbers(ax.xaxis)
    ax.legend(frameon=False, ncols=1 + (len(modes) - 1) // 6)
    return ax


def _joint_photon_numbers(state: State, modes: tuple[int, ...], ax: "Axes | None") -> "Axes":
    if len(modes) != 2:
        raise ValueError(f"With `joint`, argument `modes` must name two modes, got {modes}.")
    joint = np.asarray(state.probabilities(modes))
    joint = joint[: _levels([joint.sum(1)]), : _levels([joint.sum(0)])]
    ax = axes_of(ax, (4.6, 3.9))
    image = ax.imshow(joint.T, origin="lower", cmap="Blues", vmin=0)
    _colour_bar(ax, image, "probability")
    ax.set(xlabel=f"photons in mode {modes[0]}", ylabel=f"photons in mode {modes[1]}")
    _whole_numbers(ax.xaxis)
    _whole_numbers(ax.yaxis)
    return ax


def density_matrix(state: State, modes: Modes | None = 0, ax: "Axes | None" = None) -> "Axes":
    """The density matrix of some modes, with the others traced out: a square for each element, its
    area showing the modulus and its colour the phase.

    Args:
        state: a state of one sample.
        modes: which modes; None stands for all. For one mode, all photon numbers up to the last
            that exceeds a thousandth of the peak are shown; for several, the combinations that
            exceed it.
        ax: where to draw; by default a new figure.

    Example:
        >>> import fockjax as fj
        >>> noisy = fj.Circuit(1).displace(1.0, 0.4, mode=0).dephasing(0.5, mode=0)
        >>> ax = fj.plotting.density_matrix(noisy({}, cutoff=10))
        >>> ax.figure.savefig("noisy.png")  # doctest: +SKIP
    """
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    _check(state)
    modes = _modes_of(state, modes)
    probabilities = np.asarray(state.probabilities(modes))
    kept = probabilities > 1e-3 * probabilities.max()
    if len(modes) == 1:
        kept[: _levels([probabilities])] = True
    names = [" ".join(map(str, photons)) for photons in np.argwhere(kept)]
    rho = np.asarray(state.reduced(modes)).reshape(kept.size, kept.size)
    rho = rho[np.ix_(kept.ravel(), kept.ravel())]
    sides = np.sqrt(np.abs(rho) / np.abs(rho).max()).ravel()
    seen = sides > 0.02
    rows, columns = (index.ravel()[seen] for index in np.indices(rho.shape))
    corner = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    centres = np.stack([columns, rows], -1)
    squares = centres[:, None] + 0.46 * sides[seen][:, None, None] * corner
    ax = axes_of(ax, (4.6, 3.9))
    turn = LinearSegmentedColormap.from_list(
        "phase", [ORANGE, COLOURS[3], BLUE, COLOURS[2], ORANGE]
    )
    drawn = PolyCollection(squares, cmap=turn, norm=Normalize(-np.pi, np.pi), linewidth=0)
    drawn.set_array(np.angle(rho).ravel()[seen])
    ax.add_collection(drawn)
    _colour_bar(ax, drawn, "phase", ticks=(-np.pi, 0, np.pi), names=("−π", "0", "π"))
    size = len(rho)
    ax.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), aspect="equal")
    numbers = f"photons in mode{'s' if len(modes) > 1 else ''} {', '.join(map(str, modes))}"
    ax.set(xlabel=f"column: {numbers}", ylabel=f"row: {numbers}")
    every = -(-size // 20)  # no more than can be read
    ax.set_xticks(range(0, size, every), names[::every], rotation=90 if len(modes) > 1 else 0)
    ax.set_yticks(range(0, size, every), names[::every])
    return ax


def inspection(
    report: Inspection, figure: "Figure | SubFigure | None" = None
) -> "Figure | SubFigure":
    """What `fockjax.inspect` saw along the circuit: losses, top levels, mean photon numbers, and if
    some of the state is mixed, the purity of the factor of each mode.

    Args:
        report: what `fockjax.inspect` returned.
        figure: an empty figure or subfigure to draw on; by default a new one.

    Example:
        >>> import fockjax as fj
        >>> circuit = fj.Circuit(2).squeeze(1.0, mode=0).beamsplitter()
        >>> figure = fj.plotting.inspection(fj.inspect(circuit, {}, cutoff=8))
        >>> figure.savefig("inspection.png")  # doctest: +SKIP
    """
    from matplotlib.figure import FigureBase

    if not isinstance(report, Inspection):
        raise TypeError(f"Argument `report` must be an Inspection, got {type(report).__name__}.")
    rows, steps = report.rows, np.arange(len(report.rows))
    few = len(steps) <= 40  # few enough to be named below the axis
    mixed = any(purity is not None for row in rows for purity in row.purities)
    panels = 3 + mixed
    if figure is None:
        width = max(6.4, min(12.0, 0.28 * len(steps) + 1.5))
        figure = new_figure((width, 1.6 + 1.6 * panels))
    elif not isinstance(figure, FigureBase):
        raise TypeError(
            f"Argument `figure` must be a Matplotlib figure, got {type(figure).__name__}."
        )
    losses, tops, photons, *more = axes = figure.subplots(panels, 1, sharex=True)
    lowest = axes[-1]
    losses.bar(steps, [row.lost for row in rows], color=ORANGE, label="lost in the step")
    losses.step(steps, [row.leakage for row in rows], where="mid", color=BLUE, label="so far")
    for mode in range(report.state.modes):
        style = {"color": COLOURS[mode % len(COLOURS)], "marker": "." if few else ""}
        top = [row.top[mode] or np.nan for row in rows]  # nothing is off a logarithmic scale
        tops.plot(steps, top, **style, label=f"mode {mode}")
        photons.plot(steps, [row.photons[mode] for row in rows], **style)
        for purities in more:
            purities.plot(steps, [_purity(row, mode) for row in rows], **style)
    decorate(losses, "", "leakage, at least" if report.state.reflects else "leakage")
    decorate(tops, "", "top level")
    decorate(photons, "", "mean photons")
    for purities in more:
        decorate(purities, "", "purity")
        purities.set_ylim(0, 1.05)
    if bad := report.first_nonfinite:
        for axis in axes:
            axis.axvline(rows.index(bad), color="#c44e52", linestyle=":", label="not finite")
    well = [row for row in rows if row.finite]
    for axis, highest in (
        (losses, max((row.leakage for row in well), default=0)),
        (tops, max((row.top.max() for row in well), default=0)),
    ):  # below is rounding; set limits before the scale, since no value needs to be positive
        axis.set_ylim(report.rounding, max(2 * highest, 100 * report.rounding))
        axis.set_yscale("log")
    photons.set_ylim(bottom=0)
    for axis in (losses, tops):
        axis.legend(frameon=False, fontsize=8, ncols=8, loc="lower left", bbox_to_anchor=(0, 1))
    if few:
        names = [verbatim(row.name) for row in rows]
        lowest.set_xticks(steps, names, rotation=90, fontsize=8)
    else:
        lowest.set_xlabel("step")
    return figure


def _purity(row: Row, mode: int) -> float:
    """The purity of the factor of a mode."""
    factor = next(k for k, group in enumerate(row.groups) if mode in group)
    purity = row.purities[factor]
    return 1.0 if purity is None else purity


def _span(state: State, mode: int, angle: float) -> tuple[float, float]:
    """The interval in which the distribution of a quadrature exceeds a thousandth of its peak.

    The search goes to the turning point of the highest level below the cutoff, and some vacuum
    widths beyond.
    """
    vacuum = np.sqrt(state.hbar / 2)
    reach = vacuum * (np.sqrt(4 * state.cutoffs[mode] - 2) + 4)
    grid = np.linspace(-reach, reach, 801)
    density = np.asarray(state.quadrature_distribution(mode, jnp.asarray(grid), angle))
    inside = grid[density > 1e-3 * density.max()]
    return inside[0], inside[-1]


def _levels(probabilities: list[np.ndarray]) -> int:
    """How many photon numbers to show: up to the last that exceeds a thousandth of the peak."""
    return max(int(np.flatnonzero(p > 1e-3 * p.max()).max(initial=0)) for p in probabilities) + 1


def _whole_numbers(axis) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True))


def _colour_bar(ax: "Axes", image, label: str, ticks=None, names=None) -> None:
    bar = ax.figure.colorbar(image, cax=ax.inset_axes((1.04, 0, 0.05, 1)), label=label)
    if ticks is not None:
        bar.set_ticks(ticks, labels=names)


def _samples(name: str, values, columns: int) -> np.ndarray:
    """Outcomes, one row for each shot."""
    array = np.asarray(values)
    if array.ndim == 1 and columns == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[1] != columns or not len(array):
        raise ValueError(
            f"Argument `{name}` must have shape (shots, {columns}), an outcome for each shot and "
            f"mode, got {np.shape(values)}."
        )
    if array.dtype.kind not in "fiu" or not np.all(np.isfinite(array)):
        raise ValueError(f"Argument `{name}` must be made of finite real numbers.")
    return array


def _unit(name: str, state: State) -> str:
    return f"{name}   (ħ = {state.hbar:g})"


def _check(state: State, mode: int = 0) -> None:
    if not isinstance(state, State):
        raise TypeError(f"Argument `state` must be a State, got {type(state).__name__}.")
    if any(factor.is_batch for factor in state.factors):
        raise ValueError(
            "Argument `state` is a batch; draw one sample of it, as in "
            "jax.tree.map(lambda leaf: leaf[0], state)."
        )
    if not state.is_finite:
        raise ValueError("Argument `state` is not finite; fj.inspect tells where that began.")
    if not state.norm:
        raise ValueError(
            "Argument `state` has lost all of its probability to the cutoff; fj.inspect tells "
            "where."
        )
    mode_of(mode, state.modes)


def _modes_of(state: State, modes: Modes | None) -> tuple[int, ...]:
    """At least one mode of a state; None stands for all."""
    return modes_of(range(state.modes) if modes is None else modes, state.modes, least=1)
