"""Figures: what is in them, and that they touch nothing else."""

from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fockjax as fj
from fockjax import drawing

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture(autouse=True)
def no_trace():
    """Without a window, without `show`; the settings stay as they are."""
    from matplotlib import pyplot as plt

    plt.switch_backend("Agg")
    before = dict(matplotlib.rcParams)
    yield
    assert dict(matplotlib.rcParams) == before
    plt.close("all")


def squeezed(hbar=2.0, cutoff=16):
    circuit = fj.Circuit(2, hbar=hbar).squeeze(0.4, 0.5, mode=0).displace(0.8, 0.4, mode=0)
    return circuit.displace(0.5, mode=1)({}, cutoff=(cutoff, 6))


def patches(ax, kind):
    return [patch for patch in ax.patches if type(patch).__name__ == kind]


def bounds(patch):
    return patch.get_path().transformed(patch.get_patch_transform()).get_extents()


@pytest.mark.parametrize("width", [3, 10, 100])
def test_a_circuit_has_its_boxes_none_over_another_and_words_inside_them(width):
    circuit = fj.Circuit(5).cvqnn_layers(2).prepare("fock", n=1, modes=3)
    circuit.displace(fj.Weight("a_long_$name$ of_much"), fj.Input(12), mode=1)
    circuit.beamsplitter(fj.Weight("theta"), modes=(4, 0)).beamsplitter(modes=(2, 1))
    ax = fj.plotting.circuit(circuit, width=width)
    boxes = [bounds(patch) for patch in patches(ax, "FancyBboxPatch")]
    marks = [mark for column in drawing.layout(circuit.operations, 5) for mark in column]
    assert len(boxes) == sum(len(mark.boxes) for mark in marks if mark.boxed)
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    words = [bounds(patch) for patch in patches(ax, "PathPatch")]
    for item in [*boxes, *words]:
        assert left <= item.x0 < item.x1 <= right and bottom <= item.y0 < item.y1 <= top
    inside = [
        any(b.x0 < w.x0 and w.x1 < b.x1 and b.y0 < w.y0 and w.y1 < b.y1 for b in boxes)
        for w in words
    ]
    assert sum(inside) == len(boxes)  # the others are the numbers of the wires, and "x 2"
    if width > 3:
        assert ax.figure.get_size_inches()[0] <= width


def test_a_circuit_is_scaled_to_the_axes_it_is_given():
    from matplotlib import pyplot as plt

    figure, ax = plt.subplots(figsize=(2, 2))
    assert fj.plotting.circuit(fj.Circuit(2).beamsplitter(), ax) is ax
    assert plt.get_fignums() == [figure.number]
    assert ax.get_aspect() == 1
    assert fj.plotting.circuit(fj.Circuit(1)).lines


def test_the_wigner_function_on_a_grid_that_holds_the_state():
    state = squeezed(hbar=1.0)
    ax = fj.plotting.wigner(state, 0)
    (mesh,) = ax.collections
    low, high = mesh.get_clim()
    values, grid = mesh.get_array(), mesh.get_coordinates()
    assert low == -high and np.isclose(high, np.abs(values).max())
    x, p = grid[0, :, 0], grid[:, 0, 1]
    np.testing.assert_allclose(values, state.wigner(0, x, p), atol=1e-6)
    np.testing.assert_allclose(values.sum() * (x[1] - x[0]) * (p[1] - p[0]), 1, atol=3e-3)
    assert np.isclose(np.ptp(x), np.ptp(p)) and ax.get_aspect() == 1
    assert "ħ = 1" in ax.get_xlabel() and ax.get_ylabel() == "p"
    ax = fj.plotting.wigner(state, 0, x=np.linspace(-1, 2, 151), p=np.linspace(0, 1, 151))
    assert (*ax.get_xlim(), *ax.get_ylim()) == (-1, 2, 0, 1)


def test_quadratures_are_densities_of_x_and_p():
    state = squeezed(hbar=1.0)
    ax = fj.plotting.quadratures(state, 0)
    for line, angle in zip(ax.lines, (0.0, np.pi / 2), strict=True):
        mean, variance = state.quadrature(0, angle)
        grid, density = line.get_data()
        normal = np.exp(-((grid - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
        np.testing.assert_allclose(density, normal, atol=2e-3)
        assert density[[0, -1]].max() < 2e-3 * density.max()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["x", "p"]
    assert "ħ = 1" in ax.get_xlabel()


def test_photon_numbers_as_bars_and_as_a_map():
    state = squeezed()
    bars = fj.plotting.photon_numbers(state).containers
    for mode, of_mode in enumerate(bars):
        heights = np.array([bar.get_height() for bar in of_mode])
        p = state.probabilities(mode)
        np.testing.assert_allclose(heights, p[: len(heights)], atol=1e-6)
        assert p[len(heights) :].sum() < 1e-2
    assert len(fj.plotting.photon_numbers(state, 1).containers) == 1
    (image,) = fj.plotting.photon_numbers(state, (1, 0), joint=True).images
    shown = image.get_array().T
    rows, columns = shown.shape
    np.testing.assert_allclose(shown, state.probabilities((1, 0))[:rows, :columns], atol=1e-6)
    assert fj.plotting.photon_numbers(fj.vacuum((3,))).containers


def test_an_inspection_along_the_circuit():
    circuit = fj.Circuit(2).displace(1.2, mode=0).beamsplitter(0.3).kerr(fj.Weight("k"), mode=0)
    report = fj.inspect(circuit, {"k": 0.1}, cutoff=(6, 5))
    figure = fj.plotting.inspection(report)
    losses, tops, photons = figure.axes
    assert [tick.get_text() for tick in photons.get_xticklabels()][1] == "D(1.2) on 0"
    np.testing.assert_allclose(losses.lines[0].get_ydata(), [row.leakage for row in report.rows])
    for mode in range(2):
        np.testing.assert_allclose(tops.lines[mode].get_ydata(), [r.top[mode] for r in report.rows])
    assert fj.plotting.inspection(report, figure) is figure
    broken = fj.plotting.inspection(fj.inspect(circuit, {"k": jnp.nan}, cutoff=(6, 5)))
    broken.canvas.draw()
    labels = [text.get_text() for text in broken.axes[0].get_legend().get_texts()]
    assert "not finite" in labels
    fj.plotting.inspection(fj.inspect(fj.Circuit(1), {}, cutoff=1)).canvas.draw()


def test_bad_arguments():
    plot = fj.plotting
    with pytest.raises(TypeError, match="must be a Circuit"):
        plot.circuit(fj.vacuum((3,)))
    with pytest.raises(ValueError, match="width"):
        plot.circuit(fj.Circuit(1), width=0)
    batch = jax.vmap(lambda r: fj.Circuit(1).displace(fj.Input(0), mode=0)({}, r[None], cutoff=4))
    nan = fj.Circuit(1).kerr(fj.Weight("k"), mode=0)({"k": jnp.nan}, cutoff=2)
    for draw in (plot.wigner, plot.quadratures, plot.photon_numbers):
        with pytest.raises(TypeError, match="must be a State"):
            draw(np.zeros(3))
        with pytest.raises(ValueError, match="batch"):
            draw(batch(jnp.zeros(2)))
        with pytest.raises(ValueError, match="not finite"):
            draw(nan)
        with pytest.raises(ValueError, match="mode"):
            draw(fj.vacuum((3,)), 1)
    with pytest.raises(ValueError, match="two modes"):
        plot.photon_numbers(fj.vacuum((3, 3, 3)), joint=True)
    with pytest.raises(TypeError, match="Inspection"):
        plot.inspection(fj.Circuit(1))
