"""What can be read from a state: one kind of readout a file.

A readout is a method of the state. It is written by a few primitives of the state's independent
factors (`Part`), and so is the same for every kind of state that has them.

Expectation values are taken in the state as it is, of norm below one where the cutoff lost
something: like Strawberry Fields, nothing is renormalised. All are of one sample, batch by
`jax.vmap`, and differentiate in both directions. Called outside `jax.jit` each is compiled as one.
"""

from fockjax.readouts.factored import Moments as Moments
from fockjax.readouts.factored import Part as Part
from fockjax.readouts.phase_space import PhaseSpace
from fockjax.readouts.photons import PhotonNumbers
from fockjax.readouts.quadratures import Quadratures
from fockjax.readouts.sampling import Sampling
from fockjax.readouts.subsystems import Subsystems


class Readouts(PhotonNumbers, Quadratures, PhaseSpace, Subsystems, Sampling):
    """All readouts of a product of independent factors."""


__all__ = ["Moments", "Part", "Readouts"]
