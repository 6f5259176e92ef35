"""Stream the parts of an answer from a thread of the worker pool to the event loop."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import TypeVar

from server.worker_pool import WorkerPool

Part = TypeVar("Part")


async def parts_of(
    worker: WorkerPool, work: Callable[[Callable[[Part], None]], Part], deadline: float | None
) -> AsyncGenerator[tuple[Part, bool]]:
    """Run `work` in a pool and yield the parts of its answer; raise the errors of `WorkerPool.run`.

    Args:
        worker: The pool. If the iteration ends early, the pool drops the remaining work.
        work: Calls its argument with each early part, and returns the last part.
        deadline: In seconds of `time.monotonic()`; None: no deadline.

    Yields:
        A part, and whether it is the last part.
    """
    loop = asyncio.get_running_loop()
    parts: asyncio.Queue[Part | None] = asyncio.Queue()

    def hand_out(part: Part) -> None:
        loop.call_soon_threadsafe(parts.put_nowait, part)

    job = asyncio.ensure_future(worker.run(lambda: work(hand_out), deadline))
    job.add_done_callback(lambda _: parts.put_nowait(None))
    try:
        while (part := await parts.get()) is not None:
            yield part, False
        yield await job, True
    finally:
        job.cancel()
