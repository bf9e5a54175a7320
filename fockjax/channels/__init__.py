"""Channels: the elements of the infinite channels, cut to the cutoff."""

from fockjax._spec import ChannelSpec as ChannelSpec
from fockjax._spec import public as _public
from fockjax.channels import dephasing as _dephasing
from fockjax.channels import kraus as _kraus
from fockjax.channels import loss as _loss

REGISTRY: dict[str, ChannelSpec] = {
    spec.name: spec for spec in (*_loss.SPECS, _dephasing.SPEC, _kraus.SPEC)
}

additive_noise = _public(_loss.additive_noise)
amplifier = _public(_loss.amplifier)
dephasing = _public(_dephasing.dephasing)
kraus = _public(_kraus.kraus, modes=None)
loss = _public(_loss.loss)
thermal_loss = _public(_loss.thermal_loss)

__all__ = [
    "REGISTRY",
    "ChannelSpec",
    "additive_noise",
    "amplifier",
    "dephasing",
    "kraus",
    "loss",
    "thermal_loss",
]
