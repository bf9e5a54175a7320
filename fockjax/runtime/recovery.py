"""What may help after a failure, and the error of a run that could not be completed."""

import enum
import time
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from fockjax.runtime.batches import TooLarge


class Remedy(enum.Enum):
    """What may help after a failure."""

    SMALLER_BATCH = "a batch of half the size"
    RETRY = "another try"
    NONE = "nothing"


# What XLA says when it gets no memory. The second comes from its library for matrix products on a
# CPU, which says no more than that (JAX 0.12).
EXHAUSTED = ("RESOURCE_EXHAUSTED", "YNNPACK operation failed")
# An error of XLA begins with its status. With other ones (INVALID_ARGUMENT, UNIMPLEMENTED, ..) it
# would fail again.
TRANSIENT = ("UNAVAILABLE", "ABORTED", "CANCELLED", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN")


def remedy(error: Exception) -> Remedy:
    """What may help after this error.

    >>> remedy(jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")).value
    'a batch of half the size'
    >>> remedy(jax.errors.JaxRuntimeError("INTERNAL: YNNPACK operation failed")).value
    'a batch of half the size'
    >>> remedy(ValueError("no")).value
    'nothing'
    """
    if isinstance(error, MemoryError) and not isinstance(error, TooLarge):
        return Remedy.SMALLER_BATCH
    if isinstance(error, jax.errors.JaxRuntimeError):
        if any(words in str(error) for words in EXHAUSTED):
            return Remedy.SMALLER_BATCH
        if str(error).startswith(TRANSIENT):
            return Remedy.RETRY
    return Remedy.NONE


@dataclass(frozen=True)
class Patience:
    """How often to try again, and how long to wait before that.

    Attributes:
        retries: how many further tries there are; the count starts anew when a batch succeeds.
        delay: seconds before the first of them; each further one waits twice as long.
    """

    retries: int = 3
    delay: float = 0.1

    def wait(self, attempt: int) -> bool:
        """Wait before retry number ``attempt``, from 1; returns False at once if none is left."""
        if attempt > self.retries:
            return False
        time.sleep(self.delay * 2 ** (attempt - 1))
        return True


class RunError(RuntimeError):
    """A run that could not be completed.

    Attributes:
        results: the `Results` of the rows that are finished, in order, or None if there are none.
            Of a stream, these are the rows of the current chunk.
        missing: the numbers of the other rows, from 0. Of a stream, counted from its first row.
    """

    def __init__(self, message: str, results: Any, missing: np.ndarray):
        super().__init__(message)
        self.results, self.missing = results, missing
