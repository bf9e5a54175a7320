"""fockjax: Fock-basis simulation of photonic circuits in JAX.

`Circuit`, `Weight` and `Input` build circuits, whose calls return a `State` to read.
`fockjax.gates`, `kets`, `mixed`, `channels` and `detectors` describe what circuits are built of;
`fockjax.nn` makes circuits layers of Flax models, `fockjax.runtime` runs them over many rows.
"""

from importlib.metadata import version as _version

from fockjax import channels as channels
from fockjax import checks as checks
from fockjax import decompositions as decompositions
from fockjax import detectors as detectors
from fockjax import gates as gates
from fockjax import kets as kets
from fockjax import mixed as mixed
from fockjax import nn as nn
from fockjax import plotting as plotting
from fockjax import runtime as runtime
from fockjax.circuit import Circuit as Circuit
from fockjax.costs import Cost as Cost
from fockjax.costs import cost as cost
from fockjax.geometry import metric_tensor as metric_tensor
from fockjax.geometry import quantum_fisher as quantum_fisher
from fockjax.grouped import grouped as grouped
from fockjax.inspection import Inspection as Inspection
from fockjax.inspection import inspect as inspect
from fockjax.interop.reading import from_strawberryfields as from_strawberryfields
from fockjax.interop.writing import to_strawberryfields as to_strawberryfields
from fockjax.layout import TotalPhotons as TotalPhotons
from fockjax.machine import Machine as Machine
from fockjax.machine import calibrate as calibrate
from fockjax.monte_carlo import Estimate as Estimate
from fockjax.monte_carlo import monte_carlo as monte_carlo
from fockjax.parameters import Input as Input
from fockjax.parameters import Outcome as Outcome
from fockjax.parameters import Weight as Weight
from fockjax.parameters import apply as apply
from fockjax.readouts import Moments as Moments
from fockjax.states import State as State
from fockjax.states import from_density_matrix as from_density_matrix
from fockjax.states import from_ket as from_ket
from fockjax.states import vacuum as vacuum

__version__ = _version("fockjax")

__all__ = [
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
]
