"""When a failed call is retried, on a clock that the test moves."""

from collections.abc import Callable

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from shortlist.calls import Attempts
from shortlist.errors import ShortlistError
from shortlist.options import Retry

Code = grpc.StatusCode


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def attempts(clock: Clock) -> Callable[..., Attempts]:
    """Return a function that begins a call with ten seconds of time and minimal jitter."""

    def begin(
        retry: Retry | None = None, jitter: Callable[[float, float], float] = min
    ) -> Attempts:
        return Attempts(retry or Retry(), 10.0, "basket-7", clock=clock, jitter=jitter)

    return begin


def failure(code: Code, retry_seconds: float | None) -> ShortlistError:
    """Return the error of a call with a status code and a retry delay."""
    status = status_pb2.Status()
    if retry_seconds is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(int(retry_seconds * 1e9))
        packed = any_pb2.Any()
        packed.Pack(retry)
        status.details.append(packed)
    trailers = grpc.aio.Metadata(("grpc-status-details-bin", status.SerializeToString()))
    return ShortlistError(grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers))


def test_a_pause_is_what_the_server_asks_for_and_up_to_a_quarter_more(attempts) -> None:
    overloaded = failure(Code.RESOURCE_EXHAUSTED, 2.0)
    assert attempts(jitter=min).pause(overloaded) == 2.0
    assert attempts(jitter=max).pause(overloaded) == 2.5


def test_a_pause_that_outlasts_the_deadline_is_not_begun(attempts, clock: Clock) -> None:
    overloaded = failure(Code.RESOURCE_EXHAUSTED, 4.0)
    call = attempts()
    assert call.pause(overloaded) == 4.0
    clock.seconds += 5.5  # 4.5 seconds are left
    assert call.pause(overloaded) == 4.0
    clock.seconds += 0.5
    assert call.pause(overloaded) is None


def test_attempts_share_one_deadline(attempts, clock: Clock) -> None:
    call = attempts()
    assert call.seconds_left == 10.0
    clock.seconds += 3.0
    call.pause(failure(Code.RESOURCE_EXHAUSTED, 1.0))
    assert call.seconds_left == 7.0


def test_the_last_attempt_has_no_pause(attempts) -> None:
    overloaded = failure(Code.RESOURCE_EXHAUSTED, 0.1)
    call = attempts(Retry(attempts=3))
    assert [call.pause(overloaded) for _ in range(3)] == [0.1, 0.1, None]


@pytest.mark.parametrize(
    ("retry", "code", "seconds"),
    [
        (Retry(overloaded=False), Code.RESOURCE_EXHAUSTED, 0.1),
        (Retry(), Code.UNAVAILABLE, 0.1),
        (Retry(), Code.RESOURCE_EXHAUSTED, None),
    ],
    ids=["switched off", "another code", "no time to wait"],
)
def test_other_failures_have_no_pause(attempts, retry: Retry, code: Code, seconds) -> None:
    assert attempts(retry).pause(failure(code, seconds)) is None


def test_the_metadata_names_the_call_and_shows_the_token(attempts) -> None:
    call = attempts()
    assert call.metadata(None) == (("x-request-id", "basket-7"),)
    assert call.metadata("abc") == (
        ("x-request-id", "basket-7"),
        ("authorization", "Bearer abc"),
    )


def test_a_call_without_an_id_gets_a_random_one() -> None:
    ids = {Attempts(Retry(), 1.0, None).request_id for _ in range(10)}
    assert len(ids) == 10
