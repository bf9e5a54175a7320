"""Detectors: measurements of one mode.

Each draws an outcome from the mode's density matrix (`Detector.sample`), tells how probable an
outcome is (`Detector.probability`) and what it leaves of the other modes (`Detector.effect`).
Measurements in a circuit and the samples of a state use them.
"""

from fockjax._spec import DetectorSpec
from fockjax._spec import public as _public
from fockjax.detectors import heterodyne as _heterodyne
from fockjax.detectors import homodyne as _homodyne
from fockjax.detectors import photons as _photons
from fockjax.detectors import threshold as _threshold
from fockjax.detectors._detector import Detector as Detector

REGISTRY: dict[str, DetectorSpec] = {
    spec.name: spec for spec in (_photons.SPEC, _threshold.SPEC, _homodyne.SPEC, _heterodyne.SPEC)
}

heterodyne = _public(_heterodyne.heterodyne, REGISTRY)
homodyne = _public(_homodyne.homodyne, REGISTRY)
photons = _public(_photons.photons, REGISTRY)
threshold = _public(_threshold.threshold, REGISTRY)

__all__ = [
    "REGISTRY",
    "Detector",
    "heterodyne",
    "homodyne",
    "photons",
    "threshold",
]
