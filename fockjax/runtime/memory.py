"""How much memory there is, and how much of it is left."""

import re
from collections.abc import Sequence
from pathlib import Path

import psutil

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
    groups = text_of(root / "proc/self/cgroup") or ""
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
            limit, use = (text_of(folder / f"memory.{name}") for name in names)
            if limit and use and limit.strip().isdigit() and int(limit) < UNLIMITED:
                # The kernel takes back unused file pages when memory is short.
                stat = text_of(folder / "memory.stat") or ""
                idle = re.findall(r"^(?:total_)?inactive_file (\d+)$", stat, re.MULTILINE)
                yield max(int(limit) - int(use) + max(map(int, idle), default=0), 0)
            if folder == top:
                break


def text_of(path: Path) -> str | None:
    """What a file of the system says, None if it cannot be read."""
    try:
        return path.read_text()
    except OSError:
        return None
