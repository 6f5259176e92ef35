"""`shortlist sync`: what an export changes is written to a running server, and nothing else."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from catalog.items import MAX_ITEM_CHARACTERS, Item
from commands.sync_export import main
from server.cli import sync as module
from server.config import ServerConfig
from shortlist.client import Client, ShortlistError
from shortlist.requests import upsert
from shortlist.v1.item_pb2 import Item as ItemMessage
from tests.server.conftest import Running, run_server
from tests.timing import eventually
from tests.tiny import tiny_items

Rows = list[dict[str, Any]]


@pytest.fixture
def config(tiny_bundle: Path, compilation_cache: Path) -> ServerConfig:
    return ServerConfig(tiny_bundle, port=0, drain_seconds=0.0, compilation_cache=compilation_cache)


@pytest.fixture
def server(config: ServerConfig, tmp_path: Path) -> Iterator[Running]:
    """A server of the tiny bundle that takes writes."""
    with run_server(replace(config, state=tmp_path / "state")) as running:
        yield running


def rows() -> Rows:
    """Return the items of the tiny bundle as rows of an export, without their ratings."""
    return [
        {name: value for name, value in row_of(item).items() if value not in (None, ())}
        for item in tiny_items()
    ]


def row_of(item: Item) -> dict[str, Any]:
    values = vars(item) | {"released": item.released and item.released.isoformat()}
    return {name: value for name, value in values.items() if "rating" not in name}


@pytest.fixture
def sync(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Return a function that synchronises a server with rows; it returns exit code and output."""

    def run(export: Rows, *words: str) -> tuple[int, str]:
        path = tmp_path / "items.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in export), "utf-8")
        code = main([str(path), *words, "--timeout-seconds", "60"], "shortlist sync")
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run


def test_only_what_differs_is_written(server: Running, sync: Callable[..., Any]) -> None:
    at = ("--address", server.address)
    export = rows()
    code, same = sync(export, *at)
    assert (code, same.splitlines()[-1]) == (0, "written: 0 of 0")
    export[0] |= {"price": 1.25, "title": "Voltix charger, red"}
    export[1]["price"] = 2.5
    export[2] |= {"attributes": {"watt": "1", "colour": ["red", "blue"]}, "categories": ["A", "B"]}
    del export[2]["category"]
    export.append({"item_id": "new", "title": "New lamp", "price": 5, "in_stock": True})
    code, planned = sync(export, *at, "--dry-run")
    assert code == 0
    first = tiny_items()[0]
    assert planned.splitlines() == [
        "49 items in the export, 48 on the server",
        "new: 1 item (new)",
        "changed: 3 items",
        f"  price: 2, such as {export[1]['item_id']}: {first.price} → 2.5",
        f"  attributes: 1, such as {export[2]['item_id']}: {{'watt': ('1',)}} → "
        "{'watt': ('1',), 'colour': ('red', 'blue')}",
        f"  categories: 1, such as {export[2]['item_id']}: ('Electronics > Chargers',) → "
        "('A', 'B')",
        f"  title: 1, such as {first.item_id}: {first.title!r} → 'Voltix charger, red'",
        "not in the export and not compared: group_id, rating, rating_count, image_url, "
        "identifiers, url, currency, language",
        "dry run: nothing is written",
    ]
    with Client(server.address, timeout_seconds=60) as client:
        assert client.get_item(first.item_id).price == first.price
        code, written = sync(export, *at)
        assert (code, written.splitlines()[-1]) == (0, "written: 4 of 4")
        eventually(lambda: client.batch_get_items(["new"]).items)
        eventually(lambda: client.get_item(first.item_id).title == "Voltix charger, red")
        same = sync(export, *at)[1].splitlines()
        assert same[1:3] == ["new: 0 items", "changed: 0 items"]
        item = client.get_item(first.item_id)
        assert (item.price, item.rating) == (1.25, first.rating)
        assert list(client.get_item(export[2]["item_id"]).categories) == ["A", "B"]
        assert client.get_item("new").in_stock


def test_missing_items_are_deleted_only_if_asked_for(
    server: Running, sync: Callable[..., Any]
) -> None:
    at = ("--address", server.address)
    export = rows()[1:]
    gone = rows()[0]["item_id"]
    code, kept = sync(export, *at)
    assert code == 0
    assert f"not in the export and kept (--delete deletes): 1 item ({gone})" in kept
    with Client(server.address, timeout_seconds=60) as client:
        assert client.get_item(gone)
        code, deleted = sync(export, *at, "--delete")
        assert code == 0
        assert f"deleted: 1 item ({gone})" in deleted
        assert list(client.batch_get_items([gone]).missing_item_ids) == [gone]


def test_cells_and_rows_that_cannot_be_read_change_nothing(
    server: Running, sync: Callable[..., Any]
) -> None:
    export = rows()
    export[0]["price"] = "cheap"
    del export[1]["title"]
    first, second = (row["item_id"] for row in export[:2])
    code, said = sync(export, "--address", server.address, "--delete")
    assert (code, said.splitlines()[-1]) == (0, "written: 0 of 0")
    assert f"kept, because rows of the export cannot be read: 1 item ({second})" in said
    with Client(server.address, timeout_seconds=60) as client:
        assert client.get_item(first).price == tiny_items()[0].price
        assert client.get_item(second)


def test_an_export_that_lacks_too_much_writes_nothing(
    server: Running, sync: Callable[..., Any]
) -> None:
    at = ("--address", server.address)
    half = [row | {"price": 1.0} for row in rows()[::2]]
    code, said = sync(half, *at, "--delete")
    assert code == 2
    assert said.splitlines()[-1] == (
        "error: the export lacks 24 of the server's 48 items (50%), and --max-deletions allows 5%; "
        "give a whole export, or a higher --max-deletions"
    )
    blank = [row if n % 4 else row | {"price": None} for n, row in enumerate(rows())]
    code, said = sync(blank, *at)
    assert code == 2
    assert "lacks 12 of the server's 48 values of price (25%)" in said
    with Client(server.address, timeout_seconds=60) as client:
        page = client.list_items(1000)
        assert page.total_size == 48
        assert {item.price for item in page.items} == {item.price for item in tiny_items()}
    assert sync(blank, *at, "--max-deletions", "25%")[0] == 0
    assert sync(half, *at, "--delete", "--max-deletions", "0.5")[0] == 0
    with Client(server.address, timeout_seconds=60) as client:
        assert {item.price for item in client.list_items(1000).items} == {1.0}


def test_sales_begin_and_end_for_all_items(server: Running, sync: Callable[..., Any]) -> None:
    at = ("--address", server.address)
    sale = [row | {"sale_price": row["price"] / 2} for row in rows()]
    assert sync(sale, *at)[1].splitlines()[-1] == "written: 48 of 48"
    code, said = sync(rows(), *at)
    assert (code, said.splitlines()[-1]) == (0, "written: 48 of 48")
    with Client(server.address, timeout_seconds=60) as client:
        assert not any(item.HasField("sale_price") for item in client.list_items(1000).items)


def test_a_text_that_a_server_refuses_is_cut_and_then_equal(
    server: Running, sync: Callable[..., Any]
) -> None:
    export = rows()
    export[0]["description"] = "word " * 40_000
    at = ("--address", server.address)
    with Client(server.address, timeout_seconds=60) as client:

        def length() -> int:
            return len(client.get_item(export[0]["item_id"]).description)

        code, said = sync(export, *at)
        assert (code, said.splitlines()[2]) == (0, "changed: 1 item")
        eventually(lambda: MAX_ITEM_CHARACTERS - 500 < length() < MAX_ITEM_CHARACTERS)
        code, said = sync(export, *at)
        assert (code, said.splitlines()[2]) == (0, "changed: 0 items")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--address", "127.0.0.1:1"), 1, "error: UNAVAILABLE: "),
        (("--max-deletions", "many"), 2, "error: --max-deletions many: is no share; give one"),
        (("--max-deletions", "101%"), 2, "error: --max-deletions 101%: is no share"),
        (("--token-file", "missing"), 2, "error: missing: No such file or directory"),
        (("--mapping", "missing"), 2, "error: missing: cannot be read as TOML"),
    ],
)
def test_an_error_is_one_line(
    sync: Callable[..., Any], words: Sequence[str], code: int, said: str
) -> None:
    found = sync(rows(), *words)
    assert found[0] == code
    assert found[1].startswith(said)
    assert len(found[1].splitlines()) == 1


def test_a_server_without_a_state_directory_takes_no_writes(
    config: ServerConfig, sync: Callable[..., Any], tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret")
    digest = hashlib.sha256(b"s3cret").hexdigest()
    tokens = tmp_path / "tokens"
    tokens.write_text(f"read: {digest}\nwrite: {digest}\n")
    tokens.chmod(0o600)
    with run_server(replace(config, tokens=tokens)) as running:
        at = ("--address", running.address)
        assert sync(rows(), *at)[1].startswith("error: UNAUTHENTICATED")
        code, _ = sync(rows(), *at, "--token-file", str(token))
        assert code == 0
        code, said = sync([row | {"price": 1} for row in rows()], *at, "--token-file", str(token))
    assert code == 1
    assert said.splitlines()[-1].startswith("error: FAILED_PRECONDITION: ")


class BrokenCall:
    """The state of a call that broke."""

    def __init__(self, code: grpc.StatusCode) -> None:
        self.code = lambda: code

    def details(self) -> str:
        return "broken"

    def trailing_metadata(self) -> None:
        return None


def test_a_stream_that_breaks_is_sent_again_without_the_answered_writes(server: Running) -> None:
    writes = [upsert(ItemMessage(item_id=f"lamp-{n}", title="Lamp")) for n in range(3)]
    writes.append(upsert(ItemMessage(item_id="no-title")))
    sizes, waited = [], []
    with Client(server.address, timeout_seconds=60) as client:

        def call(requests: Sequence[Any]) -> Iterator[Any]:
            sizes.append(len(requests))
            for number, response in enumerate(client.upsert_items(requests)):
                if len(sizes) < 3 and number == 1:
                    raise ShortlistError(BrokenCall(grpc.StatusCode.UNAVAILABLE))
                yield response

        refused = list(module._send(call, writes, waited.append))
        assert sizes == [4, 3, 2]
        assert waited == [0.5, 1.0]
        assert refused == [("no-title", "item.title: is empty; give a value")]
        ids = [f"lamp-{n}" for n in range(3)]
        eventually(lambda: len(client.batch_get_items(ids).items) == 3)


@pytest.mark.parametrize(
    ("code", "sent"),
    [(grpc.StatusCode.UNAVAILABLE, 6), (grpc.StatusCode.FAILED_PRECONDITION, 1)],
)
def test_a_stream_that_stays_broken_is_given_up(code: grpc.StatusCode, sent: int) -> None:
    calls = []

    def call(requests: Sequence[Any]) -> Iterator[Any]:
        calls.append(requests)
        raise ShortlistError(BrokenCall(code))

    with pytest.raises(ShortlistError):
        list(module._send(call, [upsert(ItemMessage(item_id="a", title="A"))], lambda _: None))
    assert len(calls) == sent
