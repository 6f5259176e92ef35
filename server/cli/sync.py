"""`shortlist sync`: write what an export changes to a running server."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

import grpc

from catalog.items import ID, Item
from catalog.store import ItemStore
from server.cli.connection import ConnectionConfig
from server.cli.sync_plan import Plan, compare, cut
from server.convert.items import item_message, item_record
from shortlist.client import Client, ShortlistError
from shortlist.requests import deletion, upsert
from shortlist.v1.catalog_service_pb2 import UpsertItemsRequest

Call: TypeAlias = Callable[[Sequence[Any]], Iterator[Any]]  # sends writes, and yields the answers
Value = TypeVar("Value")

_PAGE = 1_000  # items of the server that are in memory at a time
_BATCH = 200  # writes of one stream
_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds before a stream that broke is sent again
# The stream may succeed later.
_PASSING = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
)


class CallError(Exception):
    """A call of the server failed. The message has the reason."""


@dataclass(frozen=True, kw_only=True)
class SyncTarget(ConnectionConfig):
    """The server, and what may be written to it."""

    # file with the bearer token, which needs the roles read and write; without TLS, the token is
    # sent only to this machine
    token_file: Path | None = None
    dry_run: bool = False  # print what would be written, and write nothing
    delete: bool = False  # delete the items of the server that the export lacks
    # largest share of the server's items, and of the values of a field, that the export may lack,
    # such as 5% or 0.05; if it lacks more, nothing is written
    max_deletions: str = "5%"
    timeout_seconds: float = 120.0  # how long to wait for the answer to a page or to 200 writes


def sync(
    items: ItemStore,
    target: SyncTarget,
    max_share: float,
    say: Callable[[str], object],
    sleep: Callable[[float], object] = time.sleep,
    unread: Mapping[str, AbstractSet[str]] = MappingProxyType({}),
) -> bool:
    """Compare the items of an export with a server's, and write the differences.

    Args:
        items: The items of the export.
        target: The server, and what may be written to it.
        max_share: The value of `max_deletions` as a number.
        say: Prints a line.
        sleep: Waits for some seconds before a stream that broke is sent again.
        unread: What the export has and cannot be read; see `compare`.

    Returns:
        Whether the server took all writes.

    Raises:
        InputError: the export lacks too much.
        CallError: a call failed.
        OSError: a TLS file or the token file cannot be read.
        ValueError: a flag is not valid.
    """
    try:
        with target.connect(target.timeout_seconds, target.token_file) as client:
            plan = compare(items, _served(client), unread)
            for line in plan.lines(target.delete):
                say(line)
            plan.check(max_share)
            if target.dry_run:
                say("dry run: nothing is written")
                return True
            return _write(client, items, plan, target.delete, say, sleep)
    except ShortlistError as error:
        raise CallError(str(error)) from error


def _served(client: Client) -> Iterator[Item]:
    """Yield all items of the server."""
    token = ""
    while True:
        page = client.list_items(_PAGE, token)
        yield from (item_record(message, "item") for message in page.items)
        if not (token := page.next_page_token):
            return


def _write(
    client: Client,
    items: ItemStore,
    plan: Plan,
    delete: bool,
    say: Callable[[str], object],
    sleep: Callable[[float], object],
) -> bool:
    """Write a plan in batches; return whether the server took all writes."""
    failed = 0

    def send(call: Call, requests: Sequence[Any]) -> None:
        nonlocal failed
        for item_id, problem in _send(call, requests, sleep):
            failed += 1
            say(f"not written: {item_id}: {problem}")

    for batch in _batches(plan.writes):
        send(client.upsert_items, [_upsert(items, item_id, names) for item_id, names in batch])
    deletions = plan.missing if delete else []
    for ids in _batches(deletions):
        send(client.delete_items, [deletion(item_id) for item_id in ids])
    total = len(plan.writes) + len(deletions)
    say(f"written: {total - failed:,} of {total:,}")
    return not failed


def _batches(values: Sequence[Value]) -> Iterator[Sequence[Value]]:
    return (values[start : start + _BATCH] for start in range(0, len(values), _BATCH))


def _upsert(items: ItemStore, item_id: str, names: tuple[str, ...]) -> UpsertItemsRequest:
    item = cut(items.item(items.row(item_id)))
    return upsert(item_message(item, frozenset({ID, *names}) if names else None), fields=names)


def _send(
    send: Call, requests: Sequence[Any], sleep: Callable[[float], object]
) -> Iterator[tuple[str, str]]:
    """Send a stream of writes, and yield the id and the problem of each write that is refused.

    A stream that breaks is sent again, without the writes that were answered. The server
    recognises a write that it took before by its request id.

    Raises:
        ShortlistError: the stream broke too often, or for a reason that does not pass.
    """
    pauses, answered = iter(_PAUSES), 0
    while answered < len(requests):
        try:
            for response in send(requests[answered:]):
                request = requests[answered]
                answered += 1
                if response.HasField("error"):
                    item = getattr(request, "item", request)
                    yield item.item_id, response.error.message
        except ShortlistError as error:
            pause = next(pauses, None) if error.code in _PASSING else None
            if pause is None:
                raise
            sleep(pause)
