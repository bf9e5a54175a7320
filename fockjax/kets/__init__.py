"""Kets: amplitudes of ready states, for `Circuit.prepare`, ``initial=``, `State.fidelity`."""

from fockjax._spec import KetSpec
from fockjax.kets import number as _number

REGISTRY: dict[str, KetSpec] = {spec.name: spec for spec in (*_number.SPECS,)}

fock = _number.fock

__all__ = ["REGISTRY", "fock"]
