"""Decisions whether and when to retry a failed call, on a clock that the test advances."""

from collections.abc import Callable

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from shortlist.calls import Attempts, RetryBudget
from shortlist.errors import ShortlistError
from shortlist.options import Retry
from tests.timing import Clock

Code = grpc.StatusCode


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def attempts(clock: Clock) -> Callable[..., Attempts]:
    """Return a function that begins a call with a deadline of 10 s and, by default, no jitter."""

    def begin(
        retry: Retry | None = None, jitter: Callable[[float, float], float] = min
    ) -> Attempts:
        budget = RetryBudget()
        return Attempts(retry or Retry(), 10.0, "basket-7", budget, clock=clock, jitter=jitter)

    return begin


def failure(code: Code, retry_seconds: float | None) -> ShortlistError:
    """Return an error with a status code and, if it is not None, a retry delay."""
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
    clock.advance(5.5)  # 4.5 seconds are left
    assert call.pause(overloaded) == 4.0
    clock.advance(0.5)
    assert call.pause(overloaded) is None


def test_attempts_share_one_deadline(attempts, clock: Clock) -> None:
    call = attempts()
    assert call.seconds_left == 10.0
    clock.advance(3.0)
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
    ids = {Attempts(Retry(), 1.0, None, RetryBudget()).request_id for _ in range(10)}
    assert len(ids) == 10


def test_a_client_stops_retrying_when_most_calls_fail(clock: Clock) -> None:
    overloaded, budget = failure(Code.RESOURCE_EXHAUSTED, 0.1), RetryBudget()

    def begin() -> Attempts:
        return Attempts(Retry(), 10.0, "basket-7", budget, clock=clock, jitter=min)

    retried = [begin().pause(overloaded) is not None for _ in range(100)]
    assert retried == [True] * 4 + [False] * 96  # from 10 tokens to more than 5
    for _ in range(70):
        begin().succeed()
    assert begin().pause(overloaded) == 0.1


def test_a_negative_time_to_wait_is_no_wait(attempts) -> None:
    assert attempts().pause(failure(Code.RESOURCE_EXHAUSTED, -5.0)) == 0.0


def test_errors_that_are_no_overload_leave_the_budget_alone(clock: Clock) -> None:
    budget = RetryBudget()
    for code in (Code.NOT_FOUND, Code.INVALID_ARGUMENT, Code.UNAVAILABLE) * 10:
        Attempts(Retry(), 10.0, "x", budget, clock=clock, jitter=min).pause(failure(code, None))
    overloaded = failure(Code.RESOURCE_EXHAUSTED, 0.1)
    assert Attempts(Retry(), 10.0, "x", budget, clock=clock, jitter=min).pause(overloaded) == 0.1
