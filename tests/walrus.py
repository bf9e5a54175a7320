"""Functions of The Walrus that do not run without Numba's compiler, in a process of their own."""

import json
import os
import subprocess
import sys

import numpy as np

CODE = """
import json, sys
import numpy as np
from thewalrus import quantum
name, arrays, options = json.loads(sys.argv[1])
values = np.asarray(getattr(quantum, name)(*map(np.array, arrays), **options), complex)
print(json.dumps([values.real.tolist(), values.imag.tolist()]))
"""


def quantum(name, *arrays, **options):
    """`thewalrus.quantum.<name>` of arrays and options."""
    given = json.dumps([name, [np.asarray(array).tolist() for array in arrays], options])
    compiling = {**os.environ, "NUMBA_DISABLE_JIT": "0"}
    command = [sys.executable, "-c", CODE, given]
    printed = subprocess.run(command, env=compiling, check=True, capture_output=True, text=True)
    real, imaginary = np.array(json.loads(printed.stdout))
    return real + 1j * imaginary
