"""The plots of a model folder, drawn on Figure objects so that no global state is touched."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fockjax._figures import BLUE, COLOURS, GREY, ORANGE, decorate
from fockjax.training.files import atomic_writer
from fockjax.training.metrics import Evaluation

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def learning_curve(path: Path, history: list[dict], score_name: str) -> None:
    """Loss, score and leakage over the epochs; the chosen epoch is marked."""
    figure = _figure(10.5, 3.4)
    axes = figure.subplots(1, 3)
    epochs = [line["epoch"] for line in history]
    best = min(history, key=lambda line: line["val_loss"])["epoch"]
    for axis, key, title in zip(
        axes, ("loss", "score", "leakage"), ("loss", score_name, "leakage"), strict=True
    ):
        factor = 100 if key == "leakage" else 1
        for prefix, label, colour in (("", "training", BLUE), ("val_", "validation", ORANGE)):
            values = [
                np.nan if line[prefix + key] is None else line[prefix + key] for line in history
            ]
            axis.plot(epochs, factor * np.asarray(values), color=colour, label=label, linewidth=1.6)
        axis.axvline(best, color=GREY, linestyle=":", linewidth=1.2, label=f"best epoch, {best}")
        decorate(axis, "epoch", f"{title} [%]" if key == "leakage" else title)
    axes[0].legend(frameon=False, fontsize=9)
    _save(figure, path)


def confusion_matrix(path: Path, evaluation: Evaluation, classes: tuple) -> None:
    """Counts of the test rows by true and predicted class."""
    from sklearn.metrics import confusion_matrix as count

    counts = count(evaluation.truth, evaluation.prediction, labels=[0, 1])
    figure = _figure(4.4, 3.9)
    axis = figure.subplots()
    axis.imshow(counts, cmap="Blues", vmin=0, vmax=max(1, counts.max()) * 1.15)
    for (row, column), value in np.ndenumerate(counts):
        share = value / max(1, counts[row].sum())
        colour = "white" if value > counts.max() * 0.6 else "black"
        axis.text(column, row - 0.06, str(value), ha="center", va="center", color=colour, size=16)
        axis.text(column, row + 0.2, f"{share:.1%}", ha="center", va="center", color=colour, size=9)
    names = [str(label) for label in classes]
    axis.set_xticks([0, 1], names)
    axis.set_yticks([0, 1], names, rotation=90, va="center")
    axis.tick_params(length=0)
    axis.set(xlabel="predicted", ylabel="true", title=f"test rows: {counts.sum()}")
    axis.spines[:].set_visible(False)
    _save(figure, path)


def roc_curve(path: Path, evaluations: dict[str, Evaluation]) -> None:
    """ROC curves of the models by title, the first one drawn on top."""
    from sklearn.metrics import roc_auc_score
    from sklearn.metrics import roc_curve as curve

    figure = _figure(5.4, 5.0)
    axis = figure.subplots()
    for index, (title, evaluation) in enumerate(evaluations.items()):
        false, true, _ = curve(evaluation.truth, evaluation.score)
        area = roc_auc_score(evaluation.truth, evaluation.score)
        axis.plot(
            false,
            true,
            color=COLOURS[index % len(COLOURS)],
            linewidth=2.4 if index == 0 else 1.2,
            alpha=1 if index == 0 else 0.85,
            zorder=3 if index == 0 else 2,
            label=f"{title}: {area:.3f}",
        )
    axis.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1)
    axis.set_aspect("equal")
    axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    decorate(axis, "false positive rate", "true positive rate")
    axis.legend(frameon=False, fontsize=8, loc="lower right", title="area under the curve, test")
    _save(figure, path)


def predicted_against_true(path: Path, evaluation: Evaluation, target: str) -> None:
    """Scatter of a regression on the test rows."""
    figure = _figure(4.8, 4.5)
    axis = figure.subplots()
    both = np.concatenate([evaluation.truth, evaluation.prediction])
    low, high = both.min(), both.max()
    axis.plot([low, high], [low, high], color=GREY, linestyle=":", linewidth=1.2)
    axis.scatter(
        evaluation.truth, evaluation.prediction, s=18, color=BLUE, alpha=0.6, edgecolors="none"
    )
    axis.set_aspect("equal", adjustable="datalim")
    decorate(axis, f"true {target}", f"predicted {target}")
    axis.set_title(f"test rows: {len(evaluation.truth)}")
    _save(figure, path)


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: "Figure", path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    with atomic_writer(path) as file:
        canvas.print_figure(file, format="png", dpi=130)
