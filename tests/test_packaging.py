"""What `import fockjax` gives, and what it must not load."""

import json
import subprocess
import sys

import pytest

import fockjax as fj

HEAVY = {"matplotlib", "numba", "pyarrow", "sklearn", "strawberryfields", "sympy", "thewalrus"}

PUBLIC = {
    "Circuit",
    "Cost",
    "Estimate",
    "Input",
    "Inspection",
    "Machine",
    "Moments",
    "Outcome",
    "State",
    "TotalPhotons",
    "Weight",
    "apply",
    "calibrate",
    "channels",
    "checks",
    "cost",
    "decompositions",
    "detectors",
    "from_density_matrix",
    "from_ket",
    "from_strawberryfields",
    "gates",
    "grouped",
    "inspect",
    "kets",
    "metric_tensor",
    "mixed",
    "monte_carlo",
    "nn",
    "plotting",
    "quantum_fisher",
    "runtime",
    "to_strawberryfields",
    "vacuum",
}


def modules_after(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after a statement."""
    code = f"import json, sys; {statement}; print(json.dumps(list(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return {name.partition(".")[0] for name in json.loads(run.stdout)}


def test_import_loads_no_heavy_library():
    loaded = modules_after("import fockjax")
    assert "fockjax" in loaded
    assert not loaded & HEAVY


def test_heavy_libraries_would_be_seen():
    assert "matplotlib" in modules_after("import matplotlib")


def test_import_changes_no_jax_setting():
    code = (
        "import jax; before = dict(jax.config.values); import fockjax; "
        "assert before == dict(jax.config.values)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names():
    others = {name for name in vars(fj) if not name.startswith("_")} - PUBLIC
    assert set(fj.__all__) == PUBLIC
    assert all(hasattr(fj, name) for name in PUBLIC)
    assert all(f"fockjax.{name}" in sys.modules or name == "version" for name in others)


@pytest.mark.parametrize("cutoff", [0, -1, 2.5, True, (3, 0), None])
@pytest.mark.parametrize("family", [fj.gates, fj.kets, fj.mixed, fj.channels, fj.detectors])
def test_every_kernel_refuses_what_is_no_cutoff(family, cutoff):
    """First of all, whatever its parameters."""
    for name in family.REGISTRY:
        with pytest.raises((TypeError, ValueError), match="`cutoff` must be an integer >= 1"):
            getattr(family, name)(cutoff=cutoff)
