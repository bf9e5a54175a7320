"""The one exception that means "the user can fix this": the CLI prints it as one line."""


class UserError(ValueError):
    """Input, options or files that cannot be used, with what was found and what to do about it."""
