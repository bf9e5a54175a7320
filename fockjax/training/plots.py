"""The plots of a model folder, drawn on Figure objects without Matplotlib's global state."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fockjax._figures import BLUE, COLOURS, GREY, ORANGE, decorate, verbatim
from fockjax._files import atomic_writer
from fockjax.training.metrics import Evaluation, one_against_rest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEW_EPOCHS = 20
MOST_NAMED = 16  # classes; with more there is no room to name each count and curve


def learning_curve(path: Path, history: list[dict], best: int, score_name: str) -> None:
    """Loss, score and leakage over the epochs; the best one, whose weights are kept, is marked."""
    figure = _figure(10.5, 3.4)
    axes = figure.subplots(1, 3)
    epochs = [line["epoch"] for line in history]
    for axis, key, title in zip(
        axes, ("loss", "score", "leakage"), ("loss", score_name, "leakage"), strict=True
    ):
        factor = 100 if key == "leakage" else 1
        for prefix, label, colour in (("", "training", BLUE), ("val_", "validation", ORANGE)):
            values = [
                np.nan if line[prefix + key] is None else line[prefix + key] for line in history
            ]
            axis.plot(
                epochs,
                factor * np.asarray(values),
                "-" if len(epochs) > FEW_EPOCHS else ".-",  # a single epoch makes no line
                color=colour,
                label=label,
                linewidth=1.6,
            )
        axis.axvline(best, color=GREY, linestyle=":", linewidth=1.2, label=f"best epoch, {best}")
        axis.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        decorate(axis, "epoch", f"{title} [%]" if key == "leakage" else title)
    axes[0].legend(frameon=False, fontsize=9)
    _save(figure, path)


def confusion_matrix(path: Path, evaluation: Evaluation, classes: tuple) -> None:
    """Counts of test rows by true and predicted class, coloured by their share of a row."""
    from sklearn.metrics import confusion_matrix as count

    names = [str(label) for label in classes]
    places = np.arange(len(names))
    counts = count(evaluation.truth, evaluation.prediction, labels=places)
    side = min(12.0, max(2.8, 0.75 * len(names)))
    figure = _figure(side + 1.6, side + 1.1)
    axis = figure.subplots()
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1.15)
    big, small = (16, 9) if len(names) <= 4 else (11, 7)
    for (row, column), value in np.ndenumerate(counts if len(names) <= MOST_NAMED else ()):
        share = shares[row, column]
        colour = "white" if share > 0.6 else "black"
        style: dict[str, Any] = {"ha": "center", "va": "center", "color": colour}
        axis.text(column, row - 0.06, str(value), size=big, **style)
        if value:
            axis.text(column, row + 0.24, f"{share:.1%}", size=small, **style)
    shown = list(map(verbatim, names))
    axis.set_xticks(places, shown, rotation=90 if sum(map(len, names)) > 40 else 0)
    axis.set_yticks(places, shown, rotation=90 if len(names) <= 4 else 0, va="center")
    axis.tick_params(length=0)
    axis.set(xlabel="predicted", ylabel="true", title=f"test rows: {counts.sum()}")
    axis.spines[:].set_visible(False)
    _save(figure, path)


def roc_of_models(path: Path, evaluations: dict[str, Evaluation]) -> None:
    """ROC curves of several models for two classes, the first model on top."""
    curves = {title: (each.truth, each.answer) for title, each in evaluations.items()}
    _roc(path, curves, "area under the curve, test")


def roc_of_classes(path: Path, evaluation: Evaluation, classes: tuple) -> None:
    """ROC curves of one model, for each class against all others."""
    curves = dict(zip(map(str, classes), one_against_rest(evaluation), strict=True))
    _roc(path, curves, "class against the rest: area, test", first_on_top=False)


def _roc(
    path: Path,
    curves: dict[str, tuple[np.ndarray, np.ndarray]],
    legend: str,
    first_on_top: bool = True,
) -> None:
    from sklearn.metrics import roc_auc_score
    from sklearn.metrics import roc_curve as curve

    figure = _figure(5.4, 5.0)
    axis = figure.subplots()
    lines = []
    for index, (title, (truth, answer)) in enumerate(curves.items()):
        false, true, _ = curve(truth, answer)
        first = first_on_top and index == 0
        lines += axis.plot(
            false,
            true,
            color=COLOURS[index % len(COLOURS)],
            linestyle=("-", "--", ":")[index // len(COLOURS) % 3],
            linewidth=2.4 if first else 1.2,
            alpha=1 if first else 0.85,
            zorder=3 if first else 2,
            label=f"{verbatim(title)}: {roc_auc_score(truth, answer):.3f}",
        )
    axis.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1)
    axis.set_aspect("equal")
    axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    decorate(axis, "false positive rate", "true positive rate")
    if len(curves) <= MOST_NAMED:
        style: dict[str, Any] = {"loc": "lower right", "alignment": "left"}
        # The lines are given, since Matplotlib itself would leave out labels that begin with "_".
        axis.legend(handles=lines, title=legend, frameon=False, fontsize=8, **style)
    _save(figure, path)


def predicted_against_true(path: Path, evaluation: Evaluation, target: str) -> None:
    """Predicted against true values of the test rows, as a scatter plot."""
    figure = _figure(4.8, 4.5)
    axis = figure.subplots()
    both = np.concatenate([evaluation.truth, evaluation.prediction])
    low, high = both.min(), both.max()
    axis.plot([low, high], [low, high], color=GREY, linestyle=":", linewidth=1.2)
    axis.scatter(
        evaluation.truth, evaluation.prediction, s=18, color=BLUE, alpha=0.6, edgecolors="none"
    )
    axis.set_aspect("equal", adjustable="datalim")
    name = verbatim(target)
    decorate(axis, f"true {name}", f"predicted {name}")
    axis.set_title(f"test rows: {len(evaluation.truth)}")
    _save(figure, path)


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: "Figure", path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    with atomic_writer(path) as file:
        canvas.print_figure(file, format="png", dpi=130, bbox_inches="tight")
