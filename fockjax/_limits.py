"""How much memory one array of a sample may take."""

import numpy as np

from fockjax._advice import Advised

MEMORY_LIMIT = 8 * 2**30  # bytes, unless a call says otherwise


class OverLimit(Advised, ValueError):
    """A circuit or a readout would need more memory than it may take."""


def over_limit(what: str, size: int, dtype, limit: int, advice: str) -> OverLimit:
    """The error for an array that would take ``size`` bytes, where ``limit`` are allowed; ``what``
    says who would make it of what.
    """
    taken = f"{size:,} bytes a sample ({np.dtype(dtype).name})"
    return OverLimit(f"{what} of {taken}, over the limit of {limit:,} bytes", advice)
