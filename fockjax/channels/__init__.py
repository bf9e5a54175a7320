"""Channels: the elements of the infinite channels, cut to the cutoff."""

from fockjax._spec import Spec
from fockjax._spec import public as _public
from fockjax.channels import dephasing as _dephasing
from fockjax.channels import kraus as _kraus
from fockjax.channels import loss as _loss

REGISTRY: dict[str, Spec] = {
    spec.name: spec for spec in (*_loss.SPECS, _dephasing.SPEC, _kraus.SPEC)
}

additive_noise = _public(_loss.additive_noise, REGISTRY)
amplifier = _public(_loss.amplifier, REGISTRY)
dephasing = _public(_dephasing.dephasing, REGISTRY)
kraus = _public(_kraus.kraus, REGISTRY)
loss = _public(_loss.loss, REGISTRY)
thermal_loss = _public(_loss.thermal_loss, REGISTRY)

__all__ = [
    "REGISTRY",
    "additive_noise",
    "amplifier",
    "dephasing",
    "kraus",
    "loss",
    "thermal_loss",
]
