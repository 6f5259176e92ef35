"""The attempts at one call: deadline, metadata and pauses."""

import random
import threading
import time
import uuid
from collections.abc import Callable

import grpc

from shortlist.errors import ShortlistError
from shortlist.options import MAX_TOKENS, TOKEN_RATIO, Retry

# A pause is the time that the server asks to wait, multiplied by a random factor from 1 to 1.25. So
# callers that were refused at the same time do not all retry at the same time.
_MAX_JITTER = 0.25


class RetryBudget:
    """The retries that all calls of a client share, see `MAX_TOKENS`; safe for several threads."""

    def __init__(self) -> None:
        self._tokens = float(MAX_TOKENS)
        self._lock = threading.Lock()

    def succeed(self) -> None:
        """Record a successful attempt."""
        with self._lock:
            self._tokens = min(self._tokens + TOKEN_RATIO, MAX_TOKENS)

    def fail(self) -> bool:
        """Record that an overloaded server refused an attempt; return whether to retry it."""
        with self._lock:
            self._tokens = max(self._tokens - 1, 0.0)
            return self._tokens > MAX_TOKENS / 2


class Attempts:
    """The attempts at one call. All attempts share one deadline and one request id."""

    def __init__(
        self,
        retry: Retry,
        timeout_seconds: float,
        request_id: str | None,
        budget: RetryBudget,
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """Begin the call.

        Args:
            retry: When a failed call is retried.
            timeout_seconds: The time from now to the deadline of all attempts.
            request_id: The id of the call; None for a random id.
            budget: The retries that the calls of the client share.
            clock: Returns the time in seconds.
            jitter: Returns a random number between two bounds.
        """
        self._retry = retry
        self._budget = budget
        self._clock = clock
        self._jitter = jitter
        self._deadline = clock() + timeout_seconds
        self._failed = 0
        self.request_id = uuid.uuid4().hex if request_id is None else request_id

    @property
    def seconds_left(self) -> float:
        """The time until the deadline."""
        return self._deadline - self._clock()

    def metadata(self, token: str | None) -> tuple[tuple[str, str], ...]:
        """Return the metadata of the call."""
        request_id = (("x-request-id", self.request_id),)
        return request_id if token is None else (*request_id, ("authorization", f"Bearer {token}"))

    def succeed(self) -> None:
        """Record that the call was answered."""
        self._budget.succeed()

    def pause(self, error: ShortlistError) -> float | None:
        """Return the seconds to wait before the next attempt; None for no further attempt.

        A call is retried only if the server is overloaded and says how long to wait, and if the
        budget of the client has retries left. If the error is UNAVAILABLE, gRPC itself has already
        retried the call. A pause never outlasts the deadline.
        """
        self._failed += 1
        if (
            not self._retry.overloaded
            or self._failed >= self._retry.attempts
            or error.code != grpc.StatusCode.RESOURCE_EXHAUSTED
            or error.retry_seconds is None
            or not self._budget.fail()
        ):
            return None
        pause = max(error.retry_seconds, 0.0) * self._jitter(1, 1 + _MAX_JITTER)
        return pause if pause < self.seconds_left else None
