"""Running circuits and models over many rows: docs/runner.md, docs/cutoffs.md."""

from fockjax.leakage import Checked as Checked
from fockjax.leakage import checked as checked
from fockjax.leakage import lost as lost
from fockjax.runtime.batches import BatchPlan as BatchPlan
from fockjax.runtime.batches import TooLarge as TooLarge
from fockjax.runtime.cutoffs.adaptive import LeakageError as LeakageError
from fockjax.runtime.cutoffs.adaptive import run_adaptive as run_adaptive
from fockjax.runtime.cutoffs.ladders import BUCKETS as BUCKETS
from fockjax.runtime.cutoffs.modes import CutoffPlan as CutoffPlan
from fockjax.runtime.cutoffs.modes import plan_cutoffs as plan_cutoffs
from fockjax.runtime.cutoffs.pilot import PilotTooLarge as PilotTooLarge
from fockjax.runtime.cutoffs.plan import Plan as Plan
from fockjax.runtime.cutoffs.samples import spread as spread
from fockjax.runtime.cutoffs.totals import TotalPlan as TotalPlan
from fockjax.runtime.cutoffs.totals import TruncationPlan as TruncationPlan
from fockjax.runtime.cutoffs.totals import plan_total as plan_total
from fockjax.runtime.cutoffs.totals import plan_truncation as plan_truncation
from fockjax.runtime.executables import Executables as Executables
from fockjax.runtime.executables import keep_compiled as keep_compiled
from fockjax.runtime.memory import parse_size as parse_size
from fockjax.runtime.recovery import Patience as Patience
from fockjax.runtime.recovery import RunError as RunError
from fockjax.runtime.rows import Results as Results
from fockjax.runtime.runner import Runner as Runner
from fockjax.runtime.runner import functional as functional
