"""Circuits run over many samples: which cutoffs they need."""

from fockjax.runtime.adaptive import Adapted as Adapted
from fockjax.runtime.adaptive import LeakageError as LeakageError
from fockjax.runtime.adaptive import climb as climb
from fockjax.runtime.adaptive import run_adaptive as run_adaptive
from fockjax.runtime.cutoffs import Plan as Plan
from fockjax.runtime.cutoffs import plan_cutoffs as plan_cutoffs
from fockjax.runtime.cutoffs import spread as spread
from fockjax.runtime.pilot import lost as lost

__all__ = [
    "Adapted",
    "LeakageError",
    "Plan",
    "climb",
    "lost",
    "plan_cutoffs",
    "run_adaptive",
    "spread",
]
