"""Gates: exact matrix elements of the infinite operators, cut to the cutoff."""

from fockjax._spec import GateSpec as GateSpec
from fockjax.gates import beamsplitter as _beamsplitter
from fockjax.gates import displacement as _displacement
from fockjax.gates import phases as _phases
from fockjax.gates import squeezing as _squeezing

REGISTRY: dict[str, GateSpec] = {
    spec.name: spec
    for spec in (_displacement.SPEC, _squeezing.SPEC, *_phases.SPECS, _beamsplitter.SPEC)
}

beamsplitter = _beamsplitter.beamsplitter
displacement = _displacement.displacement
kerr = _phases.kerr
rotation = _phases.rotation
squeezing = _squeezing.squeezing

__all__ = ["REGISTRY", "GateSpec", "beamsplitter", "displacement", "kerr", "rotation", "squeezing"]
