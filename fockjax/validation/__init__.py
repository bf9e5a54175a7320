"""Cross-validation against Strawberry Fields: ``fockjax validate``."""

from fockjax.validation.report import run as run
