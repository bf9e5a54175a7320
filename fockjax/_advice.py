"""Errors that say what to do about them, to those who wrote a call or typed a command."""

from collections.abc import Collection
from itertools import islice

SHOWN = 10  # items of a list that a message names


class Advised(Exception):
    """An error that says what is wrong and what to do about it.

    The advice is for those who wrote the call. A command shows ``fact`` alone, with advice about
    its own options.

    Attributes:
        fact, advice: the two parts of the message.
    """

    def __init__(self, fact: str, advice: str):
        super().__init__(f"{fact}. {advice}")
        self.fact, self.advice = fact, advice


class UserError(ValueError):
    """Input, options or files that cannot be used, which the user can fix. It says what was found
    and what to do about it, and a command prints it as one line.
    """


def first_few(items: Collection, count: int | None = None, between: str = ", ") -> str:
    """The first few items for a message, and how many more there are.

    Args:
        items: all of them, or at least the first few.
        count: how many there are in all; by default as many as `items`.
        between: what separates them.

    Example:
        >>> first_few(range(12))
        '0, 1, 2, 3, 4, 5, 6, 7, 8, 9, and 2 more'
    """
    shown = list(map(str, islice(items, SHOWN)))
    more = (len(items) if count is None else count) - len(shown)
    return between.join([*shown, f"and {more} more"] if more > 0 else shown)


def option(field: str) -> str:
    """The option of a command for a field of its options: ``--batch-size`` for ``batch_size``."""
    return "--" + field.replace("_", "-")
