"""Running circuits and models over many rows: see docs/runner.md."""

from fockjax.runtime.executables import Executables as Executables
from fockjax.runtime.executables import keep_compiled as keep_compiled
from fockjax.runtime.guard import Checked as Checked
from fockjax.runtime.guard import bounded as bounded
from fockjax.runtime.guard import checked as checked
from fockjax.runtime.memory import Plan as Plan
from fockjax.runtime.memory import TooLarge as TooLarge
from fockjax.runtime.recovery import Patience as Patience
from fockjax.runtime.recovery import RunError as RunError
from fockjax.runtime.runner import Results as Results
from fockjax.runtime.runner import Runner as Runner
from fockjax.runtime.runner import functional as functional
