"""An answer in several parts, handed from a worker's thread to the event loop as they come."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import TypeVar

from server.worker_pool import WorkerPool

Part = TypeVar("Part")


async def parts_of(
    worker: WorkerPool, work: Callable[[Callable[[Part], None]], Part], deadline: float | None
) -> AsyncGenerator[tuple[Part, bool]]:
    """Yield what `work` hands to the function it is given, then what it returns.

    Args:
        worker: Runs the work. Ending the iteration early drops what is left of it.
        work: The job.
        deadline: As of `WorkerPool.run`, which says what is raised.

    Yields:
        A part, and whether it is the last.
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
