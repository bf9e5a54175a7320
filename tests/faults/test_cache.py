"""JAX's compilation cache on disk, damaged or not to be written: a warning, and it is compiled.

The cache of a process is what it found first, so each case is a process of its own.
"""

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

RUN = """
import json, os, resource, sys, warnings
import jax, jax.numpy as jnp, numpy as np
from fockjax.runtime import Runner, keep_compiled

folder, fault = sys.argv[1:]
if fault == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # the rest of a file is refused
if fault == "read-only" and os.geteuid() == 0:
    os.seteuid(65534)  # root could write
keep_compiled(folder)
events = []
jax.monitoring.register_event_listener(lambda name, **_: events.append(name))
x = np.linspace(0, 1, 10, dtype=np.float32)[:, None]
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    results = Runner(lambda _, x: jnp.sin(x), None, largest_batch=4)(x)
found = sum(name.endswith("cache_hits") for name in events)
error = float(np.abs(results.values - np.sin(x)).max())
print(json.dumps([error, found, [str(warning.message) for warning in said]]))
"""


def run(folder, fault=""):
    """How often a program was found in the folder, and the warnings; the results are right."""
    command = [sys.executable, "-c", RUN, str(folder), fault]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    error, found, said = json.loads(done.stdout)
    assert error < 1e-6
    return found, said


@pytest.fixture(scope="module")
def kept():
    """A folder, for all users to see as pytest's own are not, and the entries that one run makes.

    The names of entries depend on where the folder is.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        assert run(folder) == (0, [])
        yield folder, {path: path.read_bytes() for path in folder.glob("*-cache")}


@pytest.fixture
def fill(kept):
    """Puts these entries into the folder, each through a function; returns folder and number."""
    folder, entries = kept

    def filled(change=lambda content: content):
        for path, content in entries.items():
            path.write_bytes(change(content))
        return folder, len(entries)

    yield filled
    folder.chmod(0o755)
    for path in folder.iterdir():
        path.unlink()


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


# JAX compresses by zlib, which checks what it reads; by zstandard where there is one, without.
UNCHECKED = importlib.util.find_spec("zstandard") or sys.version_info >= (3, 14)
DAMAGES = {
    "cut short": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "no entry at all": lambda content: b"junk" * 100,
    "a bit flipped": pytest.param(
        flipped, marks=pytest.mark.skipif(bool(UNCHECKED), reason="zstandard does not check")
    ),
}


def test_entries_that_are_whole_are_found(fill):
    folder, programs = fill()
    assert programs > 0 and run(folder) == (programs, [])


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_entry_costs_a_warning_and_a_compilation(fill, damage):
    folder, programs = fill(damage)
    found, said = run(folder)
    assert found == 0 and len(said) == programs
    assert all("Error reading persistent compilation cache" in line for line in said)


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of folders")
def test_a_folder_that_cannot_be_written_is_used_and_costs_a_warning(fill):
    folder, programs = fill()
    folder.chmod(0o555)
    assert run(folder, "read-only") == (programs, [])
    for path in folder.iterdir():
        path.unlink()
    found, said = run(folder, "read-only")
    assert found == 0 and len(said) == programs
    assert all("Permission denied" in line for line in said)


@pytest.mark.skipif(sys.platform == "win32", reason="limits of files")
def test_a_full_disk_costs_warnings_until_the_halves_are_removed(tmp_path):
    found, said = run(tmp_path, "full")
    assert found == 0 and said and all("Error writing persistent" in line for line in said)
    found, said = run(tmp_path)
    halves = list(tmp_path.glob("*-cache"))
    assert found == 0 and len(said) == len(halves)  # JAX does not replace an entry
    for entry in halves:
        entry.unlink()
    assert run(tmp_path) == (0, []) and run(tmp_path) == (len(halves), [])


def test_a_file_in_place_of_the_folder_costs_a_warning(tmp_path):
    place = tmp_path / "cache"
    place.write_text("not a folder")
    found, said = run(place)
    assert found == 0 and any("File exists" in line for line in said)
    assert place.read_text() == "not a folder"
