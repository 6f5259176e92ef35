"""One call and its attempts: the deadline, what is sent beside the request, and when to wait."""

import random
import time
import uuid

import grpc

from shortlist.errors import ShortlistError
from shortlist.options import Retry

# A wait that the server asked for becomes up to this much longer, so that callers refused together
# do not all come back together.
_JITTER = 0.25


class Attempts:
    """The attempts at one call, which share its deadline and its request id."""

    def __init__(self, retry: Retry, timeout_seconds: float, request_id: str | None) -> None:
        self._retry = retry
        self._deadline = time.monotonic() + timeout_seconds
        self._made = 0
        self.request_id = uuid.uuid4().hex if request_id is None else request_id

    @property
    def seconds_left(self) -> float:
        """How long an attempt that is made now may take."""
        return self._deadline - time.monotonic()

    def metadata(self, token: str | None) -> tuple[tuple[str, str], ...]:
        """Returns what goes beside the request."""
        named = (("x-request-id", self.request_id),)
        return named if token is None else (*named, ("authorization", f"Bearer {token}"))

    def pause(self, error: ShortlistError) -> float | None:
        """Returns how many seconds to wait before the next attempt, None when there is none.

        Only a server that is overloaded and says how long to wait is asked again; gRPC has seen to
        UNAVAILABLE already. A wait that would outlast the deadline is not begun.
        """
        self._made += 1
        if (
            not self._retry.overloaded
            or self._made >= self._retry.attempts
            or error.code != grpc.StatusCode.RESOURCE_EXHAUSTED
            or error.retry_seconds is None
        ):
            return None
        wait = error.retry_seconds * random.uniform(1, 1 + _JITTER)  # noqa: S311 - no secret
        return wait if wait < self.seconds_left else None
