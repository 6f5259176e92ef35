"""Errors of a server that refuses all writes."""


class ClosedError(Exception):
    """The catalogue is closed, so it takes no more writes."""


class ReadOnlyError(Exception):
    """The server has no write-ahead log, so it takes no writes."""

    def __init__(self) -> None:
        super().__init__("this server takes no writes; start it with --state DIR")
