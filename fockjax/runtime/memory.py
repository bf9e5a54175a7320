"""How much memory there is, how much a batch needs, and how many rows fit."""

import contextlib
import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import psutil

from fockjax._advice import Advised
from fockjax.runtime.gateway import Device

SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kKmMgGtT]?)(i?)[bB]?\s*")
UNLIMITED = 1 << 60  # cgroup v1 writes "no limit" as a huge number


def parse_size(size: int | str) -> int:
    """Bytes of a text such as "8GB", "1.5 GiB" or "500M", or of a number.

    Raises:
        ValueError: for anything else, and for no bytes.

    >>> parse_size("8GB"), parse_size("1.5 GiB"), parse_size(1000)
    (8000000000, 1610612736, 1000)
    """
    if isinstance(size, int) and not isinstance(size, bool):
        found = size
    else:
        match = SIZE.fullmatch(size) if isinstance(size, str) else None
        number, prefix, binary = match.groups() if match else ("0", "", "")
        found = int(
            float(number) * (1024 if binary else 1000) ** " KMGT".index(prefix.upper() or " ")
        )
    if found <= 0:
        raise ValueError(
            f"A size of memory must be a number of bytes or like '8GB' or '500MiB', got {size!r}."
        )
    return found


def show_size(size: float) -> str:
    """A number of bytes for people, with three digits.

    >>> show_size(1536), show_size(8.2e9)
    ('1.5 kB', '8.2 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def in_use(device: Device) -> int:
    """Bytes in use: on the device, or by this process if the device is a CPU."""
    stats = device.memory_stats()
    return psutil.Process().memory_info().rss if stats is None else stats["bytes_in_use"]


def free(device: Device) -> int:
    """Bytes that are not in use."""
    stats = device.memory_stats()
    return available_memory() if stats is None else stats["bytes_limit"] - stats["bytes_in_use"]


class Watch:
    """Measures time from its creation on, and the memory of a device if one is given.

    Asking for memory takes up to 0.7 ms.
    """

    def __init__(self, device: Device | None):
        self._device, self._start = device, time.perf_counter()
        if device is None:
            return
        self._before = in_use(device)
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # Linux: resets the peak (VmHWM)

    def seconds(self) -> float:
        return time.perf_counter() - self._start

    def memory(self) -> dict[str, int]:
        """Bytes in use "before", at the "peak" and "after".

        Where the system cannot reset the peak, it is that of the whole process so far.
        """
        if self._device is None:
            return {}
        stats, after = self._device.memory_stats(), in_use(self._device)
        if stats is not None:
            peak = stats["peak_bytes_in_use"]
        else:
            mark = re.search(r"VmHWM:\s*(\d+) kB", _text(Path("/proc/self/status")) or "")
            peak = int(mark[1]) * 1024 if mark else after
        return {"before": self._before, "peak": max(peak, after), "after": after}


def room(memory: int | str | None, devices: Sequence[Device]) -> int:
    """Bytes that a run may take on each device, beyond those in use now.

    Args:
        memory: bytes that may be in use on each device (CPUs share one memory), those in use now
            included. By default all that a GPU has; on a CPU what is in use plus half of what is
            available.
    """
    stats = devices[0].memory_stats()
    if stats is None:
        left = available_memory()
        left = left // 2 if memory is None else min(parse_size(memory) - in_use(devices[0]), left)
        return max(left, 0) // len(devices)
    limit = min(device.memory_stats()["bytes_limit"] for device in devices)
    limit = limit if memory is None else min(parse_size(memory), limit)
    return max(limit - max(map(in_use, devices)), 0)


def shortfall(needed: float, memory: int | str | None, devices: Sequence[Device]) -> str:
    """The end of a message, if the limit `memory` leaves no room for `needed` bytes on each device
    because of what is in use; else "".
    """
    used = max(map(in_use, devices))
    shared = devices[0].memory_stats() is None
    least = used + needed * (len(devices) if shared else 1)
    if memory is None or least <= parse_size(memory):
        return ""
    user = "The process itself uses" if shared else "The device already holds"
    return (
        f" within the limit of {show_size(parse_size(memory))}. {user} {show_size(used)}, so the "
        f"limit must be at least {show_size(1.01 * least)} (compiling takes more)"
    )


def available_memory(root: Path = Path("/")) -> int:
    """Bytes this process may still take, from the machine and within its control groups."""
    return min([psutil.virtual_memory().available, *_left_in_groups(root)])


def _left_in_groups(root: Path):
    """Limit minus use of each control group (v1 or v2) that has a limit, from our own upwards."""
    groups = _text(root / "proc/self/cgroup") or ""
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            top, names = root / "sys/fs/cgroup/memory", ("limit_in_bytes", "usage_in_bytes")
        elif not controllers:
            top, names = root / "sys/fs/cgroup", ("max", "current")
        else:
            continue
        # In a container its own group is often mounted as the top, where the path does not exist.
        group = top / path.lstrip("/")
        for folder in [group, *group.parents]:
            limit, use = (_text(folder / f"memory.{name}") for name in names)
            if limit and use and limit.strip().isdigit() and int(limit) < UNLIMITED:
                # The kernel takes back unused file pages when memory is short.
                stat = _text(folder / "memory.stat") or ""
                idle = re.findall(r"^(?:total_)?inactive_file (\d+)$", stat, re.MULTILINE)
                yield max(int(limit) - int(use) + max(map(int, idle), default=0), 0)
            if folder == top:
                break


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None


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
