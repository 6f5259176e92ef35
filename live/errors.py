"""Why a server refuses all writes."""


class ClosedError(Exception):
    """The catalogue takes no more writes."""


class ReadOnlyError(Exception):
    """The server keeps no write log, so it takes no writes."""

    def __init__(self) -> None:
        super().__init__("this server takes no writes; start it with --state DIR")
