"""Kets: the amplitudes of ready states, for `Circuit.prepare`, ``initial=`` and `State.fidelity`.

They are the amplitudes of the infinite state, cut to the cutoff and not renormalised, so that what
is lost shows as leakage. Only `gkp` follows Strawberry Fields and normalises after the cut, unless
asked not to. The global phase of each is that of Strawberry Fields, where Strawberry Fields has a
ket. (When it prepares only some of the modes, or one after the other, it has a density matrix,
which has no global phase.)
"""

from fockjax._spec import Spec
from fockjax._spec import public as _public
from fockjax.kets import array as _array
from fockjax.kets import cat as _cat
from fockjax.kets import coherent as _coherent
from fockjax.kets import gaussian as _gaussian
from fockjax.kets import gkp as _gkp
from fockjax.kets import number as _number
from fockjax.kets import squeezed as _squeezed
from fockjax.kets import two_mode as _two_mode

REGISTRY: dict[str, Spec] = {
    spec.name: spec
    for spec in (
        *_number.SPECS,
        _coherent.SPEC,
        *_squeezed.SPECS,
        _two_mode.SPEC,
        _cat.SPEC,
        _gkp.SPEC,
        _array.SPEC,
        _gaussian.SPEC,
    )
}

cat = _public(_cat.cat, REGISTRY)
coherent = _public(_coherent.coherent, REGISTRY)
displaced_squeezed = _public(_squeezed.displaced_squeezed, REGISTRY)
fock = _public(_number.fock, REGISTRY)
gaussian = _public(_gaussian.gaussian, REGISTRY)
gkp = _public(_gkp.gkp, REGISTRY)
ket = _public(_array.ket, REGISTRY)
squeezed = _public(_squeezed.squeezed, REGISTRY)
two_mode_squeezed = _public(_two_mode.two_mode_squeezed, REGISTRY)
vacuum = _public(_number.vacuum, REGISTRY)

__all__ = [
    "REGISTRY",
    "cat",
    "coherent",
    "displaced_squeezed",
    "fock",
    "gaussian",
    "gkp",
    "ket",
    "squeezed",
    "two_mode_squeezed",
    "vacuum",
]
