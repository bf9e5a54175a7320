"""The command line tool: `fockjax train`, `predict`, `serve`, `validate` and `report`."""

import dataclasses
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import jax
import tyro
from rich.console import Console
from rich.text import Text

from fockjax._files import atomic_writer, same_file
from fockjax._options import optional
from fockjax.prediction import PredictConfig, predict
from fockjax.runtime import RunError, TooLarge
from fockjax.runtime.report import html_report, print_report
from fockjax.runtime.run_record import read_records
from fockjax.serving.config import ServeConfig
from fockjax.training import TrainConfig, UserError, train

USER_ERROR, INTERRUPTED = 2, 130


@dataclasses.dataclass(frozen=True)
class Validate:
    """Options of `fockjax validate`."""

    model: Annotated[tyro.conf.Positional[Path | None], optional("[MODEL]")] = None
    """Model folder to validate as well."""
    source: Literal["auto", "sf", "golden"] = "auto"
    """Compare with Strawberry Fields (sf) or its stored answers (golden); auto: sf if installed."""
    only: Annotated[tuple[str, ...], optional("[NAME...]")] = ()
    """Compare these operations and readouts only, for example: squeezing wigner."""


@dataclasses.dataclass(frozen=True)
class Report:
    """Options of `fockjax report`."""

    log: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="LOG")]
    """File of records, as written by fockjax predict --log or a Runner with log=..."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="FILE")] = None
    """Write an HTML page with plots to this file instead of showing the tables."""
    overwrite: bool = False
    """Replace FILE if it exists."""


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
        PredictConfig,
        tyro.conf.subcommand("predict", description="Run a trained model over a file of any size."),
    ]
    | Annotated[
        ServeConfig,
        tyro.conf.subcommand(
            "serve", description="Put a trained model behind HTTP (docs/serving.md)."
        ),
    ]
    | Annotated[
        Validate,
        tyro.conf.subcommand(
            "validate",
            description="Compare every operation and readout, random circuits and a trained model "
            "with Strawberry Fields. This takes about eight minutes on 2 cores.",
        ),
    ]
    | Annotated[
        Report,
        tyro.conf.subcommand("report", description="Show the records of runs, as text or HTML."),
    ]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit code.

    These are 0, 1 (validation failed), 2 (an error that the user can fix) and 130 (interrupted).
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if list(arguments) == ["--version"]:
        print(f"fockjax {version('fockjax')}")
        return 0
    command = tyro.cli(
        Command,  # pyright: ignore[reportArgumentType]
        prog="fockjax",
        description="Photonic quantum machine learning in the Fock basis. --version tells which.",
        args=arguments,
        config=(tyro.conf.FlagCreatePairsOff, tyro.conf.OmitSubcommandPrefixes),
    )
    try:
        return _run(command)
    except TooLarge as error:
        return _refused(f"{error.fact}. {_how_smaller(command)}")
    except (UserError, OSError, ImportError) as error:
        return _refused(str(error))
    except (RunError, MemoryError, jax.errors.JaxRuntimeError) as error:
        reason = str(error) or "out of memory"
        return _refused(f"{reason.rstrip('.')}{_how_to_go_on(command)}")
    except KeyboardInterrupt:
        Console(stderr=True).print(f"interrupted{_how_to_go_on(command)}", soft_wrap=True)
        return INTERRUPTED


def _run(command: Command) -> int:
    if isinstance(command, TrainConfig):
        train(command)
        return 0
    if isinstance(command, PredictConfig):
        predict(command)
        return 0
    if isinstance(command, ServeConfig):
        serve(command)
        return 0
    if isinstance(command, Report):
        report(command.log, command.out, command.overwrite)
        return 0
    from fockjax.validation import run  # may load Strawberry Fields

    return run(command.model, source=command.source, only=command.only or None)


def serve(config: ServeConfig) -> None:
    """Serve a model; see `fockjax.serving.server.serve`.

    Raises:
        UserError: if the libraries for serving are not installed.
    """
    try:
        from fockjax.serving.server import serve as run
    except ModuleNotFoundError as error:
        raise UserError(
            f'`fockjax serve` needs {error.name}: install the extra "serve" '
            'of fockjax, in a clone by `pip install -e ".[serve]"`'
        ) from None
    run(config)


def report(log: Path, out: Path | None = None, overwrite: bool = False) -> None:
    """Show the records in a file, or write them as an HTML page, complete or not at all.

    Raises:
        UserError: if the file has no records, or is not a file of records; if `out` is that file,
            or exists and is not to be overwritten.
    """
    console, told = Console(), Console(stderr=True, soft_wrap=True)
    try:
        records = read_records(log, lambda text: told.print("[yellow]warning:[/]", Text(text)))
    except FileNotFoundError:
        raise UserError(f"{log} does not exist") from None
    except ValueError as error:
        raise UserError(f"{log} is not a file of records: {error}") from None
    if not records:
        raise UserError(f"{log} has no records yet")
    if out is not None and same_file(out, log):
        raise UserError(f"the page {out} would replace the records it is made from")
    if out is not None and out.exists() and not overwrite:
        raise UserError(f"{out} exists: give another name, or --overwrite to replace it")
    if out is None:
        print_report(records, console)
        return
    with atomic_writer(out, "w", encoding="utf-8") as file:
        file.write(html_report(records))
    console.print(Text(f"{log} -> {out}"), soft_wrap=True)


def _refused(reason: str) -> int:
    """Print an error in one line; returns the exit code."""
    text = Text(reason.replace("\n", " "))
    Console(stderr=True).print("[bold red]error:[/]", text, soft_wrap=True)
    return USER_ERROR


def _how_to_go_on(command: Command) -> str:
    """The end of a message about a run that was broken off."""
    if isinstance(command, TrainConfig):
        return "; continue with --resume"
    if isinstance(command, PredictConfig):
        without = " without --restart" if command.restart else ""
        return f"; the same command{without} goes on from here"
    return ""


def _how_smaller(command: Command) -> str:
    """Advice for a model that does not fit in memory, in options of the command."""
    if isinstance(command, TrainConfig):
        return command.how_smaller
    if isinstance(command, PredictConfig):
        return "Raise --memory, or train a model of fewer --modes or a smaller --cutoff."
    return "Give more memory, or train a model of fewer --modes or a smaller --cutoff."


if __name__ == "__main__":
    sys.exit(main())
