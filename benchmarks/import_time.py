"""What `import fockjax` adds to importing jax and flax: the best of several fresh interpreters.

python benchmarks/import_time.py [--runs 7]
"""

import argparse
import subprocess
import sys

CODE = """
import time
import jax, jax.numpy, flax.nnx
start = time.perf_counter()
import fockjax
print(time.perf_counter() - start)
"""

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=7)
    runs = sorted(
        float(subprocess.check_output([sys.executable, "-c", CODE], text=True))
        for _ in range(parser.parse_args().runs)
    )
    print(f"import fockjax after jax and flax: {runs[0]:.3f} s (bar 0.3 s; slowest {runs[-1]:.3f})")
