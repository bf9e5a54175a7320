"""`benchmarks/peers/` without its peers: made-up ones stand in for them."""

import importlib
import subprocess
import sys
from pathlib import Path

import jax
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks" / "peers"
SCRIPT = """'A stand-in'
import numpy as np, worker
class Peer:
    packages, samples, operations = ("numpy",), {samples}, ("forward", "gradient")
    array = staticmethod(np.asarray)
    def __init__(self, workload): pass
    def forward(self, weights, inputs):
        print("a word that is no answer")
        return {readouts}
    def gradient(self, weights, inputs, targets):
        return np.float32(1.0), weights
worker.main(Peer)
"""
SUM = "np.concatenate([inputs, inputs], -1)"


@pytest.fixture
def load(monkeypatch):
    """Imports a module of the folder, which the scripts have on their path."""
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.setenv("PYTHONPATH", str(FOLDER))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == FOLDER:
            del sys.modules[name]


@pytest.mark.slow
def test_peers_that_fail_or_disagree_have_rows_that_say_so(load, tmp_path, monkeypatch):
    run, peers, table = load("run"), load("peers"), load("table")
    stand_ins = {
        "fockjax": (None, SUM),
        "good": (None, SUM),
        "few": (2, SUM),
        "wrong": (None, f"1e-3 + {SUM}"),
        "broken": (None, "inputs.no_such_method()"),
        "absent": (None, SUM),
    }
    entries = {}
    for name, (samples, readouts) in stand_ins.items():
        script = tmp_path / f"{name}.py"
        script.write_text(SCRIPT.format(samples=samples, readouts=readouts))
        entries[name] = peers.Peer(name, str(script))
    entries["absent"] = peers.Peer("absent", "absent.py", requirements=("no-such-package",))

    def interpreter(name, requirements):
        raise run.Unavailable("no network")

    monkeypatch.setattr(run, "PEERS", entries)
    monkeypatch.setattr(run, "interpreter", interpreter)
    monkeypatch.setattr(run, "TURN", 0.001)
    workload = load("circuits").WORKLOADS["cvqnn10"]
    rows = run.compare("cvqnn10", workload, [n for n in entries if n != "fockjax"], rounds=2)
    assert {row.peer.label: row.failure for row in rows} == {
        "fockjax": "",
        "good": "",
        "few": "",
        "wrong": "its forward is 1.0e-03 off fockjax's",
        "broken": "AttributeError: 'numpy.ndarray' object has no attribute 'no_such_method'",
        "absent": "no network",
    }
    lines = table.table({"title": rows}).splitlines()
    assert {line.count("|") for line in lines} == {len(table.HEADER) + 1}
    assert lines[2].startswith("| **title** |")
    assert "| absent | not measured: no network |" in lines[-1]
    assert lines[5].startswith("| few, 2 samples, scaled |")


def test_what_the_table_says(load):
    table = load("table")
    assert table.span([0.0123456, 0.01, 0.02]) == "0.0123 (0.0100 to 0.0200)"
    assert table.span([1234.5, 980.0, 2000.0]) == "1234 (980 to 2000)"
    timing = table.Timing
    peer = load("peers").Peer("peer", "peer.py")
    ours = table.Row(peer, timings={"forward": timing(1.0, 5, [0.001, 0.002, 0.003], 5.5)}, lost=0)
    theirs = table.Row(peer, timings={"forward": timing(2.0, 1, [0.5], 7.0)}, lost=3e-4)
    assert table.cells(theirs, ours) == [
        *["500 (500 to 500)", "250", "-", "-", "2.0", "7.0", "3e-04"],
    ]


def test_an_environment_is_remade_when_its_requirements_change(load, tmp_path, monkeypatch):
    environments = load("environments")
    calls = []

    def call(command, **_):
        calls.append(command)
        (tmp_path / "peer").mkdir(exist_ok=True)
        return subprocess.CompletedProcess(command, "bad==1" in command, "", "ERROR: no bad==1")

    monkeypatch.setattr(environments.subprocess, "run", call)
    for requirements in (("good==1",), ("good==1",), ("good==2",)):
        environments.interpreter("peer", requirements, tmp_path)
    assert [command[-1] for command in calls if "pip" in command] == ["good==1", "good==2"]
    for _ in range(2):  # what failed is tried anew
        with pytest.raises(environments.Unavailable, match="peer cannot be .*: ERROR: no bad==1"):
            environments.interpreter("peer", ("bad==1",), tmp_path)
    said = "ERROR: no version satisfies bad==1 (from versions: none)\nERROR: No match for bad==1"
    assert "no network" in environments.why(said)


def test_the_circuits_are_those_of_fockjax(load):
    """The weights by name and shape; that the circuits agree is checked whenever they run."""
    workloads, circuit_of = load("circuits").WORKLOADS, load("with_fockjax").circuit_of
    for workload in workloads.values():
        circuit = circuit_of(workload)
        weights = jax.eval_shape(circuit.init, jax.random.key(0))
        assert {k: w.shape for k, w in weights.items()} == {
            k: w.shape for k, w in workload.data().weights.items()
        }
        assert circuit.num_inputs == workload.modes
