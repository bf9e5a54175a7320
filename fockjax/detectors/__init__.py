"""Detectors: measurements of one mode.

Each draws an outcome from the mode's density matrix (`Detector.sample`), tells how probable an
outcome is (`Detector.probability`) and what it leaves of the other modes (`Detector.effect`). They
are what a circuit's measurements and the samples of a state are made of.
"""

from fockjax._spec import DetectorSpec as DetectorSpec
from fockjax.detectors import heterodyne as _heterodyne
from fockjax.detectors import homodyne as _homodyne
from fockjax.detectors import photons as _photons
from fockjax.detectors import threshold as _threshold
from fockjax.detectors._detector import Detector as Detector

REGISTRY: dict[str, DetectorSpec] = {
    spec.name: spec for spec in (_photons.SPEC, _threshold.SPEC, _homodyne.SPEC, _heterodyne.SPEC)
}

heterodyne = _heterodyne.heterodyne
homodyne = _homodyne.homodyne
photons = _photons.photons
threshold = _threshold.threshold

__all__ = [
    "REGISTRY",
    "Detector",
    "DetectorSpec",
    "heterodyne",
    "homodyne",
    "photons",
    "threshold",
]
