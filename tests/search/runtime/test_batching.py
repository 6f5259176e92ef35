"""The batcher, with small compiled programs that a test can stop and start."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import jax.numpy as jnp
import numpy as np
import pytest

from bert.batch import Tokens
from bert.compiled import BucketedForward
from bert.tokens import Ragged, Tokenised
from search.errors import DeadlineExceededError
from search.runtime.batching import Batcher, CallContext, call_scope
from search.runtime.cpu_limit import hold_cpu
from tests.timing import SOON, Clock, eventually


def tokenised_of(*lengths: int, value: int = 1) -> Tokenised:
    rows = Ragged.of([[value] * length for length in lengths])
    return Tokenised(rows, rows.lengths, pad_id=0)


def sums(state, tokens: Tokens):
    """Return, for each row, its sum, its padded length and the size of its batch."""
    batch, length = tokens.ids.shape
    seen = tokens.ids.sum(axis=1) * state
    return jnp.stack([seen, jnp.full((batch,), length), jnp.full((batch,), batch)], axis=1)


class Watched(BucketedForward):
    """Records its batches. Every batch waits until a test sets `go`."""

    def __init__(self, **options) -> None:
        super().__init__(sums, jnp.asarray(1), max_length=32, batch_tokens=128, **options)
        self.batches: list[tuple[int, int]] = []
        self.real: list[int] = []
        self.waiting = threading.Event()
        self.go = threading.Event()

    def start(self, tokens: Tokens):
        self.waiting.set()
        assert self.go.wait(SOON)
        self.batches.append(tokens.ids.shape)
        self.real.append(int(tokens.mask.any(axis=1).sum()))
        return super().start(tokens)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def batcher(clock: Clock) -> Iterator[Batcher]:
    batcher = Batcher(clock=clock)
    yield batcher
    batcher.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as pool:
        yield pool


def held(forward: Watched, run, pool: ThreadPoolExecutor) -> Future:
    """Occupy the model thread with a call, so that later calls wait in the queue."""
    first = pool.submit(run, tokenised_of(3))
    assert forward.waiting.wait(SOON)
    return first


def collected(batcher: Batcher, count: int) -> None:
    """Wait until `count` calls have work that has not started."""
    eventually(lambda: batcher.queued >= count)


def test_requests_that_come_while_a_batch_runs_share_the_next_one(batcher, pool):
    forward = Watched()
    run = batcher.shared(0)(forward)
    first = held(forward, run, pool)
    calls = [pool.submit(run, tokenised_of(4, value=n)) for n in range(1, 6)]
    collected(batcher, 5)
    forward.go.set()
    assert first.result(SOON)[:, 0].tolist() == [3]
    assert [call.result(SOON)[:, 0].tolist() for call in calls] == [[4 * n] for n in range(1, 6)]
    assert forward.real == [1, 5]


def test_every_row_is_padded_to_its_own_length_and_returned_in_order(batcher, pool):
    forward = Watched()
    forward.go.set()
    run = batcher.shared(0)(forward)
    random = np.random.default_rng(0)
    asked = [random.integers(1, 33, random.integers(1, 30)).tolist() for _ in range(20)]
    calls = [pool.submit(run, tokenised_of(*lengths)) for lengths in asked]
    for lengths, call in zip(asked, calls, strict=True):
        found = call.result(SOON)
        assert found[:, 0].tolist() == lengths
        expected = [next(n for n in (16, 24, 32) if n >= length) for length in lengths]
        assert found[:, 1].tolist() == expected
    assert all(batch * length <= 128 for batch, length in forward.batches)


def test_urgent_work_comes_before_the_next_chunk_of_other_work(batcher, pool):
    urgent, patient = Watched(), Watched()
    urgent.go.set()
    ask, rank = batcher.shared(0)(urgent), batcher.shared(1)(patient)
    long = pool.submit(rank, tokenised_of(*[16] * 40))  # five chunks of eight
    assert patient.waiting.wait(SOON)
    quick = pool.submit(ask, tokenised_of(5))
    collected(batcher, 2)
    before = len(patient.batches)
    patient.go.set()
    quick.result(SOON)
    assert long.result(SOON)[:, 0].tolist() == [16] * 40
    assert before == 0
    assert len(patient.batches) == 5
    assert len(urgent.batches) == 1


def test_endless_urgent_work_does_not_stop_other_work(batcher, pool):
    urgent, patient = Watched(), Watched()
    patient.go.set()
    ask, rank = batcher.shared(0)(urgent), batcher.shared(1)(patient)
    first = pool.submit(ask, tokenised_of(3))
    assert urgent.waiting.wait(SOON)
    flood = [pool.submit(ask, tokenised_of(*[16] * 8)) for _ in range(12)]  # full batches
    waits = pool.submit(rank, tokenised_of(5))
    collected(batcher, 13)
    done_before: list[int] = []
    waits.add_done_callback(lambda _: done_before.append(sum(f.done() for f in flood)))
    urgent.go.set()
    waits.result(SOON)
    for call in (first, *flood):
        call.result(SOON)
    assert done_before[0] < 12


def test_work_of_a_cancelled_request_is_dropped(batcher, pool):
    forward = Watched()
    run = batcher.shared(0)(forward)
    first = held(forward, run, pool)
    caller = CallContext()

    def call() -> np.ndarray:
        with call_scope(caller):
            return run(tokenised_of(4))

    left = pool.submit(call)
    collected(batcher, 1)
    caller.cancel()
    forward.go.set()
    with pytest.raises(DeadlineExceededError):
        left.result(SOON)
    first.result(SOON)
    assert forward.real == [1]


def test_work_that_cannot_meet_its_deadline_is_not_begun(batcher, clock):
    forward = Watched()
    forward.go.set()
    run = batcher.shared(0)(forward)
    forward.warm_up()
    forward.batches.clear()
    for shape in forward.shapes:
        for _ in range(50):
            forward.measured(shape, 60.0)
    late, in_time = (CallContext(clock() + seconds, clock=clock) for seconds in (59, 61))
    with call_scope(late), pytest.raises(DeadlineExceededError):
        run(tokenised_of(4))
    assert forward.batches == []
    with call_scope(in_time):
        assert run(tokenised_of(4))[:, 0].tolist() == [4]


def test_waiting_requests_release_their_cpu_to_the_model(batcher):
    forward, many = Watched(), 2 * (os.cpu_count() or 1)
    forward.go.set()
    run = batcher.shared(0)(forward)

    def call(length: int) -> float:
        with hold_cpu():
            return float(run(tokenised_of(length))[0, 0])

    with ThreadPoolExecutor(many) as callers:
        calls = [callers.submit(call, 4) for _ in range(many)]
        assert [made.result(SOON) for made in calls] == [4.0] * many


def test_an_error_is_raised_in_its_requests_and_the_thread_goes_on(batcher):
    class Broken(Watched):
        def start(self, _: Tokens):
            raise RuntimeError("no model")

    with pytest.raises(RuntimeError, match="no model"):
        batcher.shared(0)(Broken())(tokenised_of(3))
    forward = Watched()
    forward.go.set()
    assert batcher.shared(0)(forward)(tokenised_of(3))[:, 0].tolist() == [3]


def test_a_row_that_is_too_long_is_refused_in_its_own_thread(batcher):
    with pytest.raises(ValueError, match="more than max_length 32"):
        batcher.shared(0)(Watched())(tokenised_of(33))


def test_no_rows_give_an_empty_result(batcher):
    assert batcher.shared(0)(Watched())(tokenised_of()).shape == (0, 3)


def test_a_closed_batcher_finishes_queued_work_and_takes_no_more(pool):
    batcher, forward = Batcher(), Watched()
    run = batcher.shared(0)(forward)
    calls = [held(forward, run, pool), pool.submit(run, tokenised_of(4))]
    collected(batcher, 1)
    forward.go.set()
    batcher.close()
    assert [call.result(SOON)[:, 0].tolist() for call in calls] == [[3], [4]]
    with pytest.raises(RuntimeError, match="closed"):
        run(tokenised_of(3))


def test_the_estimate_includes_the_work_queued_ahead(batcher, pool, clock):
    forward = Watched()
    run = batcher.shared(1)(forward)
    for shape in forward.shapes:
        for _ in range(60):
            forward.measured(shape, 60.0)
    first = held(forward, run, pool)
    second = pool.submit(run, tokenised_of(*[16] * 16))  # two full batches
    collected(batcher, 1)
    lengths = np.array([16] * 8)
    assert forward.seconds(lengths) == pytest.approx(60, rel=0.02)
    # Four batches of 60 s: the running one, two queued ones, and this call.
    clock.advance(20)
    assert run.seconds(lengths) == pytest.approx(60 * 4 - 20, rel=0.02)
    clock.advance(60)  # the running batch takes longer than expected
    assert run.seconds(lengths) == pytest.approx(60 * 3, rel=0.02)
    forward.go.set()
    first.result(SOON)
    second.result(SOON)


def test_background_work_comes_last_and_in_small_chunks(batcher, pool):
    urgent, other, background = Watched(), Watched(), Watched()
    # A batch of one row is fast enough for background work; a full batch is not.
    for shape in background.shapes:
        background.measured(shape, 0.001 if shape[0] == 1 else 1.0)
    background.go.set()
    other.go.set()

    def later() -> np.ndarray:
        with call_scope(CallContext(background=True)):
            return batcher.shared(0)(background)(tokenised_of(*[16] * 3))

    first = held(urgent, batcher.shared(0)(urgent), pool)
    last = pool.submit(later)
    collected(batcher, 1)
    rank = pool.submit(batcher.shared(1)(other), tokenised_of(5))
    collected(batcher, 2)
    ranked_before: list[int] = []
    rank.add_done_callback(lambda _: ranked_before.append(len(background.batches)))
    urgent.go.set()
    assert last.result(SOON)[:, 0].tolist() == [16] * 3
    first.result(SOON)
    # When the other call ends, the thread may have begun the first background batch.
    assert ranked_before[0] <= 1
    assert background.batches == [(1, 16)] * 3


def test_background_work_runs_in_full_batches_while_there_are_no_requests(batcher, clock):
    requests, background = Watched(), Watched()
    for forward in (requests, background):
        forward.go.set()
    # A batch of one row is fast enough for background work; a full batch is not.
    for shape in background.shapes:
        background.measured(shape, 0.001 if shape[0] == 1 else 1.0)

    def batches() -> list[tuple[int, int]]:
        background.batches.clear()
        with call_scope(CallContext(background=True)):
            batcher.shared(0)(background)(tokenised_of(*[16] * 16))
        return list(background.batches)

    assert batches() == [(8, 16)] * 2
    batcher.shared(0)(requests)(tokenised_of(4))
    clock.advance(1.0)
    assert batches() == [(1, 16)] * 16
    clock.advance(0.1)
    assert batches() == [(8, 16)] * 2


def test_no_priority_stops_another(batcher, pool):
    urgent, other, background = Watched(), Watched(), Watched()
    other.go.set()
    background.go.set()

    def later() -> np.ndarray:
        with call_scope(CallContext(background=True)):
            return batcher.shared(0)(background)(tokenised_of(5))

    first = held(urgent, batcher.shared(0)(urgent), pool)
    flood = [pool.submit(batcher.shared(0)(urgent), tokenised_of(*[16] * 8)) for _ in range(14)]
    waits = [pool.submit(batcher.shared(1)(other), tokenised_of(5)), pool.submit(later)]
    collected(batcher, 16)
    done_before: list[int] = []
    for call in waits:
        call.add_done_callback(lambda _: done_before.append(sum(f.done() for f in flood)))
    urgent.go.set()
    for call in (first, *flood, *waits):
        call.result(SOON)
    assert max(done_before) < 14


def test_background_work_does_not_count_as_backlog(batcher, pool):
    forward = Watched()
    for shape in forward.shapes:
        for _ in range(60):
            forward.measured(shape, 60.0)

    def later() -> np.ndarray:
        with call_scope(CallContext(background=True)):
            return batcher.shared(1)(forward)(tokenised_of(*[16] * 16))

    run = batcher.shared(1)(forward)
    first = held(forward, run, pool)
    before = batcher.backlog()
    behind = pool.submit(later)
    collected(batcher, 1)
    assert batcher.backlog() <= before
    forward.go.set()
    first.result(SOON)
    behind.result(SOON)
