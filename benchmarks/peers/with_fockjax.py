"""fockjax, through its public call of one sample, `jax.vmap` and `jax.jit`; complex64."""

import jax
import jax.numpy as jnp
import worker
from circuits import Entry, Workload

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


class Fockjax:
    packages = ("fockjax", "jax")
    samples = None
    operations = ("forward", "gradient")
    array = staticmethod(jnp.asarray)

    def __init__(self, workload: Workload):
        circuit = circuit_of(workload)

        def forward(weights, inputs):
            return jax.vmap(
                lambda x: fj.nn.quadratures(circuit(weights, x, cutoff=workload.cutoff))
            )(inputs)

        def loss(weights, inputs, targets):
            return jnp.mean(jnp.sum((forward(weights, inputs) - targets) ** 2, -1))

        self._forward, self._gradient = jax.jit(forward), jax.jit(jax.value_and_grad(loss))

    def forward(self, weights, inputs):
        return jax.block_until_ready(self._forward(weights, inputs))

    def gradient(self, weights, inputs, targets):
        return jax.block_until_ready(self._gradient(weights, inputs, targets))


if __name__ == "__main__":
    worker.main(Fockjax)
