"""Errors that say what to do about them, to those who wrote a call or typed a command."""


class Advised(Exception):
    """An error that says what is wrong and what to do about it.

    The advice is for those who wrote the call. A command shows ``fact`` alone, with advice about
    its own options.

    Attributes:
        fact: the message without the advice.
    """

    def __init__(self, fact: str, advice: str):
        super().__init__(f"{fact}. {advice}")
        self.fact = fact


class UserError(ValueError):
    """Input, options or files that cannot be used, which the user can fix. It says what was found
    and what to do about it, and a command prints it as one line.
    """


def option(field: str) -> str:
    """The option of a command for a field of its options: ``--batch-size`` for ``batch_size``."""
    return "--" + field.replace("_", "-")
