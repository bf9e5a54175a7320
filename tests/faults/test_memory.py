"""Memory that is not there: found out before a run if one can know, and survived if not."""

import json
import subprocess
import sys

import jax
import numpy as np
import psutil
import pytest

import fockjax as fj
from fockjax.runtime import Runner, TooLarge, checked

EXHAUSTED = """
import json, resource, sys
import jax, jax.numpy as jnp, numpy as np, psutil
from fockjax.runtime import Runner, memory

def function(params, x):  # 512 kB a row
    return jnp.sin(params * jnp.cumsum(jnp.cumsum(x[:, None] * x, 0), 1) / 1000).mean(0)

x = np.random.default_rng(0).normal(size=(600, 256)).astype(np.float32)
expected = Runner(function, np.float32(2), largest_batch=4)(x).values
memory.available_memory = lambda: 10**12  # the system promises what it does not have
runner = Runner(function, np.float32(2), largest_batch=4096, memory="1TB")
planned = runner.plan(x).bytes
used = psutil.Process().memory_info().vms
resource.setrlimit(resource.RLIMIT_AS, (used + 300_000_000,) * 2)
results = runner(x)
recoveries = runner.record.recoveries
again = runner(x)
difference = max(float(np.abs(r.values - expected).max()) for r in (results, again))
print(json.dumps([planned, difference, recoveries]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a limit of the address space")
def test_memory_that_is_exhausted_in_earnest_halves_the_batch():
    done = subprocess.run([sys.executable, "-c", EXHAUSTED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    planned, difference, recoveries = json.loads(done.stdout)
    assert planned > 1e9 and difference < 1e-6
    assert sum(recovery.startswith("a batch of half the size") for recovery in recoveries) >= 2


@pytest.mark.slow
def test_a_state_that_cannot_fit_is_refused_with_the_sizes_before_it_is_made():
    """Six modes of 20 levels: 512 MB a state, of which tracing takes a few; the process may take
    20 MB more.
    """
    circuit = fj.Circuit(6)
    for mode in range(6):
        circuit.displace(fj.Input(mode), mode=mode)
    circuit.cvqnn_layers(1)

    def function(weights, x):
        return checked(circuit(weights, x, cutoff=20), fj.nn.quadratures)

    weights = circuit.init(jax.random.key(0))
    limit = psutil.Process().memory_info().rss + 20_000_000
    runner = Runner(function, weights, memory=limit)
    with pytest.raises(TooLarge, match="One row needs .* GB .*room for .* Give more memory"):
        runner(np.zeros((5, 6), np.float32))
    record = runner.record
    assert record is not None and not record.batches and runner.executables.compiled == 0
    assert record.memory["peak"] - record.memory["before"] < 20**6 * 8 / 4
