"""Piquasso's `PureFockSimulator` with its `JaxConnector`, `jax.vmap` and `jax.jit`.

It truncates by the total photon number. <x> and <p> are read from its state vector: its own
`mean_position` leaves a conjugation out and is wrong for complex amplitudes.
"""

import jax
import jax.numpy as jnp
import numpy as np
import piquasso as pq
import worker
from circuits import Workload, bound_gates
from jax_peer import JaxPeer

GATES = {
    "displacement": pq.Displacement,
    "squeezing": pq.Squeezing,
    "beamsplitter": pq.Beamsplitter,
    "rotation": pq.Phaseshifter,
    "kerr": pq.Kerr,
}


def ladder(space: np.ndarray, mode: int, real: type) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """<a> of a mode is the sum of root * conj(state[lower]) * state[upper]."""
    position = {tuple(numbers): k for k, numbers in enumerate(space)}
    upper = np.flatnonzero(space[:, mode])
    below = space[upper] - np.eye(space.shape[1], dtype=int)[mode]
    lower = np.array([position[tuple(numbers)] for numbers in below])
    return np.sqrt(space[upper, mode]).astype(real), lower, upper


class Piquasso(JaxPeer):
    packages = ("piquasso", "jax")

    def __init__(self, workload: Workload):
        connector = pq.JaxConnector()
        jax.config.update("jax_enable_x64", workload.double)  # the connector turns it on
        simulator = pq.PureFockSimulator(
            d=workload.modes,
            config=pq.Config(cutoff=workload.cutoff, dtype=workload.real, validate=False),
            connector=connector,
        )
        vacuum = simulator.execute(pq.Program([pq.Vacuum()])).state
        space = np.array(list(vacuum.fock_probabilities_map))
        ladders = [ladder(space, mode, workload.real) for mode in range(workload.modes)]

        def one(weights, x):
            instructions = [pq.Vacuum()] + [
                GATES[kind](*values).on_modes(*modes)
                for kind, values, modes in bound_gates(workload.gates, weights, x)
            ]
            state = simulator.execute(pq.Program(instructions)).state.state_vector
            means = jnp.stack(
                [
                    jnp.sum(root * state[lower].conj() * state[upper])
                    for root, lower, upper in ladders
                ]
            )
            return 2 * jnp.concatenate([means.real, means.imag])

        super().__init__(workload, one)


if __name__ == "__main__":
    worker.main(Piquasso)
