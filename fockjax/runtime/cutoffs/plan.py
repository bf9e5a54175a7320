"""What the planners return: a truncation, and larger ones for samples that lose more there."""

from dataclasses import dataclass

from fockjax.layout import TotalPhotons

Truncation = tuple[int, ...] | TotalPhotons  # a cutoff for each mode, or a bound on all photons


@dataclass(frozen=True, eq=False)
class Plan:
    """A planned truncation. Printing a plan shows why it is so.

    Attributes:
        tolerance: the probability that a sample may lose.
        rungs: the truncation, then larger ones up to the maximum, for samples that lose more.
    """

    tolerance: float
    rungs: tuple[Truncation, ...]

    @property
    def truncation(self) -> Truncation:
        """What to give for ``cutoff``: the first of ``rungs``."""
        return self.rungs[0]
