import asyncio
import math
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from search.errors import DeadlineExceededError
from search.runtime.batching import current_context
from search.runtime.cpu_limit import release_cpu
from server.worker_pool import OverloadedError, QueueEstimate, StoppingError, WorkerPool
from tests.timing import SOON, Clock, eventually, turn


class Gate:
    """A job that waits until a test opens it, so that later jobs wait in the queue."""

    def __init__(self) -> None:
        self.running = threading.Event()
        self._opened = threading.Event()

    def __call__(self) -> str:
        self.running.set()
        assert self._opened.wait(SOON)
        return "through"

    def open(self) -> None:
        self._opened.set()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pool(clock: Clock) -> Iterator[WorkerPool]:
    pool = WorkerPool(queue_size=2, clock=clock)
    yield pool
    pool.close()


async def blocked(pool: WorkerPool) -> tuple[Gate, asyncio.Task[str]]:
    """Run a gate in the pool, which then waits; return the gate and its task."""
    gate = Gate()
    task = asyncio.create_task(pool.run(gate))
    assert await asyncio.to_thread(gate.running.wait, SOON)
    return gate, task


def test_answers_come_back_from_one_thread_that_is_not_the_callers(pool: WorkerPool) -> None:
    async def scenario() -> set[int]:
        return {await pool.run(threading.get_ident) for _ in range(5)}

    threads = asyncio.run(scenario())
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_jobs_run_in_the_order_in_which_they_came(pool: WorkerPool) -> None:
    order: list[int] = []

    async def scenario() -> None:
        gate, first = await blocked(pool)
        rest = [asyncio.create_task(pool.run(lambda n=n: order.append(n))) for n in (1, 2)]
        await turn()
        gate.open()
        await asyncio.gather(first, *rest)

    asyncio.run(scenario())
    assert order == [1, 2]


def test_the_event_loop_stays_free_while_a_job_runs(pool: WorkerPool) -> None:
    async def scenario() -> int:
        gate, job = await blocked(pool)
        ticks = 0
        while ticks < 10:
            await turn()
            ticks += 1
        gate.open()
        await job
        return ticks

    assert asyncio.run(scenario()) == 10


def test_an_exception_reaches_the_caller_and_the_pool_goes_on(pool: WorkerPool) -> None:
    def fail() -> None:
        raise KeyError("row")

    async def scenario() -> str:
        with pytest.raises(KeyError, match="row"):
            await pool.run(fail)
        return await pool.run(lambda: "still here")

    assert asyncio.run(scenario()) == "still here"


def test_a_full_queue_refuses_and_says_when_to_come_back(pool: WorkerPool) -> None:
    async def scenario() -> float:
        gate, first = await blocked(pool)
        queued = [asyncio.create_task(pool.run(lambda: None)) for _ in range(2)]
        await turn()
        with pytest.raises(OverloadedError) as refused:
            await pool.run(lambda: None)
        gate.open()
        await asyncio.gather(first, *queued)
        await pool.run(lambda: None)  # the queue has room again
        return refused.value.retry_seconds

    assert 0.1 <= asyncio.run(scenario()) <= 10


def test_a_job_whose_caller_has_gone_is_never_begun(pool: WorkerPool) -> None:
    ran: list[str] = []

    async def scenario() -> None:
        gate, first = await blocked(pool)
        gone = asyncio.create_task(pool.run(lambda: ran.append("gone")))
        await turn()
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        gate.open()
        assert await first == "through"
        await pool.run(lambda: ran.append("here"))

    asyncio.run(scenario())
    assert ran == ["here"]


def test_a_job_whose_deadline_passes_in_the_queue_is_never_begun(
    pool: WorkerPool, clock: Clock
) -> None:
    ran: list[str] = []

    async def scenario() -> None:
        gate, first = await blocked(pool)
        late = asyncio.create_task(pool.run(lambda: ran.append("late"), clock() + 0.02))
        await turn()
        clock.advance(0.02)
        gate.open()
        await first
        with pytest.raises(DeadlineExceededError, match="while the work was queued"):
            await late

    asyncio.run(scenario())
    assert ran == []


def test_a_deadline_in_the_past_is_refused_without_queueing(pool: WorkerPool, clock: Clock) -> None:
    async def scenario() -> None:
        gate, first = await blocked(pool)
        with pytest.raises(DeadlineExceededError):
            await pool.run(lambda: None, deadline=clock() - 1)
        gate.open()
        await first

    asyncio.run(scenario())


def test_a_closed_pool_takes_no_more_work() -> None:
    pool = WorkerPool(queue_size=1)
    pool.close()
    pool.close()  # closing twice is no error
    with pytest.raises(StoppingError):
        asyncio.run(pool.run(lambda: None))


async def keep_asking(pool: WorkerPool) -> None:
    """Offer jobs to a full pool until it fails for another reason than its full queue."""
    while True:
        with suppress(OverloadedError):
            await pool.run(lambda: None)
        await turn()


def test_closing_finishes_what_waits() -> None:
    # The queue has one place, so the entry that ends the thread must wait for that place too.
    pool = WorkerPool(queue_size=1)

    async def scenario() -> tuple[str, str]:
        gate, first = await blocked(pool)
        second = asyncio.create_task(pool.run(lambda: "second"))
        await turn()
        closing = asyncio.create_task(asyncio.to_thread(pool.close))
        with pytest.raises(StoppingError):
            await keep_asking(pool)
        gate.open()
        answers = await first, await second
        await closing
        return answers

    assert asyncio.run(scenario()) == ("through", "second")


def test_several_threads_run_jobs_at_the_same_time() -> None:
    many = 8 * (os.cpu_count() or 1)
    pool = WorkerPool(queue_size=many, threads=many)
    together = threading.Barrier(many)

    def job() -> int:
        with release_cpu():
            return together.wait(SOON)

    async def scenario() -> list[int]:
        return await asyncio.gather(*(pool.run(job) for _ in range(many)))

    assert sorted(asyncio.run(scenario())) == list(range(many))
    pool.close()


def test_no_more_jobs_compute_at_a_time_than_there_are_cores() -> None:
    cores = os.cpu_count() or 1
    pool = WorkerPool(queue_size=4 * cores, threads=4 * cores)
    counting, now, most = threading.Lock(), 0, 0

    def count(more: int) -> None:
        nonlocal now, most
        with counting:
            now += more
            most = max(most, now)

    def job() -> None:
        count(1)
        time.sleep(0.005)  # other jobs could start in this time
        count(-1)

    async def scenario() -> None:
        await asyncio.gather(*(pool.run(job) for _ in range(4 * cores)))

    asyncio.run(scenario())
    pool.close()
    assert 1 <= most <= cores


def test_a_job_that_would_be_late_behind_those_that_wait_is_refused_at_once(clock: Clock) -> None:
    estimate = QueueEstimate(job_seconds=60.0, clock=clock)
    pool = WorkerPool(queue_size=2, estimate=estimate, clock=clock)

    async def scenario() -> None:
        # Without queued jobs, the pool runs a job even if the estimate exceeds its deadline.
        in_time = clock() + 30
        assert await pool.run(lambda: "tried", in_time) == "tried"
        gate, first = await blocked(pool)
        second = asyncio.create_task(pool.run(lambda: None))
        await turn()
        estimate.job_seconds, estimate.place_seconds = 1.0, 60.0
        estimate.updated = clock()
        with pytest.raises(OverloadedError) as refused:
            await pool.run(lambda: None, clock() + 100)
        assert refused.value.retry_seconds == 10.0  # the maximum
        third = asyncio.create_task(pool.run(lambda: "in time", clock() + 200))
        await turn()
        gate.open()
        await asyncio.gather(first, second)
        assert await third == "in time"

    asyncio.run(scenario())
    pool.close()


async def a_slow_spell(pool: WorkerPool, clock: Clock) -> None:
    """Two jobs of 0.1 s wait behind a gate that takes 0.1 s."""
    gate, first = await blocked(pool)
    rest = [asyncio.create_task(pool.run(lambda: clock.advance(0.1))) for _ in range(2)]
    await turn()
    clock.advance(0.1)
    gate.open()
    await asyncio.gather(first, *rest)


def test_it_learns_how_long_the_queue_takes(clock: Clock) -> None:
    estimate = QueueEstimate(half_life_seconds=math.inf, clock=clock)
    pool = WorkerPool(queue_size=2, estimate=estimate, clock=clock)
    assert estimate.seconds_behind(0) == 0.0
    asyncio.run(a_slow_spell(pool, clock))
    pool.close()
    # Only the last job is a sample, because a job waited in front of it. It waited 0.2 s for two
    # places and ran for 0.1 s. A sample moves the means, which were 0, by a tenth.
    assert estimate.place_seconds == pytest.approx(0.01)
    assert estimate.job_seconds == pytest.approx(0.01)
    assert estimate.seconds_behind(9) == 10 * estimate.place_seconds + estimate.job_seconds


def test_the_estimate_of_a_slow_spell_fades(clock: Clock) -> None:
    estimate = QueueEstimate(half_life_seconds=1.0, clock=clock)
    pool = WorkerPool(queue_size=2, estimate=estimate, clock=clock)

    async def scenario() -> None:
        await a_slow_spell(pool, clock)
        estimate.job_seconds = 60.0
        gate, first = await blocked(pool)
        queued = asyncio.create_task(pool.run(lambda: "in time", clock() + 100.0))
        await turn()
        with pytest.raises(OverloadedError):
            await pool.run(lambda: "too late", clock() + 30.0)
        clock.advance(50.0)
        late = asyncio.create_task(pool.run(lambda: "in time", clock() + 30.0))
        await turn()
        gate.open()
        assert await asyncio.gather(first, queued, late) == ["through", "in time", "in time"]

    asyncio.run(scenario())
    pool.close()


def test_a_running_job_sees_that_its_caller_has_left(pool: WorkerPool) -> None:
    begun, seen = threading.Event(), []

    def job() -> None:
        caller = current_context()
        assert caller is not None
        begun.set()
        seen.append(eventually(caller.expired))

    async def scenario() -> None:
        task = asyncio.create_task(pool.run(job))
        await asyncio.to_thread(begun.wait, SOON)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await pool.run(lambda: None)

    asyncio.run(scenario())
    assert seen == [True]


def test_the_pool_reports_its_jobs_and_their_waits(clock: Clock) -> None:
    waits: list[float] = []
    pool = WorkerPool(queue_size=2, on_wait=waits.append, clock=clock)

    async def scenario() -> None:
        gate, first = await blocked(pool)
        rest = [asyncio.create_task(pool.run(lambda: None)) for _ in range(2)]
        await turn()
        clock.advance(0.05)
        assert (pool.running, pool.waiting) == (1, 2)
        gate.open()
        await asyncio.gather(first, *rest)

    asyncio.run(scenario())
    pool.close()
    assert (pool.running, pool.waiting) == (0, 0)
    assert waits == pytest.approx([0.0, 0.05, 0.05])
