"""What every test here runs under, and the fixtures they share."""

import sys
from pathlib import Path

import hypothesis
import jax
import numpy as np
import pytest

# The benchmarks' HTTP client and servers are used here, too.
sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

# No deadline, since timings are never tested; derandomised, so that a failure comes back. Our
# fixtures only set a mode, which may safely stay the same from one example to the next.
hypothesis.settings.register_profile(
    "fockjax",
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
hypothesis.settings.load_profile("fockjax")


@pytest.fixture(autouse=True)
def strict_promotion(request):
    """Our code promotes neither dtypes nor ranks by accident, whatever the user's setting.

    Flax and Optax do; a test that runs them is marked `loose_promotion`.
    """
    if request.node.get_closest_marker("loose_promotion"):
        yield
    else:
        with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
            yield


@pytest.fixture
def x64():
    """Turns 64-bit types on for one test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(params=["complex64", "complex128"])
def dtype(request):
    """Runs a test in both precisions."""
    if request.param == "complex128":
        request.getfixturevalue("x64")
    return np.dtype(request.param)
