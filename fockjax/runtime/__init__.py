"""Running circuits and models over many rows: docs/runner.md, docs/cutoffs.md."""

from fockjax.runtime.adaptive import Adapted as Adapted
from fockjax.runtime.adaptive import LeakageError as LeakageError
from fockjax.runtime.adaptive import climb as climb
from fockjax.runtime.adaptive import run_adaptive as run_adaptive
from fockjax.runtime.cutoffs import BUCKETS as BUCKETS
from fockjax.runtime.cutoffs import CutoffPlan as CutoffPlan
from fockjax.runtime.cutoffs import plan_cutoffs as plan_cutoffs
from fockjax.runtime.cutoffs import spread as spread
from fockjax.runtime.executables import Executables as Executables
from fockjax.runtime.executables import keep_compiled as keep_compiled
from fockjax.runtime.guard import Checked as Checked
from fockjax.runtime.guard import bounded as bounded
from fockjax.runtime.guard import checked as checked
from fockjax.runtime.memory import BatchPlan as BatchPlan
from fockjax.runtime.memory import TooLarge as TooLarge
from fockjax.runtime.memory import parse_size as parse_size
from fockjax.runtime.pilot import lost as lost
from fockjax.runtime.recovery import Patience as Patience
from fockjax.runtime.recovery import RunError as RunError
from fockjax.runtime.runner import Results as Results
from fockjax.runtime.runner import Runner as Runner
from fockjax.runtime.runner import functional as functional
from fockjax.runtime.totals import TotalPlan as TotalPlan
from fockjax.runtime.totals import TruncationPlan as TruncationPlan
from fockjax.runtime.totals import plan_total as plan_total
from fockjax.runtime.totals import plan_truncation as plan_truncation
