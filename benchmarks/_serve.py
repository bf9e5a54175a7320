"""The command line `fockjax`, its models having the reference circuit."""

import sys

from _served_model import use_reference_circuit

from fockjax.cli import main

if __name__ == "__main__":
    use_reference_circuit()
    sys.exit(main())
