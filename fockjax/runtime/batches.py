"""How many rows run at a time: as many as fit in memory."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import jax

from fockjax._advice import Advised
from fockjax.runtime.memory import show_size


class TooLarge(Advised, MemoryError):
    """One row needs more memory than there is."""


@dataclass(frozen=True)
class BatchPlan:
    """How many rows run at a time, and why.

    Attributes:
        batch: rows of the largest batch, on all devices together.
        devices: how many devices share it.
        bytes: what each device needs for its share.
        room: bytes available on each device.
        source: where ``bytes`` comes from: "the compiler", or "its trace".
    """

    batch: int
    devices: int
    bytes: float
    room: int
    source: str

    def __str__(self) -> str:
        per_row = self.bytes * self.devices / self.batch
        return (
            f"{self.batch} rows at a time: {show_size(self.bytes)} of {show_size(self.room)} "
            f"({show_size(per_row)} a row; from {self.source})"
        )


def make_plan(
    need: Callable[[int], tuple[float, str]],
    room: Callable[[], int],
    largest: int,
    devices: int = 1,
    why: Callable[[float], str] = lambda needed: "",
) -> BatchPlan:
    """The largest batch that fits.

    Args:
        need: called with rows on a device; returns the bytes they need there, and its source.
        room: returns the bytes available now. It is called each time, since compiling takes some.
        largest: the most rows to put on a device.
        devices: how many devices share the batch.
        why: called with the bytes that one row needs; returns why they do not fit, for the error.

    Raises:
        TooLarge: if one row on each device does not fit.
    """
    rows = largest
    needed, source = need(rows)
    if needed > room() and rows > 1:
        # Memory is nearly linear in the rows, so a second point tells where to look.
        small = min(16, rows // 2)
        least, _ = need(small)
        per_row = (needed - least) / (rows - small)
        fit = small + (room() - least) / per_row if per_row > 0 else 1.0
        rows = 2 ** int(math.log2(min(max(fit, 1.0), rows - 1)))
        needed, source = need(rows)
    while needed > room():
        if rows == 1:
            raise TooLarge(
                f"One row needs {show_size(needed)} (from {source}), but there is room for "
                f"{show_size(room())}{why(needed)}",
                "Give more memory, lower the cutoffs, or use fockjax.grouped if there are "
                "independent groups of modes.",
            )
        rows //= 2
        needed, source = need(rows)
    return BatchPlan(rows * devices, devices, needed, room(), source)


def compiled_bytes(program: jax.stages.Compiled, under_way: int = 2) -> float | None:
    """Bytes that a program needs: its temporaries, and arguments and results of all batches under
    way. None where the compiler does not say.
    """
    try:
        found = program.memory_analysis()
    except NotImplementedError:
        return None
    if found is None:
        return None
    kept = found.argument_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes
    return found.temp_size_in_bytes + under_way * kept
