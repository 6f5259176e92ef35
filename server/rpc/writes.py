"""Streams of writes to the catalogue: convert and queue the writes, and answer in order."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from typing import Protocol, TypeVar, runtime_checkable

from base.errors import RequestError
from live.catalogue import LiveCatalogue
from live.errors import ReadOnlyError
from live.log.write import Write
from live.log.write_ahead_log import Acknowledgement
from server.convert.items import item_record
from server.interceptors.errors import error_status
from shortlist.v1 import catalog_service_pb2

_MAX_UNANSWERED = 256  # largest number of writes of a stream that are read but not answered


@runtime_checkable
class _Request(Protocol):
    """The field that all write requests have in common."""

    request_id: str


Request = TypeVar("Request", bound=_Request)
Response = TypeVar("Response")


async def answers(
    requests: AsyncIterator[Request],
    convert: Callable[[Request], Write],
    answer: Callable[..., Response],
    live: LiveCatalogue | None,
    method: str,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[Response]:
    """Yield the answer to each write of a stream, in the order of the writes.

    Args:
        requests: The stream. Reading pauses while too many writes have no answer yet.
        convert: Converts a request to a write, or raises RequestError.
        answer: Creates the response from `sequence` and `repeated`, or from an `error`.
        live: The catalogue; None when the server takes no writes.
        method: The full name of the method, for the log.
        sleep: Waits for some seconds before another attempt to queue a write.

    Raises:
        ReadOnlyError: The server takes no writes.
        ClosedError: The server is going down.
    """
    if live is None:
        raise ReadOnlyError
    queued: asyncio.Queue[tuple[str, Future[Acknowledgement]] | None] = asyncio.Queue(
        _MAX_UNANSWERED
    )

    async def read() -> Exception | None:
        failure = None
        try:
            async for request in requests:
                written = await _queue_write(request, convert, live, sleep)
                await queued.put((request.request_id, written))
        except Exception as error:  # raised after the queued writes are answered
            failure = error
        await queued.put(None)
        return failure

    reading = asyncio.create_task(read())
    try:
        while (entry := await queued.get()) is not None:
            request_id, future = entry
            try:
                written = future.result() if future.done() else await asyncio.wrap_future(future)
            except Exception as error:
                yield answer(request_id=request_id, error=error_status(error, method))
            else:
                yield answer(
                    request_id=request_id, sequence=written.sequence, repeated=written.repeated
                )
        if (failure := await reading) is not None:
            raise failure
    finally:
        reading.cancel()


async def _queue_write(
    request: Request,
    convert: Callable[[Request], Write],
    live: LiveCatalogue,
    sleep: Callable[[float], Awaitable[None]],
) -> "Future[Acknowledgement]":
    try:
        write = convert(request)
    except RequestError as error:
        refused: Future[Acknowledgement] = Future()
        refused.set_exception(error)
        return refused
    # Pause on the event loop, not in a thread: threads are few, and a switch takes milliseconds.
    pause = live.config.retry_write_seconds
    while (future := live.write_soon(write)) is None:
        await sleep(pause)
        pause = min(2 * pause, live.config.max_retry_write_seconds)
    return future


def upsert(request: catalog_service_pb2.UpsertItemsRequest) -> Write:
    """Convert a request to a write; raise RequestError if a field is invalid."""
    item = item_record(request.item, "item")
    return Write.upsert(request.request_id, item, request.update_mask.paths)


def deletion(request: catalog_service_pb2.DeleteItemsRequest) -> Write:
    """Convert a request to a write; raise RequestError if a field is invalid."""
    return Write(request.request_id, request.item_id, None)
