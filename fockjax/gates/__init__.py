"""Gates: exact matrix elements of the infinite operators, cut to the cutoff."""

from fockjax._spec import GateSpec as GateSpec
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

REGISTRY: dict[str, GateSpec] = {
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

beamsplitter = _public(_beamsplitter.beamsplitter, modes=2)
controlled_x = _public(_controlled.controlled_x, modes=2)
controlled_z = _public(_controlled.controlled_z, modes=2)
cross_kerr = _public(_phases.cross_kerr, modes=2)
cubic_phase = _public(_position.cubic_phase)
displacement = _public(_displacement.displacement)
fourier = _public(_phases.fourier)
gaussian_transform = _public(_gaussian_transform.gaussian_transform, modes=None)
interferometer = _public(_interferometer.interferometer, modes=None)
kerr = _public(_phases.kerr)
mach_zehnder = _public(_mach_zehnder.mach_zehnder, modes=2)
p_displacement = _public(_displacement.p_displacement)
passive = _public(_passive.passive, modes=None)
quadratic_phase = _public(_position.quadratic_phase)
rotation = _public(_phases.rotation)
snap = _public(_phases.snap)
squeezing = _public(_squeezing.squeezing)
symmetric_mach_zehnder = _public(_mach_zehnder.symmetric_mach_zehnder, modes=2)
two_mode_squeezing = _public(_two_mode_squeezing.two_mode_squeezing, modes=2)
unitary = _public(_unitary.unitary, modes=None)
x_displacement = _public(_displacement.x_displacement)

__all__ = [
    "REGISTRY",
    "GateSpec",
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
