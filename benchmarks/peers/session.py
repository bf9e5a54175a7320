"""A peer's script as a process that answers requests: the other end of `worker.serve`."""

import json
import subprocess
import tempfile
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from environments import Unavailable

LIMIT = 900  # seconds for an answer


class Session:
    """Raises `Unavailable`, with the last line of what the script says, when it ends or hangs.

    Args:
        python: the interpreter.
        script: the peer's script, of this folder unless absolute.
        arguments: of the script.
    """

    def __init__(self, python: Path, script: str, arguments: Iterable[str]):
        command = [str(python), str(Path(__file__).parent / script), *arguments, "--serve"]
        self._stderr = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
        )
        try:
            self.hello = self._answer()
        except Unavailable:
            self.close()
            raise

    def ask(self, operation: str, **request) -> dict:
        message = json.dumps({"operation": operation, **request})
        with suppress(BrokenPipeError):  # the missing answer says why
            print(message, file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict:
        timer = threading.Timer(LIMIT, self._process.kill)
        timer.start()
        line = self._process.stdout.readline()
        late = not timer.is_alive()
        timer.cancel()
        if line:
            return json.loads(line)
        if late:
            raise Unavailable(f"no answer within {LIMIT} s")
        self._stderr.seek(0)
        said = [line for line in self._stderr.read().splitlines() if line.strip()]
        raise Unavailable(said[-1] if said else f"ended with status {self._process.wait()}")

    def close(self) -> None:
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._stderr.close()
