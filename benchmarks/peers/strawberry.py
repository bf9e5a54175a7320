"""What the two engines of Strawberry Fields share: its import, and the program of a workload."""

import warnings

import scipy.integrate
from circuits import Workload

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    if not hasattr(scipy.integrate, "simps"):  # its old name, which SF 0.23 imports
        scipy.integrate.simps = scipy.integrate.simpson
    import strawberryfields as sf

GATES = {
    "displacement": sf.ops.Dgate,
    "squeezing": sf.ops.Sgate,
    "beamsplitter": sf.ops.BSgate,
    "rotation": sf.ops.Rgate,
    "kerr": sf.ops.Kgate,
}


def program_of(workload: Workload) -> sf.Program:
    """The circuit, its parameters free; `arguments` says their names."""
    program = sf.Program(workload.modes)
    with program.context as q:
        for kind, parameters, modes in workload.gates:
            values = [p if isinstance(p, float) else program.params(_name(p)) for p in parameters]
            _ = GATES[kind](*values) | [q[mode] for mode in modes]
    return program


def arguments(workload: Workload, weights, x) -> dict:
    """Values of the free parameters; `x` has the modes first."""
    arrays = {**weights, "x": x}
    entries = {p for g in workload.gates for p in g.parameters if not isinstance(p, float)}
    return {_name(p): arrays[p.name][p.index] for p in entries}


def _name(entry) -> str:
    return "_".join([entry.name.replace(".", "_"), *map(str, entry.index)])
