"""Errors that say what to do: to who wrote the call, and to who typed a command."""


class Advised(Exception):
    """An error that says what is the matter and what to do about it. Its advice fits only those who
    wrote the call: a command advises its own options.

    Attributes:
        fact: the message without its advice.
    """

    def __init__(self, fact: str, advice: str):
        super().__init__(f"{fact}. {advice}")
        self.fact = fact


class UserError(ValueError):
    """Input, options or files that cannot be used, with what was found and what to do about it: the
    user can fix it, and a command prints it as one line.
    """
