"""Channels: the elements of the infinite channels, cut to the cutoff."""

from fockjax._spec import ChannelSpec as ChannelSpec
from fockjax.channels import dephasing as _dephasing
from fockjax.channels import kraus as _kraus
from fockjax.channels import loss as _loss

REGISTRY: dict[str, ChannelSpec] = {
    spec.name: spec for spec in (*_loss.SPECS, _dephasing.SPEC, _kraus.SPEC)
}

additive_noise = _loss.additive_noise
amplifier = _loss.amplifier
dephasing = _dephasing.dephasing
kraus = _kraus.kraus
loss = _loss.loss
thermal_loss = _loss.thermal_loss

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
