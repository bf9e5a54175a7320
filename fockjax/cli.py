"""The command line tool: `fockjax train`, `fockjax predict`, `fockjax validate`."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.markup import escape

from fockjax.prediction import predict
from fockjax.training import TrainConfig, UserError, train

USER_ERROR, INTERRUPTED = 2, 130


@dataclasses.dataclass(frozen=True)
class Predict:
    """Options of `fockjax predict`."""

    model: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="MODEL")]
    """Model folder, from fockjax train."""
    data: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DATA")]
    """CSV or Parquet file that names the model's columns, in any order; or .npy (rows, columns)."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE")]
    """Where to write prediction, probabilities and leakage: .csv, .parquet or .npy."""
    skip_bad: bool = False
    """Leave the results of unusable rows empty instead of refusing the file."""
    restart: bool = False
    """Begin anew instead of going on from the journal of an interrupted run."""
    batch_size: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Rows per call of the model; by default as fits in memory, at most 1024."""


@dataclasses.dataclass(frozen=True)
class Validate:
    """Options of `fockjax validate`."""

    model: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="[MODEL]")] = None
    """Model folder to validate as well."""
    source: Literal["auto", "sf", "golden"] = "auto"
    """Strawberry Fields itself, its stored answers, or the first where it is installed."""


Command = (
    Annotated[
        TrainConfig,
        tyro.conf.subcommand(
            "train",
            description="Train a hybrid photonic model on tabular data and compare it with "
            "classical ones. Without options: the bundled breast-cancer data.",
        ),
    ]
    | Annotated[
        Predict,
        tyro.conf.subcommand("predict", description="Run a trained model over a file of any size."),
    ]
    | Annotated[
        Validate,
        tyro.conf.subcommand(
            "validate",
            description="Compare every operation and readout, random circuits and a trained model "
            "with Strawberry Fields.",
        ),
    ]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tool; returns the exit code: 0, 1 (validation failed), 2 (the user can fix it)."""
    command = tyro.cli(
        Command,  # pyright: ignore[reportArgumentType]
        prog="fockjax",
        description="Photonic quantum machine learning in the Fock basis.",
        args=arguments,
        config=(tyro.conf.FlagCreatePairsOff, tyro.conf.OmitSubcommandPrefixes),
    )
    try:
        return _run(command)
    except (UserError, OSError, ImportError) as error:
        Console(stderr=True).print(f"[bold red]error:[/] {_escaped(error)}", soft_wrap=True)
        return USER_ERROR
    except KeyboardInterrupt:
        advice = ""
        if isinstance(command, TrainConfig):
            advice = "; continue with --resume"
        elif isinstance(command, Predict):
            advice = "; the same command goes on from here"
        Console(stderr=True).print(f"interrupted{advice}")
        return INTERRUPTED


def _run(command: TrainConfig | Predict | Validate) -> int:
    if isinstance(command, TrainConfig):
        train(command)
        return 0
    if isinstance(command, Predict):
        predict(**dataclasses.asdict(command))
        return 0
    from fockjax.validation import run  # may load Strawberry Fields

    return run(command.model, source=command.source)


def _escaped(error: Exception) -> str:
    return escape(str(error).replace("\n", " "))


if __name__ == "__main__":
    sys.exit(main())
