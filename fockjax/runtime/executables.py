"""A cache of compiled programs in memory, and how to keep them on disk."""

import hashlib
import secrets
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import jax

from fockjax._given import checked_integer
from fockjax.runtime.gateway import Device, Gateway

CONSTANT_ARGUMENT = "jax.const = true"  # with JAX_USE_SIMPLIFIED_JAXPR_CONSTANTS


class Executables:
    """Compiled programs, by their text and their devices; the least recently used leave first.

    A program's text holds the circuit, the cutoffs, the size of the batch, the types and every
    constant. So programs of the same text are the same, and a changed circuit gives another text.
    (Where JAX takes constants out of it, the program is not shared.) Runners and threads may share
    one of these.

    Args:
        capacity: how many programs are kept.

    Attributes:
        compiled, found: how often a program was compiled, and how often it was here already.
        compile_seconds: the time spent compiling, or loading from the folder of `keep_compiled`.
    """

    def __init__(self, capacity: int = 64):
        self.capacity = checked_integer(capacity, "Argument `capacity`")
        self.compiled = self.found = 0
        self.compile_seconds = 0.0
        self._programs: OrderedDict[str, jax.stages.Compiled] = OrderedDict()
        self._lock, self._compiling = threading.Lock(), threading.Lock()

    def __len__(self) -> int:
        return len(self._programs)

    def __contains__(self, name: str | None) -> bool:
        return name in self._programs

    def __str__(self) -> str:
        return (
            f"{len(self)} programs of at most {self.capacity}: {self.compiled} compiled in "
            f"{self.compile_seconds:.1f} s, {self.found} found"
        )

    def find(self, name: str | None) -> jax.stages.Compiled | None:
        """The program of this name, or None."""
        with self._lock:
            program = self._programs.get(name) if name else None
            if name and program is not None:
                self.found += 1
                self._programs.move_to_end(name)
            return program

    def compile(
        self, lowered: jax.stages.Lowered, devices: Sequence[Device], gateway: Gateway
    ) -> tuple[str, jax.stages.Compiled]:
        """The name of a program, and the program itself: kept from before, or compiled now."""
        text = f"{devices}\n{lowered.as_text()}"
        if CONSTANT_ARGUMENT in text:
            text += secrets.token_hex()
        name = hashlib.sha256(text.encode()).hexdigest()
        with self._compiling:  # so that no two threads compile the same
            program = self.find(name)
            if program is None:
                before = gateway.seconds["compile"]
                program = gateway.compile(lowered)
                with self._lock:
                    self.compiled += 1
                    self.compile_seconds += gateway.seconds["compile"] - before
                    self._programs[name] = program
                    while len(self._programs) > self.capacity:
                        self._programs.popitem(last=False)
        return name, program

    def clear(self) -> None:
        """Let go of all programs."""
        with self._lock:
            self._programs.clear()


def keep_compiled(folder: Path | str) -> None:
    """Keep whatever JAX compiles in this process in a folder, for later processes.

    The same as::

        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

    JAX runs what it finds in the folder, so only you may be able to write there. A damaged entry or
    a folder that cannot be written costs a warning and a compilation each time. Where JAX
    compresses with zstandard, damage goes unnoticed: see docs/faults.md.
    """
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
