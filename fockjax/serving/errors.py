"""The error of a request that is refused, with its HTTP status."""


class Refused(Exception):
    """A request that is not answered.

    Args:
        status: the HTTP status.
        message: what is wrong and what to do about it.
        retry_after: seconds after which another try may succeed.
    """

    def __init__(self, status: int, message: str, retry_after: int | None = None):
        super().__init__(message)
        self.status, self.retry_after = status, retry_after


def bad_request(message: str) -> Refused:
    return Refused(400, message)
