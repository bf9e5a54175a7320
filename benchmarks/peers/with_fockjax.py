"""fockjax, through its public call of one sample, `jax.vmap` and `jax.jit`."""

import worker
from circuits import Entry, Workload
from jax_peer import JaxPeer

import fockjax as fj

METHODS = {"displacement": "displace", "squeezing": "squeeze", "beamsplitter": "beamsplitter"}


def circuit_of(workload: Workload) -> fj.Circuit:
    circuit = fj.Circuit(workload.modes)
    if "cvqnn.kerr" in workload.weights:
        for mode in range(workload.modes):
            circuit.displace(fj.Input(mode), mode=mode)
        return circuit.cvqnn_layers(workload.weights["cvqnn.kerr"].shape[0])

    weights = {name: fj.Weight(name, array.shape) for name, array in workload.weights.items()}

    def parameter(entry: Entry | float):
        if isinstance(entry, float):
            return entry
        return fj.Input(*entry.index) if entry.name == "x" else weights[entry.name][entry.index]

    for kind, parameters, modes in workload.gates:
        where = {"mode": modes[0]} if len(modes) == 1 else {"modes": modes}
        getattr(circuit, METHODS[kind])(*map(parameter, parameters), **where)
    return circuit


class Fockjax(JaxPeer):
    packages = ("fockjax", "jax")

    def __init__(self, workload: Workload):
        circuit, cutoff = circuit_of(workload), self.truncation(workload.cutoff)
        super().__init__(
            workload, lambda weights, x: fj.nn.quadratures(circuit(weights, x, cutoff=cutoff))
        )

    @staticmethod
    def truncation(cutoff: int) -> int | fj.TotalPhotons:
        return cutoff


if __name__ == "__main__":
    worker.main(Fockjax)
