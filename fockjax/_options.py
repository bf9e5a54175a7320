"""How the options of commands are declared."""

import tyro


def optional(metavar: str):
    """An option that may be left out; its text says what happens then."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint="")
