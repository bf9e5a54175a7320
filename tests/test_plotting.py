"""Figures: what is in them, and that they touch nothing else."""

from itertools import combinations

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest

import fockjax as fj
from fockjax import drawing


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
    circuit.loss(0.9, mode=0).measure_heterodyne(mode=0, name="alpha").prepare(
        "thermal", 1, modes=3
    )
    circuit.displace(fj.Outcome("alpha").real, mode=2).measure_photons(modes=4, select=1)
    ax = fj.plotting.circuit(circuit, width=width)
    boxes = [bounds(patch) for patch in patches(ax, "FancyBboxPatch")]
    marks = [mark for column in drawing.arrange(circuit.operations, 5) for mark in column]
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


def test_outcomes_are_double_lines_and_what_a_detector_leaves_is_dotted():
    circuit = fj.Circuit(3).measure_homodyne(mode=2).kerr(0.1, mode=1)
    ax = fj.plotting.circuit(circuit.displace(fj.Outcome("m2"), mode=0))
    boxes = [bounds(patch) for patch in patches(ax, "FancyBboxPatch")]
    fed, _, detector = sorted(boxes, key=lambda box: -box.y0)
    middles = [((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2) for box in (fed, detector)]
    (x, upper), (start, lower) = middles
    across, down = [], []
    for line in ax.lines:
        (x0, x1), (y0, y1) = line.get_data()
        if y0 != y1:
            down.append((x0 - x, y0, y1))
        elif abs(y0 - lower) < 0.1 and line.get_linestyle() == "-" and x0 > 0.5:
            across.append((x0, x1, y0 - lower))
    assert len(across) == len(down) == 2
    np.testing.assert_allclose([line[:2] for line in across], [(start, x)] * 2)
    np.testing.assert_allclose([line[1:] for line in down], [(lower, upper)] * 2)
    assert across[0][2] == -across[1][2] != 0 and np.isclose(down[0][0], -down[1][0])
    (dotted,) = [line for line in ax.lines if line.get_linestyle() == ":"]
    assert dotted.get_xdata()[0] == x and np.isclose(dotted.get_ydata()[0], lower)


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


RHO = np.array([[0.6, 0.2j], [-0.2j, 0.4]])


@pytest.mark.slow
def test_a_mixed_state():
    state = fj.from_density_matrix(RHO)
    ax = fj.plotting.wigner(state, x=np.linspace(-1, 1, 3), p=np.linspace(-1, 1, 3))
    np.testing.assert_allclose(ax.collections[0].get_array()[1, 1], 0.2 / (2 * np.pi), rtol=1e-4)
    x, p = (line.get_data() for line in fj.plotting.quadratures(state).lines)
    for (grid, density), coherence in ((x, 0), (p, -0.4)):
        wave = np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi)
        expected = wave * (0.6 + 0.4 * grid**2 + coherence * grid)
        np.testing.assert_allclose(density, expected, atol=1e-5)
    (bars,) = fj.plotting.photon_numbers(state).containers
    np.testing.assert_allclose([bar.get_height() for bar in bars], [0.6, 0.4], atol=1e-6)


def squares(ax):
    """What is drawn of a density matrix: moduli over the largest, and phases, by row and column."""
    (drawn,) = ax.collections
    found = {}
    for path, phase in zip(drawn.get_paths(), drawn.get_array(), strict=True):
        box = path.get_extents()
        column, row = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
        found[round(row), round(column)] = ((box.width / 0.92) ** 2, phase)
    return found


def test_a_density_matrix_is_drawn_in_squares():
    ax = fj.plotting.density_matrix(fj.from_density_matrix(RHO))
    found = squares(ax)
    assert len(found) == 4
    for place, (modulus, phase) in found.items():
        np.testing.assert_allclose(modulus * 0.6 * np.exp(1j * phase), RHO[place], atol=1e-5)
    assert ax.get_ylim() == (1.5, -0.5)  # the first row is above
    ket = np.zeros((3, 4), complex)
    ket[2, 3], ket[0, 1] = 0.8, 0.6j
    ax = fj.plotting.density_matrix(fj.from_ket(ket), (1, 0))
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["1 0", "3 2"]
    found = squares(ax)
    assert len(found) == 4
    for row, first in enumerate((0.6j, 0.8)):
        for column, second in enumerate((0.6j, 0.8)):
            modulus, phase = found[row, column]
            expected = first * np.conj(second)
            np.testing.assert_allclose(modulus * 0.64 * np.exp(1j * phase), expected, atol=1e-5)


def test_samples_beside_what_they_are_drawn_from():
    state = fj.from_ket(np.diag([0.8, 0.6j]))
    counted = np.array([[0, 0], [0, 0], [3, 1], [0, 0]])
    ax = fj.plotting.photon_numbers(state, samples=counted)
    bars, points, *more = ax.containers
    assert [bar.get_height() for bar in bars] == pytest.approx([0.64, 0.36, 0, 0])
    np.testing.assert_allclose(points.lines[0].get_ydata(), [0.75, 0, 0, 0.25])
    (low, high), *_ = (segment[:, 1] for segment in points.lines[2][0].get_segments())
    np.testing.assert_allclose(high - low, 2 * np.sqrt(0.75 * 0.25 / 4))
    np.testing.assert_allclose(more[1].lines[0].get_ydata(), [0.75, 0.25, 0, 0])
    assert "4 samples" in [text.get_text() for text in ax.get_legend().get_texts()]
    ax = fj.plotting.quadratures(state, 1, x_samples=np.linspace(-9, 1, 100))
    assert ax.get_xlim()[0] == -9
    (histogram,) = [c for c in ax.containers if len(c)]
    np.testing.assert_allclose(sum(bar.get_height() * bar.get_width() for bar in histogram), 1)
    np.testing.assert_allclose(histogram[0].get_x(), -9)
    assert len(ax.collections) == 1  # the other curve is filled


@pytest.mark.slow
def test_an_inspection_along_the_circuit():
    circuit = fj.Circuit(2).displace(1.2, mode=0).beamsplitter(0.3).kerr(fj.Weight("k"), mode=0)
    report = fj.inspect(circuit, {"k": 0.1}, cutoff=(6, 5))
    figure = fj.plotting.inspection(report)
    losses, tops, photons = figure.axes
    assert [tick.get_text() for tick in photons.get_xticklabels()][1] == "D(1.2) on 0"
    np.testing.assert_allclose(losses.lines[0].get_ydata(), [row.leakage for row in report.rows])
    for mode in range(2):
        np.testing.assert_allclose(
            tops.lines[mode].get_ydata(), [r.top[mode] or np.nan for r in report.rows]
        )
    assert fj.plotting.inspection(report, figure) is figure
    broken = fj.plotting.inspection(fj.inspect(circuit, {"k": jnp.nan}, cutoff=(6, 5)))
    broken.canvas.draw()
    labels = [text.get_text() for text in broken.axes[0].get_legend().get_texts()]
    assert "not finite" in labels
    fj.plotting.inspection(fj.inspect(fj.Circuit(1), {}, cutoff=1)).canvas.draw()
    mixed = fj.inspect(fj.Circuit(2).prepare("thermal", 0.5, modes=1), {}, cutoff=6)
    *_, purities = fj.plotting.inspection(mixed).axes
    drawn = [line.get_ydata() for line in purities.lines]
    np.testing.assert_allclose(drawn, [(1, 1), (1, mixed.rows[1].purities[1])])


def test_names_in_an_inspection_are_no_formulae():
    circuit = fj.Circuit(1).displace(0.3, mode=0).measure_photons(modes=0, name="n$_$")
    figure = fj.plotting.inspection(fj.inspect(circuit, {}, cutoff=5, key=jax.random.key(0)))
    figure.canvas.draw()
    names = [text.get_text() for text in figure.axes[-1].get_xticklabels()]
    assert r"n\$_\$" in names[-1]


def test_bad_arguments():
    from matplotlib import pyplot as plt

    plot = fj.plotting
    with pytest.raises(TypeError, match="must be a Circuit"):
        plot.circuit(fj.vacuum((3,)))
    with pytest.raises(ValueError, match="width"):
        plot.circuit(fj.Circuit(1), width=0)
    batch = jax.vmap(lambda r: fj.Circuit(1).displace(fj.Input(0), mode=0)({}, r[None], cutoff=4))
    lost = fj.Circuit(1).displace(30.0, mode=0)({}, cutoff=4)
    nan = fj.Circuit(1).kerr(fj.Weight("k"), mode=0)({"k": jnp.nan}, cutoff=2)
    for draw in (plot.wigner, plot.quadratures, plot.photon_numbers, plot.density_matrix):
        with pytest.raises(TypeError, match="must be a State"):
            draw(np.zeros(3))
        with pytest.raises(ValueError, match="batch"):
            draw(batch(jnp.zeros(2)))
        with pytest.raises(ValueError, match="not finite"):
            draw(nan)
        with pytest.raises(ValueError, match="lost all of its probability"):
            draw(lost)
        with pytest.raises(ValueError, match="mode"):
            draw(fj.vacuum((3,)), 1)
        with pytest.raises(TypeError, match="`ax` must be Matplotlib axes.*got Figure"):
            draw(fj.vacuum((3,)), ax=plt.figure())
    with pytest.raises(ValueError, match="two modes"):
        plot.photon_numbers(fj.vacuum((3, 3, 3)), joint=True)
    with pytest.raises(ValueError, match="at least one mode"):
        plot.photon_numbers(fj.vacuum((3,)), ())
    for samples in (np.zeros((4, 2)), np.zeros(0), [np.nan], [1j], 3, [0.5], [-1]):
        with pytest.raises(ValueError, match="samples"):
            plot.photon_numbers(fj.vacuum((3,)), samples=samples)
    with pytest.raises(ValueError, match="leave `joint` out"):
        plot.photon_numbers(fj.vacuum((3, 3)), joint=True, samples=np.zeros((5, 2)))
    with pytest.raises(TypeError, match="Inspection"):
        plot.inspection(fj.Circuit(1))
    with pytest.raises(TypeError, match="`figure` must be a Matplotlib figure, got Axes"):
        plot.inspection(fj.inspect(fj.Circuit(1), {}, cutoff=2), plt.figure().subplots())
    with pytest.raises(TypeError, match="must be a Matplotlib figure, got module"):
        plot.inspection(fj.inspect(fj.Circuit(1), {}, cutoff=2), plt)
