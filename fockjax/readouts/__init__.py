"""Readouts: what can be read from a state, one kind in each file.

A readout is a method of the state. It is written in terms of a few primitives of the state's
independent factors (`fockjax.factors.Factor`), so that it works for every layout that has these.

Expectation values are taken in the state as it is, whose norm is below one if the cutoff lost
something: as in Strawberry Fields, nothing is renormalised. All readouts are of one sample, are
batched by `jax.vmap`, and can be differentiated in forward and in reverse mode. Called outside
`jax.jit`, each is compiled as one program.
"""

from fockjax.readouts.factored import Moments as Moments
from fockjax.readouts.observables import Observables
from fockjax.readouts.phase_space import PhaseSpace
from fockjax.readouts.photons import PhotonNumbers
from fockjax.readouts.quadratures import Quadratures
from fockjax.readouts.sampling import Sampling
from fockjax.readouts.subsystems import Subsystems


class Readouts(PhotonNumbers, Quadratures, PhaseSpace, Observables, Subsystems, Sampling):
    """All readouts of a product of independent factors."""


__all__ = ["Moments", "Readouts"]
