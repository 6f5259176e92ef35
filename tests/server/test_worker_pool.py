import asyncio
import math
import os
import threading
import time
from collections.abc import Iterator

import pytest

from search.errors import DeadlineExceededError
from search.runtime.batching import current_context
from search.runtime.cpu_limit import release_cpu
from server import worker_pool
from server.worker_pool import OverloadedError, StoppingError, Worker

SOON = 10.0  # seconds that nothing here takes unless it hangs


class Gate:
    """A job that waits until it is opened, so that others queue behind it."""

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
def worker() -> Iterator[Worker]:
    worker = Worker(queue_size=2)
    yield worker
    worker.close()


async def blocked(worker: Worker) -> tuple[Gate, asyncio.Task[str]]:
    """Returns the gate that the worker now stands at, and its job."""
    gate = Gate()
    task = asyncio.create_task(worker.run(gate))
    assert await asyncio.to_thread(gate.running.wait, SOON)
    return gate, task


def test_answers_come_back_from_one_thread_that_is_not_the_callers(worker: Worker) -> None:
    async def scenario() -> set[int]:
        return {await worker.run(threading.get_ident) for _ in range(5)}

    threads = asyncio.run(scenario())
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_jobs_run_in_the_order_in_which_they_came(worker: Worker) -> None:
    order: list[int] = []

    async def scenario() -> None:
        gate, first = await blocked(worker)
        rest = [asyncio.create_task(worker.run(lambda n=n: order.append(n))) for n in (1, 2)]
        await asyncio.sleep(0)
        gate.open()
        await asyncio.gather(first, *rest)

    asyncio.run(scenario())
    assert order == [1, 2]


def test_the_event_loop_stays_free_while_a_job_runs(worker: Worker) -> None:
    async def scenario() -> int:
        gate, job = await blocked(worker)
        ticks = 0
        while ticks < 10:
            await asyncio.sleep(0.001)
            ticks += 1
        gate.open()
        await job
        return ticks

    assert asyncio.run(scenario()) == 10


def test_an_exception_reaches_the_caller_and_the_worker_goes_on(worker: Worker) -> None:
    def fail() -> None:
        raise KeyError("row")

    async def scenario() -> str:
        with pytest.raises(KeyError, match="row"):
            await worker.run(fail)
        return await worker.run(lambda: "still here")

    assert asyncio.run(scenario()) == "still here"


def test_a_full_queue_refuses_and_says_when_to_come_back(worker: Worker) -> None:
    async def scenario() -> float:
        gate, first = await blocked(worker)
        queued = [asyncio.create_task(worker.run(lambda: None)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError) as refused:
            await worker.run(lambda: None)
        gate.open()
        await asyncio.gather(first, *queued)
        await worker.run(lambda: None)  # there is room again
        return refused.value.retry_seconds

    assert 0.1 <= asyncio.run(scenario()) <= 10


def test_a_job_whose_caller_has_gone_is_never_begun(worker: Worker) -> None:
    ran: list[str] = []

    async def scenario() -> None:
        gate, first = await blocked(worker)
        gone = asyncio.create_task(worker.run(lambda: ran.append("gone")))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        gate.open()
        assert await first == "through"
        await worker.run(lambda: ran.append("here"))

    asyncio.run(scenario())
    assert ran == ["here"]


def test_a_job_whose_deadline_passes_in_the_queue_is_never_begun(worker: Worker) -> None:
    ran: list[str] = []

    async def scenario() -> None:
        gate, first = await blocked(worker)
        late = asyncio.create_task(
            worker.run(lambda: ran.append("late"), deadline=time.monotonic() + 0.02)
        )
        await asyncio.sleep(0.04)
        gate.open()
        await first
        with pytest.raises(DeadlineExceededError):
            await late

    asyncio.run(scenario())
    assert ran == []


def test_a_deadline_in_the_past_is_refused_without_queueing(worker: Worker) -> None:
    async def scenario() -> None:
        gate, first = await blocked(worker)
        with pytest.raises(DeadlineExceededError):
            await worker.run(lambda: None, deadline=time.monotonic() - 1)
        gate.open()
        await first

    asyncio.run(scenario())


def test_a_closed_worker_takes_no_more_work() -> None:
    worker = Worker(queue_size=1)
    worker.close()
    worker.close()  # closing twice is no error
    with pytest.raises(StoppingError):
        asyncio.run(worker.run(lambda: None))


def test_closing_finishes_what_waits() -> None:
    worker = Worker(queue_size=1)  # so the mark that ends the thread has to wait for room itself

    async def scenario() -> tuple[str, str]:
        gate, first = await blocked(worker)
        second = asyncio.create_task(worker.run(lambda: "second"))
        await asyncio.sleep(0)
        closing = asyncio.create_task(asyncio.to_thread(worker.close))
        await asyncio.sleep(0.01)
        gate.open()
        answers = await first, await second
        await closing
        return answers

    assert asyncio.run(scenario()) == ("through", "second")


def test_several_threads_run_jobs_at_the_same_time() -> None:
    many = 8 * (os.cpu_count() or 1)
    worker = Worker(queue_size=many, threads=many)
    together = threading.Barrier(many)

    def job() -> int:
        with release_cpu():
            return together.wait(SOON)

    async def scenario() -> list[int]:
        return await asyncio.gather(*(worker.run(job) for _ in range(many)))

    assert sorted(asyncio.run(scenario())) == list(range(many))
    worker.close()


def test_no_more_jobs_compute_at_a_time_than_there_are_cores() -> None:
    cores = os.cpu_count() or 1
    worker = Worker(queue_size=4 * cores, threads=4 * cores)
    counting, now, most = threading.Lock(), 0, 0

    def count(more: int) -> None:
        nonlocal now, most
        with counting:
            now += more
            most = max(most, now)

    def job() -> None:
        count(1)
        time.sleep(0.005)  # the others would begin meanwhile
        count(-1)

    async def scenario() -> None:
        await asyncio.gather(*(worker.run(job) for _ in range(4 * cores)))

    asyncio.run(scenario())
    worker.close()
    assert 1 <= most <= cores


def test_a_job_that_would_be_late_behind_those_that_wait_is_refused_at_once(
    worker: Worker,
) -> None:
    async def scenario() -> None:
        worker._mean_seconds = 60.0
        in_time = time.monotonic() + 30  # nothing waits: it may be quicker than most
        assert await worker.run(lambda: "tried", in_time) == "tried"
        gate, first = await blocked(worker)
        second = asyncio.create_task(worker.run(lambda: None))
        await asyncio.sleep(0)
        worker._mean_seconds, worker._mean_place = 1.0, 60.0
        worker._learnt = time.monotonic()
        with pytest.raises(OverloadedError) as refused:
            await worker.run(lambda: None, time.monotonic() + 100)
        assert refused.value.retry_seconds == 10.0  # at most
        third = asyncio.create_task(worker.run(lambda: "in time", time.monotonic() + 200))
        await asyncio.sleep(0)
        gate.open()
        await asyncio.gather(first, second)
        assert await third == "in time"

    asyncio.run(scenario())


def test_it_learns_how_long_the_queue_takes(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_pool, "_HALF_LIFE_SECONDS", math.inf)

    async def scenario() -> None:
        assert worker._seconds_behind(0) == 0.0
        gate, first = await blocked(worker)
        rest = [asyncio.create_task(worker.run(lambda: time.sleep(0.1))) for _ in range(2)]
        await asyncio.sleep(0.1)
        gate.open()
        await asyncio.gather(first, *rest)

    asyncio.run(scenario())
    # One had another ahead of it: it waited 0.2 s or more for two places, then took 0.1 s. A tenth
    # of that is in the means, which were 0.
    assert worker._mean_place >= 0.01
    assert worker._mean_seconds >= 0.01
    assert worker._seconds_behind(9) == 10 * worker._mean_place + worker._mean_seconds


def test_what_it_learnt_in_a_slow_spell_does_not_keep_calls_out(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        gate, first = await blocked(worker)
        rest = [asyncio.create_task(worker.run(lambda: time.sleep(0.1))) for _ in range(2)]
        await asyncio.sleep(0.1)
        gate.open()
        await asyncio.gather(first, *rest)
        deadline = time.monotonic() + SOON
        worker._mean_seconds = 2 * SOON  # as if it had been much slower
        gate, first = await blocked(worker)
        queued = asyncio.create_task(worker.run(lambda: "in time", SOON + time.monotonic()))
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError):
            await worker.run(lambda: "too late", deadline)
        monkeypatch.setattr(worker_pool, "_HALF_LIFE_SECONDS", 0.001)
        await asyncio.sleep(0.05)
        late = asyncio.create_task(worker.run(lambda: "in time", SOON + time.monotonic()))
        await asyncio.sleep(0)
        gate.open()
        assert await asyncio.gather(first, queued, late) == ["through", "in time", "in time"]

    asyncio.run(scenario())


def test_the_model_work_of_a_caller_who_left_is_known_to_be_of_no_use(worker: Worker) -> None:
    begun, seen = threading.Event(), []

    def job() -> None:
        caller = current_context()
        assert caller is not None
        begun.set()
        until = time.monotonic() + SOON
        while not caller.expired() and time.monotonic() < until:
            time.sleep(0.001)
        seen.append(caller.expired())

    async def scenario() -> None:
        task = asyncio.create_task(worker.run(job))
        await asyncio.to_thread(begun.wait, SOON)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await worker.run(lambda: None)

    asyncio.run(scenario())
    assert seen == [True]


def test_it_says_how_many_jobs_wait_and_run_and_how_long_each_waited() -> None:
    waits: list[float] = []
    worker = Worker(queue_size=2, waited=waits.append)

    async def scenario() -> None:
        gate, first = await blocked(worker)
        rest = [asyncio.create_task(worker.run(lambda: None)) for _ in range(2)]
        await asyncio.sleep(0.05)
        assert (worker.running, worker.waiting) == (1, 2)
        gate.open()
        await asyncio.gather(first, *rest)

    asyncio.run(scenario())
    worker.close()
    assert (worker.running, worker.waiting) == (0, 0)
    assert len(waits) == 3
    assert waits[0] < 0.05 <= min(waits[1:])
