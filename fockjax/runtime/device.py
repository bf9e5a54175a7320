"""The one way to the devices, so that what they do can be timed, and made to fail in tests."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

Hardware = Any  # a jax.Device, which type checkers do not take for a type


class Device:
    """Compiles, sends, runs and fetches.

    Attributes:
        seconds: what was spent on each: "trace", "compile", "transfer", "compute".
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
        """Launch a program, which sends what is not on the device yet, faster than `put` does; a
        device may fail later, when its results are fetched.
        """
        with self.clock("compute"):
            return program(*arguments)

    def fetch(self, arrays: Any) -> Any:
        """The results as NumPy arrays; waits for them."""
        with self.clock("compute"):
            jax.block_until_ready(arrays)
        with self.clock("transfer"):
            return jax.tree.map(np.asarray, arrays)  # jax.device_get, in less time if they are few
