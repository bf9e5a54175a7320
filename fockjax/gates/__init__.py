"""Gates: exact matrix elements of the infinite operators, cut to the cutoff."""

from fockjax._spec import Spec
from fockjax._spec import public as _public
from fockjax.gates import beamsplitter as _beamsplitter
from fockjax.gates import controlled as _controlled
from fockjax.gates import displacement as _displacement
from fockjax.gates import gaussian_transform as _gaussian_transform
from fockjax.gates import interferometer as _interferometer
from fockjax.gates import mach_zehnder as _mach_zehnder
from fockjax.gates import passive as _passive
from fockjax.gates import phases as _phases
from fockjax.gates import position as _position
from fockjax.gates import squeezing as _squeezing
from fockjax.gates import two_mode_squeezing as _two_mode_squeezing
from fockjax.gates import unitary as _unitary

REGISTRY: dict[str, Spec] = {
    spec.name: spec
    for spec in (
        *_displacement.SPECS,
        _squeezing.SPEC,
        *_phases.SPECS,
        *_position.SPECS,
        _beamsplitter.SPEC,
        *_mach_zehnder.SPECS,
        _two_mode_squeezing.SPEC,
        *_controlled.SPECS,
        _unitary.SPEC,
        _interferometer.SPEC,
        _passive.SPEC,
        _gaussian_transform.SPEC,
    )
}

beamsplitter = _public(_beamsplitter.beamsplitter, REGISTRY)
controlled_x = _public(_controlled.controlled_x, REGISTRY)
controlled_z = _public(_controlled.controlled_z, REGISTRY)
cross_kerr = _public(_phases.cross_kerr, REGISTRY)
cubic_phase = _public(_position.cubic_phase, REGISTRY)
displacement = _public(_displacement.displacement, REGISTRY)
fourier = _public(_phases.fourier, REGISTRY)
gaussian_transform = _public(_gaussian_transform.gaussian_transform, REGISTRY)
interferometer = _public(_interferometer.interferometer, REGISTRY)
kerr = _public(_phases.kerr, REGISTRY)
mach_zehnder = _public(_mach_zehnder.mach_zehnder, REGISTRY)
p_displacement = _public(_displacement.p_displacement, REGISTRY)
passive = _public(_passive.passive, REGISTRY)
quadratic_phase = _public(_position.quadratic_phase, REGISTRY)
rotation = _public(_phases.rotation, REGISTRY)
snap = _public(_phases.snap, REGISTRY)
squeezing = _public(_squeezing.squeezing, REGISTRY)
symmetric_mach_zehnder = _public(_mach_zehnder.symmetric_mach_zehnder, REGISTRY)
two_mode_squeezing = _public(_two_mode_squeezing.two_mode_squeezing, REGISTRY)
unitary = _public(_unitary.unitary, REGISTRY)
x_displacement = _public(_displacement.x_displacement, REGISTRY)

__all__ = [
    "REGISTRY",
    "beamsplitter",
    "controlled_x",
    "controlled_z",
    "cross_kerr",
    "cubic_phase",
    "displacement",
    "fourier",
    "gaussian_transform",
    "interferometer",
    "kerr",
    "mach_zehnder",
    "p_displacement",
    "passive",
    "quadratic_phase",
    "rotation",
    "snap",
    "squeezing",
    "symmetric_mach_zehnder",
    "two_mode_squeezing",
    "unitary",
    "x_displacement",
]
