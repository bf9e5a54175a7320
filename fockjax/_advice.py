"""Errors whose advice fits only those who wrote the call: a command advises its own options."""


class Advised(Exception):
    """An error that says what is the matter and what to do about it.

    Attributes:
        fact: the message without its advice.
    """

    def __init__(self, fact: str, advice: str):
        super().__init__(f"{fact}. {advice}")
        self.fact = fact
