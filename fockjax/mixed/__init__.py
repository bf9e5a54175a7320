"""The density matrices of ready states that are not pure. They are cut to the cutoff and not
renormalised, so that what is lost shows as leakage.
"""

from fockjax._spec import Spec
from fockjax._spec import public as _public
from fockjax.mixed import array as _array
from fockjax.mixed import gaussian as _gaussian
from fockjax.mixed import thermal as _thermal

REGISTRY: dict[str, Spec] = {
    spec.name: spec for spec in (_thermal.SPEC, _array.SPEC, _gaussian.SPEC)
}

density_matrix = _public(_array.density_matrix, REGISTRY)
mixed_gaussian = _public(_gaussian.mixed_gaussian, REGISTRY)
thermal = _public(_thermal.thermal, REGISTRY)

__all__ = ["REGISTRY", "density_matrix", "mixed_gaussian", "thermal"]
