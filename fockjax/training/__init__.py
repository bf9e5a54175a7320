"""Training of hybrid photonic models: `fockjax train`, and the same from Python."""

from fockjax._advice import UserError as UserError
from fockjax.training.config import TrainConfig as TrainConfig
from fockjax.training.data import Dataset as Dataset
from fockjax.training.data import breast_cancer as breast_cancer
from fockjax.training.model import HybridModel as HybridModel
from fockjax.training.reading import read_table as read_table
from fockjax.training.run import TrainResult as TrainResult
from fockjax.training.run import train as train
