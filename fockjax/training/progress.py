"""Progress of a training run: a live line on a terminal, and a few plain lines elsewhere."""

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fockjax.training.data import Task
from fockjax.training.loop import EpochMetrics

PLAIN_LINES = 10  # per run, without a terminal


class TrainingProgress:
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
        self._console, self._title, self._samples = console, title, samples
        self._epochs, self._score = epochs, "accuracy" if task == "classification" else "R²"
        self._last_time: float | None = None
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(),
            console=console,
            refresh_per_second=5,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(title, total=epochs, completed=done, figures="compiling")

    def __enter__(self) -> "TrainingProgress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

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
        self._bar.update(self._task, completed=number, figures=text)
        if not self._console.is_terminal and number % max(1, self._epochs // PLAIN_LINES) == 0:
            line = f"{self._title}: epoch {number}/{self._epochs}  {text}"
            self._console.print(line, soft_wrap=True)
        return rate
