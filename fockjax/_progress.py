"""How far some work is: a live bar on a terminal, and a line from time to time elsewhere."""

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

LINE_SECONDS = 30  # between two lines


class Steps:
    """Shows how many steps of some work are done.

    Args:
        console: where to show it.
        title: what is being done.
        unit: what the steps are.
        total: how many there are; None if that is not known.
        done: how many are done at the beginning.
        line_steps: print a line after so many steps; by default every 30 seconds.
        transient: whether the bar goes when all is done.

    Example:
        >>> with Steps(Console(), "counting", "sheep", total=3, line_steps=2) as steps:
        ...     for done in (1, 2, 3):
        ...         steps.show(done, "asleep" if done == 2 else "")
        counting: 2 of 3 sheep  asleep
    """

    def __init__(
        self,
        console: Console,
        title: str,
        unit: str,
        total: int | None = None,
        done: int = 0,
        *,
        line_steps: int | None = None,
        transient: bool = False,
    ):
        self._console, self._title, self._unit, self._total = console, title, unit, total
        self._line_steps, self._last = line_steps, time.monotonic()
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[count]}"),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=console,
            refresh_per_second=5,
            disable=not console.is_terminal,
            transient=transient,
        )
        self._task = self._bar.add_task(
            title, total=total, completed=done, count=self._count(done), note=""
        )

    def __enter__(self) -> "Steps":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, done: int, note: str = "") -> None:
        """Show how many steps are done, with a note."""
        self._bar.update(self._task, completed=done, count=self._count(done), note=note)
        if not self._console.is_terminal and self._due(done):
            self._last = time.monotonic()
            line = f"{self._title}: {self._count(done)}  {note}".rstrip()
            self._console.print(line, soft_wrap=True, highlight=False)

    def _due(self, done: int) -> bool:
        if self._line_steps is not None:
            return done % self._line_steps == 0
        return time.monotonic() - self._last >= LINE_SECONDS

    def _count(self, done: int) -> str:
        of = "" if self._total is None else f" of {self._total:,}"
        return f"{done:,}{of} {self._unit}"
