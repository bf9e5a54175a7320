"""Gates: exact matrix elements of the infinite operators, cut to the cutoff."""

from fockjax._spec import GateSpec as GateSpec
from fockjax.gates import beamsplitter as _beamsplitter
from fockjax.gates import displacement as _displacement
from fockjax.gates import gaussian_transform as _gaussian_transform
from fockjax.gates import interferometer as _interferometer
from fockjax.gates import passive as _passive
from fockjax.gates import phases as _phases
from fockjax.gates import squeezing as _squeezing

REGISTRY: dict[str, GateSpec] = {
    spec.name: spec
    for spec in (
        _displacement.SPEC,
        _squeezing.SPEC,
        *_phases.SPECS,
        _beamsplitter.SPEC,
        _interferometer.SPEC,
        _passive.SPEC,
        _gaussian_transform.SPEC,
    )
}

beamsplitter = _beamsplitter.beamsplitter
displacement = _displacement.displacement
gaussian_transform = _gaussian_transform.gaussian_transform
interferometer = _interferometer.interferometer
kerr = _phases.kerr
passive = _passive.passive
rotation = _phases.rotation
squeezing = _squeezing.squeezing

__all__ = [
    "REGISTRY",
    "GateSpec",
    "beamsplitter",
    "displacement",
    "gaussian_transform",
    "interferometer",
    "kerr",
    "passive",
    "rotation",
    "squeezing",
]
