"""Errors of valid requests that the engine cannot answer."""

from search.result import StageReport


class UnknownItemsError(Exception):
    """The request names items that the catalogue does not have."""

    def __init__(self, item_ids: tuple[str, ...]):
        super().__init__(f"{len(item_ids)} unknown item(s)")
        self.item_ids = item_ids


class NotSupportedError(Exception):
    """The loaded bundle lacks the part that the request needs."""


class DeadlineExceededError(Exception):
    """The deadline of the caller passed before the answer was ready.

    Attributes:
        stages: One report per stage that ran, including the interrupted stage.
    """

    def __init__(self, message: str, stages: tuple[StageReport, ...] = ()):
        super().__init__(message)
        self.stages = stages
