"""The benchmarks' client, protocol and servers, which the tests of faults use as well."""

import sys
from pathlib import Path

# At the end: `dense` is a module of the tests before it is one of the benchmarks.
sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
