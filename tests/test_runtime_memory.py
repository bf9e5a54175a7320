"""Sizes, limits, and the batch that fits."""

import jax
import pytest

from fockjax.runtime import memory
from fockjax.runtime.batches import TooLarge, make_plan


def test_sizes():
    assert memory.parse_size("0.5 kib") == 512
    assert memory.parse_size("3T") == 3 * 10**12
    assert memory.show_size(memory.parse_size("8GB")) == "8 GB"


@pytest.mark.parametrize("size", ["", "GB", "-1GB", "8 XB", "8GB of", 0, -5, True, None, 1.5])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(ValueError, match="8GB"):
        memory.parse_size(size)


def control_groups(root, groups: str, **files: str):
    files = {"proc/self/cgroup": groups, **files}
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name if not name.startswith("proc") else root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


V2 = {
    "memory.max": "max\n",
    "memory.current": "5000\n",
    "a/memory.max": "1000\n",
    "a/memory.current": "900\n",
    "a/memory.stat": "anon 100\ninactive_file 300\n",
    "a/b/memory.max": "max\n",
    "a/b/memory.current": "100\n",
}
V1 = {
    "memory/memory.limit_in_bytes": "9223372036854771712\n",
    "memory/memory.usage_in_bytes": "5000\n",
    "memory/a/memory.limit_in_bytes": "2000\n",
    "memory/a/memory.usage_in_bytes": "1500\n",
    "memory/a/memory.stat": "inactive_file 7\ntotal_inactive_file 100\n",
}


@pytest.mark.parametrize(
    ("groups", "files", "left"),
    [
        ("0::/a/b\n", V2, 400),  # the limit is that of the parent group
        ("9:name=systemd:/\n4:cpu,memory:/a\n0::/\n", V1, 600),
        # In a container the group is mounted as the top.
        ("0::/unknown\n", {"memory.max": "700\n", "memory.current": "600\n"}, 100),
        ("0::/\n", {"memory.max": "700\n", "memory.current": "800\n"}, 0),
    ],
)
def test_limits_of_control_groups_count(tmp_path, groups, files, left):
    assert memory.available_memory(control_groups(tmp_path, groups, **files)) == left


def test_without_a_limit_the_machine_counts(tmp_path):
    assert memory.available_memory(control_groups(tmp_path, "0::/a\n")) > 10**6


def test_room_is_what_is_not_in_use(monkeypatch):
    devices = jax.devices()[:1]
    monkeypatch.setattr(memory, "in_use", lambda device: 300)
    monkeypatch.setattr(memory, "available_memory", lambda: 5000)
    assert memory.room(None, devices) == 2500
    assert memory.room(1000, devices) == 700
    assert memory.room(10**9, devices) == 5000
    assert memory.room(100, devices) == 0
    assert memory.room(1000, devices * 2) == 350  # CPUs share one memory


def test_room_on_a_device_with_its_own_memory():
    class GPU:
        def __init__(self, used):
            self.used = used

        def memory_stats(self):
            return {"bytes_limit": 1000, "bytes_in_use": self.used}

    assert memory.room(None, [GPU(100), GPU(300)]) == 700
    assert memory.room(500, [GPU(100), GPU(300)]) == 200


def line(fixed, per_row):
    return lambda rows: (fixed + per_row * rows, "a line")


@pytest.mark.parametrize(
    ("room", "largest", "batch"),
    [(10**9, 1024, 1024), (1000 + 10 * 700, 1024, 512), (1010, 1024, 1), (10**9, 100, 100)],
)
def test_the_largest_batch_that_fits(room, largest, batch):
    plan = make_plan(line(1000, 10), lambda: room, largest)
    assert plan.batch == batch
    assert plan.bytes == 1000 + 10 * batch <= room
    shared = make_plan(line(1000, 10), lambda: room, largest, devices=4)
    assert shared.batch == 4 * batch and shared.bytes == plan.bytes


def test_a_row_that_does_not_fit_is_refused_with_the_sizes():
    with pytest.raises(TooLarge, match="One row needs 1.01 kB .* room for 999 B"):
        make_plan(line(1000, 10), lambda: 999, 1024)


def test_a_limit_that_the_process_itself_exceeds_is_told_with_the_least_one(monkeypatch):
    devices = jax.devices()[:1]
    monkeypatch.setattr(memory, "in_use", lambda device: 300_000_000)
    monkeypatch.setattr(memory, "available_memory", lambda: 10**12)
    for limit in (None, "310MB"):
        assert memory.shortfall(1000, limit, devices) == ""
    with pytest.raises(
        TooLarge,
        match="room for 0 B within the limit of 200 MB. The process itself uses 300 MB, so "
        "the limit must be at least 303 MB",
    ):
        make_plan(
            line(1000, 10),
            lambda: memory.room("200MB", devices),
            1024,
            why=lambda needed: memory.shortfall(needed, "200MB", devices),
        )


def test_one_row_at_a_time_needs_no_line():
    assert make_plan(line(0, 10), lambda: 10, 1).batch == 1


def test_what_compiling_takes_is_not_there_any_more():
    left = 10_000

    def need(rows):
        nonlocal left
        left -= 1000
        return 10.0 * rows, "a line"

    plan = make_plan(need, lambda: left, 1024)
    assert plan.batch == 512 and plan.room == 7000
