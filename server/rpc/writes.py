"""Streams of writes to the catalogue: convert, queue, answer in their order."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from dataclasses import fields
from typing import Protocol, TypeVar, runtime_checkable

from google.protobuf.field_mask_pb2 import FieldMask

from catalog.items import Item
from live.catalogue import LiveCatalogue
from live.errors import ReadOnlyError
from live.write_ahead_log import MAX_REQUEST_ID_CHARACTERS, Acknowledgement, Write
from search.errors import RequestError
from server.convert.items import item_record
from server.interceptors.errors import error_status
from shortlist.v1 import catalog_service_pb2, item_pb2

_AGAIN_SECONDS = 0.05  # between the first two looks at whether a write still has to wait
_AGAIN_AT_MOST = 0.4  # and between later ones
_UNDER_WAY = 256  # writes of one stream that are not answered yet

_FIELDS = frozenset(field.name for field in fields(Item)) - {"item_id"}


@runtime_checkable
class _Request(Protocol):
    """What every write has."""

    request_id: str


Request = TypeVar("Request", bound=_Request)
Response = TypeVar("Response")


async def answers(
    requests: AsyncIterator[Request],
    convert: Callable[[Request], Write],
    answer: Callable[..., Response],
    live: LiveCatalogue | None,
    method: str,
) -> AsyncIterator[Response]:
    """What becomes of each write of a stream, in its order, as soon as it is known.

    Args:
        requests: The stream; no more is read of it than can be answered soon.
        convert: Makes a write of a request, or raises RequestError.
        answer: Makes the message that tells of it, with `sequence` and `repeated` or an `error`.
        live: The catalogue; None of a server that takes no writes.
        method: The full name of the method, for the log.

    Raises:
        ReadOnlyError: the server takes no writes.
        ClosedError: it is going down.
    """
    if live is None:
        raise ReadOnlyError
    queued: asyncio.Queue[tuple[str, Future[Acknowledgement]] | None] = asyncio.Queue(_UNDER_WAY)

    async def read() -> Exception | None:
        fault = None
        try:
            async for request in requests:
                await queued.put((request.request_id, await _queued(request, convert, live)))
        except Exception as error:  # what was queued before is answered first
            fault = error
        await queued.put(None)
        return fault

    reading = asyncio.create_task(read())
    try:
        while (under_way := await queued.get()) is not None:
            request_id, future = under_way
            try:
                made = future.result() if future.done() else await asyncio.wrap_future(future)
            except Exception as error:
                yield answer(request_id=request_id, error=error_status(error, method))
            else:
                yield answer(request_id=request_id, sequence=made.sequence, repeated=made.repeated)
        if (fault := await reading) is not None:
            raise fault
    finally:
        reading.cancel()


async def _queued(
    request: Request, convert: Callable[[Request], Write], live: LiveCatalogue
) -> "Future[Acknowledgement]":
    try:
        write = convert(request)
    except RequestError as error:
        refused: Future[Acknowledgement] = Future()
        refused.set_exception(error)
        return refused
    # No thread waits for it: there are few, and another may take milliseconds to have its turn.
    pause = _AGAIN_SECONDS
    while (future := live.write_soon(write)) is None:
        await asyncio.sleep(pause)
        pause = min(2 * pause, _AGAIN_AT_MOST)
    return future


def upsert(request: catalog_service_pb2.UpsertItemsRequest) -> Write:
    """Returns the write that a request asks for; raises RequestError."""
    request_id = _request_id(request.request_id)
    if not request.item.item_id:
        raise RequestError("item.item_id", "must not be empty")
    paths = _paths(request.update_mask)
    if not paths:
        item = item_record(request.item, "item", needs_id=True)
        given = {name: value for name in _FIELDS if (value := getattr(item, name)) is not None}
        return Write(request_id, item.item_id, given)
    checked = item_pb2.Item()
    checked.CopyFrom(request.item)
    if "title" not in paths:
        checked.title = "-"  # what is not written need not be there
    item = item_record(checked, "item", needs_id=True)
    return Write(
        request_id, item.item_id, {path: getattr(item, path) for path in paths}, whole=False
    )


def deletion(request: catalog_service_pb2.DeleteItemsRequest) -> Write:
    """Returns the write that a request asks for; raises RequestError."""
    if not request.item_id:
        raise RequestError("item_id", "must not be empty")
    return Write(_request_id(request.request_id), request.item_id, None)


def _request_id(given: str) -> str:
    if not 1 <= len(given) <= MAX_REQUEST_ID_CHARACTERS:
        raise RequestError("request_id", f"must have 1 to {MAX_REQUEST_ID_CHARACTERS} characters")
    return given


def _paths(mask: FieldMask) -> tuple[str, ...]:
    paths = tuple(dict.fromkeys(mask.paths))
    for place, path in enumerate(mask.paths):
        if path not in _FIELDS:
            known = ", ".join(sorted(_FIELDS))
            raise RequestError(f"update_mask.paths[{place}]", f"must be one of {known}")
    return paths
