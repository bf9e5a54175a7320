"""Progress of a training run."""

import time

from rich.console import Console

from fockjax._progress import Steps
from fockjax.training.data import Task
from fockjax.training.loop import EpochMetrics

LINES = 10  # per run, without a terminal


class TrainingProgress(Steps):
    """Shows loss, score, samples per second and leakage of the last finished epoch.

    Args:
        console: where to show it.
        title: what is being trained.
        task: decides the name of the score.
        epochs: most epochs.
        samples: training samples per epoch.
        done: epochs already done, if the run is resumed.
    """

    def __init__(
        self, console: Console, title: str, task: Task, epochs: int, samples: int, done: int = 0
    ):
        super().__init__(console, title, "epochs", epochs, done, line_steps=max(1, epochs // LINES))
        self._samples, self._score = samples, "accuracy" if task == "classification" else "R²"
        self._last_time: float | None = None

    def epoch(self, number: int, metrics: EpochMetrics) -> float | None:
        """Show an epoch; returns samples per second since the one before (None for the first)."""
        now = time.perf_counter()
        rate = None if self._last_time is None else self._samples / (now - self._last_time)
        self._last_time = now
        text = (
            f"loss {metrics.loss:.4f}  {self._score} {metrics.score:.3f}  "
            f"validation {metrics.val_loss:.4f} / {metrics.val_score:.3f}  "
            f"leakage {max(metrics.val_leakage, 0):.2%}"
        )
        if rate is not None:
            text += f"  {rate:,.0f} samples/s"
        if metrics.skipped:
            text += f"  [yellow]{metrics.skipped:.0f} steps skipped[/]"
        self.show(number, text)
        return rate
