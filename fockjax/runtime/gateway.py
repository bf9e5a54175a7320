"""The only code that calls devices, so that this can be timed, and made to fail in tests."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

Device = Any  # a jax.Device, which type checkers do not take for a type


class Gateway:
    """What a runner asks of its devices: to compile, to take data, to run and to return results.

    Attributes:
        seconds: the time spent on "trace", "compile", "transfer" and "compute".
    """

    def __init__(self):
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def clock(self, what: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[what] += time.perf_counter() - start

    def compile(self, lowered: jax.stages.Lowered) -> jax.stages.Compiled:
        with self.clock("compile"):
            return lowered.compile()

    def put(self, arrays: Any, sharding: jax.sharding.Sharding) -> Any:
        with self.clock("transfer"):
            return jax.device_put(arrays, sharding)

    def execute(self, program: jax.stages.Compiled, *arguments: Any) -> Any:
        """Launch a program.

        Arguments that are not on the device yet are sent with it, which is faster than `put`. If
        the device fails, this may show only when the results are fetched.
        """
        with self.clock("compute"):
            return program(*arguments)

    def fetch(self, arrays: Any) -> Any:
        """Wait for results and return them as NumPy arrays."""
        with self.clock("compute"):
            jax.block_until_ready(arrays)
        with self.clock("transfer"):
            return jax.tree.map(np.asarray, arrays)  # of few, faster than jax.device_get
