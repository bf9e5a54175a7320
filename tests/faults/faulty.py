"""A device that fails on command."""

import jax

from fockjax.runtime.gateway import Gateway


class FaultyDevice(Gateway):
    """Counts compilations, transfers, executions and fetches, and fails at the n-th.

    Args:
        kind: which of them: "compile", "put", "execute", "fetch"; or "any".
        at: which one fails, from 1; 0: none.
        status: what the error begins with.
        for_good: whether all that come after fail as well.
    """

    def __init__(self, kind="any", at=0, status="UNAVAILABLE", for_good=False):
        super().__init__()
        self.kind, self.at, self.status, self.for_good = kind, at, status, for_good
        self.calls = []

    def _called(self, kind):
        if self.kind not in (kind, "any"):
            return
        self.calls.append(kind)
        count = len(self.calls)
        if self.at and (count == self.at or self.for_good and count > self.at):
            raise jax.errors.JaxRuntimeError(f"{self.status}: fault {count} in {kind}")

    def compile(self, lowered):
        self._called("compile")
        return super().compile(lowered)

    def put(self, arrays, sharding):
        self._called("put")
        return super().put(arrays, sharding)

    def execute(self, program, *arguments):
        self._called("execute")
        return super().execute(program, *arguments)

    def fetch(self, arrays):
        self._called("fetch")
        return super().fetch(arrays)
