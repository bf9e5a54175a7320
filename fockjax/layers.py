"""Ready blocks of gates, added to a circuit."""

from fockjax import decompositions
from fockjax.builder import Builder
from fockjax.parameters import Weight, normal


def cvqnn_layer(circuit: Builder, name: str, active_std: float, passive_std: float) -> None:
    """One layer of Killoran et al.: interferometer, squeezers, interferometer, displacements, Kerr
    gates.
    """
    modes = circuit.modes

    def weight(part: str, size: int, stddev: float) -> Weight:
        return Weight(f"{name}.{part}", (size,), normal(stddev))

    def interferometer(number: int) -> None:
        """Beamsplitters in a rectangular mesh, then rotations of all modes but the last (of the
        only mode, if there is just one).
        """
        pairs = decompositions.pairs(modes)
        if pairs:
            theta = weight(f"interferometer{number}.theta", len(pairs), passive_std)
            phi = weight(f"interferometer{number}.phi", len(pairs), passive_std)
            for k, pair in enumerate(pairs):
                circuit.beamsplitter(theta[k], phi[k], modes=pair)
        rotations = max(modes - 1, 1)
        varphi = weight(f"interferometer{number}.rotation", rotations, passive_std)
        for mode in range(rotations):
            circuit.rotate(varphi[mode], mode=mode)

    interferometer(1)
    squeezing = weight("squeezing", modes, active_std)
    for mode in range(modes):
        circuit.squeeze(squeezing[mode], mode=mode)
    interferometer(2)
    r = weight("displacement.r", modes, active_std)
    phi = weight("displacement.phi", modes, passive_std)
    for mode in range(modes):
        circuit.displace(r[mode], phi[mode], mode=mode)
    kappa = weight("kerr", modes, active_std)
    for mode in range(modes):
        circuit.kerr(kappa[mode], mode=mode)
