"""Errors of requests."""

from search.result import StageReport


class RequestError(Exception):
    """A request field has a value that the engine cannot use.

    Attributes:
        field: The path of the field, such as "rules.boosts[2].strength".
        problem: What is wrong with the value, and which values are allowed.
    """

    def __init__(self, field: str, problem: str):
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem

    def within(self, field: str) -> "RequestError":
        """Prefix the path with the name of the field that has the request; return this error."""
        self.field = f"{field}.{self.field}"
        self.args = (f"{self.field}: {self.problem}",)
        return self


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
