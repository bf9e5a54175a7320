"""A virtual environment for each peer, under .venv/peers/, remade only when what it is to hold
changes.
"""

import platform
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / ".venv" / "peers"


class Unavailable(Exception):
    """A peer that cannot run, and why."""


def interpreter(name: str, requirements: tuple[str, ...], folder: Path = FOLDER) -> Path:
    """The Python of the peer's environment, with its requirements installed."""
    home = folder / name
    python, stamp = home / "bin" / "python", home / "installed"
    wanted = "\n".join([platform.python_version(), *requirements])
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"Making {home} with {', '.join(requirements)}", file=sys.stderr)
        _call(name, [sys.executable, "-m", "venv", "--clear", str(home)])
        _call(name, [str(python), "-m", "pip", "install", "--quiet", *requirements])
        stamp.write_text(wanted)
    return python


def _call(name: str, command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = why(done.stdout + done.stderr)
        raise Unavailable(
            f"{name} cannot be installed on Python {platform.python_version()}: {reason}"
        )


def why(output: str) -> str:
    """What pip or venv say, in a line."""
    if "(from versions: none)" in output:
        return "pip finds no index that has its packages (no network?)"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["no reason given"])[-1]
