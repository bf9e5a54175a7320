"""How the options of commands are declared and checked."""

from collections.abc import Callable, Iterable
from typing import Any

import tyro

from fockjax._advice import UserError, option


def optional(metavar: str):
    """An option that may be left out; its text says what happens then."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint="")


def require(
    options: object, names: Iterable[str], fine: Callable[[Any], bool], wanted: str
) -> None:
    """Raise UserError for the first of some fields whose value is not fine.

    Args:
        options: the options of a command.
        names: names of fields.
        fine: whether a value can be used.
        wanted: what it must be.
    """
    for name in names:
        value = getattr(options, name)
        if not fine(value):
            raise UserError(f"{option(name)} must {wanted}, got {value!r}")
