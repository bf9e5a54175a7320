"""The command `fockjax` as a process; `python -m fockjax` is the same."""

import os
import signal
import sys


def main() -> int:
    """Run the command and return its exit code. SIGTERM ends it as Ctrl-C does: as process 1 of a
    container it would be ignored otherwise. (A server that is ready handles both itself.)
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        from fockjax.cli import main as run  # which takes seconds

        try:
            return run()
        finally:  # what is buffered, as nothing could catch an error at the exit
            sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read, as `head` does, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main())
