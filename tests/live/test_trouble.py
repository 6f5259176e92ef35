"""Writes to a catalogue whose parts fail or wait."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from base.errors import StorageError
from catalog.filters import Interval, Range
from catalog.items import Item
from live import compaction
from live.config import LiveConfig
from live.errors import ClosedError
from live.log.write_ahead_log import LogError, Write
from search.request import LEXICAL, RetrieveRequest
from tests.live.conftest import LAMP, NEVER, SECONDS, Shop, found
from tests.live.faults import Encode, nothing, raising
from tests.small_disk import small_disk
from tests.tiny import tiny_items


def test_a_durable_write_that_could_not_be_applied_is_applied_before_it_is_acknowledged(shop):
    failing = raising(MemoryError())
    item_id = tiny_items()[0].item_id
    with shop.faults.of(during_apply=failing), pytest.raises(MemoryError):
        shop.write(item_id, None, request="deletion")
    # The item may remain, because the deletion was not acknowledged.
    assert item_id in shop.items()
    before = shop.live.report().visible_sequence
    # The write is not visible, so no compacted bundle counts it as included.
    assert before < shop.live.report().sequence
    assert shop.write(item_id, None, request="deletion").repeated
    assert item_id not in shop.items()
    # A later write also applies an earlier durable write.
    others = [item.item_id for item in tiny_items()[1:3]]
    with shop.faults.of(during_apply=failing), pytest.raises(MemoryError):
        shop.write(others[0], None)
    shop.write(others[1], None)
    assert not shop.items().keys() & {item_id, *others}
    # A partial write of an item also applies the earlier durable write of the same item.
    with shop.faults.of(before_apply=failing), pytest.raises(MemoryError):
        shop.upsert(LAMP)
    shop.write(LAMP.item_id, {"price": 7.0}, whole=False)
    shop.shown()
    assert shop.items()[LAMP.item_id] == replace(LAMP, price=7.0)
    assert shop.live.report().visible_sequence == shop.live.report().sequence


def test_write_soon_returns_none_while_the_queue_is_full(opened):
    with opened(replace(NEVER, queued_writes=3)) as shop:
        stuck, may = threading.Event(), threading.Event()

        def wait() -> None:
            stuck.set()
            assert may.wait(SECONDS)

        def write_soon(number: int):
            write = Write(f"soon-{number}", f"soon-{number}", {"title": "Brass lamp"}, whole=True)
            return shop.live.write_soon(write)

        shop.faults.before_apply = wait
        queued = [write_soon(0)]
        assert stuck.wait(SECONDS)
        queued += [write_soon(number) for number in range(1, 20)]
        may.set()
        assert [future is not None for future in queued] == [True] * 4 + [False] * 16
        done = [future.result(SECONDS).sequence for future in queued if future is not None]
        assert done == list(range(done[0], done[0] + len(done)))
        shop.shown()
        written = {item_id for item_id in shop.items() if item_id.startswith("soon-")}
        assert written == {f"soon-{n}" for n, future in enumerate(queued) if future is not None}


def test_a_failed_update_of_the_lexical_index_is_repeated_and_finds_no_item_twice(shop):
    failures = []

    def fail_once() -> None:
        if not failures:
            failures.append(1)
            raise OSError("no space left on device")

    shop.faults.after_rows_are_added = fail_once
    shop.upsert(LAMP)
    shop.write(tiny_items()[0].item_id, None)
    shop.until(lambda: bool(failures) and shop.live.report().pending == 0)
    words = shop.engine.retrieve(RetrieveRequest("zyx brass", channels=(LEXICAL,))).hits
    assert [hit.item_id for hit in words] == ["lamp"]


def words(shop: Shop, query: str) -> set[str]:
    hits = shop.engine.retrieve(RetrieveRequest(query, page_size=100, channels=(LEXICAL,))).hits
    return {hit.item_id for hit in hits}


def test_all_items_are_found_after_the_lexical_index_failed(opened):
    old, gone = tiny_items()[:2]
    with opened(replace(NEVER, retry_show_seconds=0.01)) as shop:
        for number in range(4):
            shop.upsert(replace(LAMP, item_id=f"lamp-{number}"))
        shop.write(gone.item_id, None)
        shop.shown()
        shop.write("lamp-1", None)
        failures = []

        def fail() -> None:
            failures.append(1)
            raise StorageError("scratch: the disk is full")

        shop.faults.after_rows_are_added = fail
        shop.upsert(replace(LAMP, item_id="new"))
        shop.write("lamp-2", {"title": "Zyx copper kettle"}, whole=False)
        shop.write(old.item_id, {"title": "Zyx brass lantern"}, whole=False)
        shop.until(lambda: len(failures) >= 3)
        shop.write("lamp-3", None)
        assert words(shop, "zyx") == {"lamp-0", "lamp-2"}  # searches find the earlier versions
        assert shop.live.report().pending == 3
        shop.faults.after_rows_are_added = nothing
        shop.shown()
        assert words(shop, "zyx") == {"lamp-0", "lamp-2", "new", old.item_id}
        assert words(shop, "brass") == {"lamp-0", "new", old.item_id}
        assert words(shop, "kettle") == {"lamp-2"}
        everything = " ".join(item.title for item in tiny_items())
        assert gone.item_id not in words(shop, everything)


def test_items_written_on_a_full_disk_are_found_once_it_has_room(opened, tmp_path, caplog):
    (tmp_path / "state").mkdir()
    with (
        small_disk(tmp_path / "state" / "scratch", "2m") as disk,
        opened(replace(NEVER, retry_show_seconds=0.02)) as shop,
    ):
        shop.upsert(replace(LAMP, item_id="lamp-0"))
        shop.shown()
        disk.fill()
        encoded: list[object] = []
        tries: list[object] = []

        def count(encode: Encode, texts: Sequence[str]) -> np.ndarray:
            encoded.append(texts)
            return encode(texts)

        shop.faults.encode = count
        shop.faults.before_show = lambda: tries.append(1)
        for number in range(1, 30):
            shop.upsert(replace(LAMP, item_id=f"lamp-{number}"))
        shop.until(lambda: len(tries) >= 5)
        assert len(encoded) <= 2  # later tries fail before they encode
        assert words(shop, "zyx") == {"lamp-0"}
        report = shop.live.report()
        assert report.pending == 29
        assert report.visible_sequence == 1
        disk.free()
        shop.shown()
        assert words(shop, "zyx") == {f"lamp-{number}" for number in range(30)}
        assert shop.live.report().visible_sequence == 30
    [logged] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert f"{tmp_path / 'state' / 'scratch'}: the index" in logged.getMessage()
    assert "\n" not in logged.getMessage()


@contextmanager
def nothing_encoded(shop: Shop) -> Iterator[None]:
    """Make the encoder wait until the `with` block ends."""
    may = threading.Event()

    def wait(encode: Encode, texts: Sequence[str]) -> np.ndarray:
        assert may.wait(SECONDS)
        return encode(texts)

    shop.faults.encode = wait
    try:
        yield
    finally:
        may.set()


def test_a_price_changes_at_once_while_too_many_items_wait_for_the_encoder(opened):
    first, second, third = tiny_items()[:3]
    dear = Range("price", Interval(at_least=90_000))
    with opened(replace(NEVER, pending_items=50)) as shop:
        with nothing_encoded(shop):
            for number in range(51):
                shop.upsert(replace(LAMP, item_id=f"lamp-{number}"))
            assert shop.live.write_soon(Write("full", "lamp", {"title": "Brass lamp"})) is None
            change = Write("text", second.item_id, {"title": "Zyx"}, whole=False)
            assert shop.live.write_soon(change) is None
            # Writes that need no encoding are accepted and visible at once.
            shop.write(first.item_id, {"price": 99_000.0}, whole=False)
            assert found(shop, "charger", filter=dear) == [first.item_id]
            shop.upsert(replace(second, price=98_000.0))
            assert set(found(shop, "charger", filter=dear)) == {first.item_id, second.item_id}
            shop.write(third.item_id, None)
            assert third.item_id not in shop.items()
            shop.write("lamp-3", {"title": "Zyx copper lamp", "price": 5.0})
            assert shop.live.report().pending == 51
        shop.until(lambda: shop.live.write_soon(change) is not None)
        shop.shown()
        assert shop.items()["lamp-3"] == Item("lamp-3", "Zyx copper lamp", price=5.0)
        assert shop.items()[second.item_id].title == "Zyx"


def failing_at(word: str) -> Callable[[Encode, Sequence[str]], np.ndarray]:
    """Return an encoder hook that fails on texts with this word."""

    def items(encode: Encode, texts: Sequence[str]) -> np.ndarray:
        if any(word in text for text in texts):
            raise ValueError(f"cannot encode {texts}")
        return encode(texts)

    return items


def test_an_item_that_cannot_be_encoded_is_set_aside_and_the_others_are_found(shop, opened, caplog):
    old = tiny_items()[0]
    shop.faults.encode = failing_at("cursed")
    shop.upsert(replace(LAMP, item_id="bad", title="A cursed lamp"))
    shop.write(old.item_id, {"title": "A cursed charger"}, whole=False)
    for number in range(5):
        shop.upsert(replace(LAMP, item_id=f"lamp-{number}"))
    shop.until(lambda: shop.live.report().pending == 0)
    assert {f"lamp-{number}" for number in range(5)} <= shop.items().keys()
    assert "bad" not in shop.items()
    assert shop.items()[old.item_id] == old  # the old version stays visible
    shop.write(old.item_id, {"price": 1.25}, whole=False)
    assert shop.items()[old.item_id] == replace(old, price=1.25)
    report = shop.live.report()
    assert (report.set_aside, report.pending, report.visible_sequence) == (2, 0, 0)
    told = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert sorted(told) == [
        f"item cannot be encoded, and keeps its earlier version: item_id={name!r}"
        for name in sorted(["bad", old.item_id])
    ]
    assert "cursed" not in caplog.text

    # The index encodes the item again, because its text has changed.
    shop.write("bad", {"title": "A good lamp"}, whole=False)
    shop.shown()
    assert shop.items()["bad"] == replace(LAMP, item_id="bad", title="A good lamp")
    shop.write(old.item_id, None)
    assert shop.live.report().set_aside == 0
    shop.upsert(replace(LAMP, item_id="later", title="A cursed lamp"))
    shop.until(lambda: shop.live.report().set_aside == 1)
    shop.live.close()
    with opened() as again:
        assert again.items()["later"].title == "A cursed lamp"


def test_nothing_is_set_aside_while_the_encoder_fails_at_everything(opened, caplog):
    caplog.set_level(logging.DEBUG, "live")
    calls = []

    def broken_twice(encode: Encode, texts: Sequence[str]) -> np.ndarray:
        calls.append(texts)
        if len(calls) <= 4:
            raise RuntimeError(f"out of memory at {texts}")
        return encode(texts)

    with opened(replace(NEVER, retry_show_seconds=0.01)) as shop:
        shop.faults.encode = broken_twice
        shop.upsert(LAMP)
        shop.until(lambda: "lamp" in shop.items())
        assert shop.live.report().set_aside == 0
    # The log names the failing line. It has no message of the exception, which quotes an item.
    [first, *_] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "could not be indexed yet: error=RuntimeError at" in first.getMessage()
    assert "in broken_twice" in first.getMessage()
    assert [r for r in caplog.records if LAMP.title in logging.Formatter().format(r)] == [
        record for record in caplog.records if record.levelname == "DEBUG" and record.exc_info
    ]


def test_the_log_does_not_quote_errors_of_writes_and_compactions(opened, caplog):
    said = "quoting Zyx"
    failing = raising(RuntimeError(said))
    often = LiveConfig(compact_from=1, compact_share=0.001, check_seconds=0.01)
    with opened(often, build_bundle=failing) as shop:
        with shop.faults.of(before_apply=failing), pytest.raises(RuntimeError):
            shop.upsert(LAMP)
        shop.upsert(LAMP)
        shop.until(lambda: "no new bundle was built" in caplog.text)
    assert "writes could not be made: error=RuntimeError at" in caplog.text
    assert said not in caplog.text


def test_many_failed_writes_are_logged_once(shop, caplog):
    full = raising(LogError("state/writes.sqlite3: cannot be written (disk is full)"))
    with shop.faults.of(before_apply=full):
        for _ in range(20):
            with pytest.raises(LogError):
                shop.upsert(LAMP)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        "writes could not be made: reason='state/writes.sqlite3: cannot be written (disk is full)'"
    ]


def test_the_pause_after_a_failure_doubles_up_to_16_times_the_first(opened):
    times: list[float] = []

    def fail() -> None:
        times.append(time.monotonic())
        raise OSError("nothing is shown")

    with opened(replace(NEVER, retry_show_seconds=0.02, show_seconds=1e-6)) as shop:
        shop.faults.before_show = fail
        shop.upsert(LAMP)
        shop.until(lambda: len(times) == 8)
        shop.faults.before_show = nothing
        shop.until(lambda: "lamp" in shop.items())
    # A later failure may follow later than this, never earlier.
    pauses = np.diff(times) / 0.02
    assert (pauses >= [1, 2, 4, 8, 16, 16, 16]).all()
    assert pauses[-1] < 64


def test_a_stop_during_a_compaction_is_not_logged_as_an_error(opened, caplog):
    caplog.set_level(logging.INFO, "live")
    building = threading.Event()

    def build(engine, snapshot, bundles, state, cancelled, throttle):
        building.set()
        assert cancelled.wait(SECONDS)  # closing the catalogue sets it
        return compaction.build(engine, snapshot, bundles, state, cancelled, throttle)

    often = LiveConfig(compact_from=1, compact_share=0.001, check_seconds=0.01)
    with opened(often, build_bundle=build) as shop:
        shop.upsert(LAMP)
        assert building.wait(SECONDS)
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []
    assert "compaction stopped, all writes are kept: reason='the server stops'" in caplog.text


def test_closing_does_not_wait_for_pending_items(opened):
    refused = []

    def one_more() -> None:
        try:
            shop.live.write(Write("r2", "lamp-2", {"title": "A lamp"}))
        except ClosedError as error:
            refused.append(error)

    with opened(replace(NEVER, pending_items=0)) as shop:
        shop.faults.before_show = raising(OSError("nothing is ever shown"))
        shop.write("lamp-1", {"title": "A lamp"})
        waiting = threading.Thread(daemon=True, target=one_more)
        waiting.start()
    waiting.join(SECONDS)
    assert len(refused) == 1
    with opened() as shop:
        assert "lamp-1" in shop.items()
        assert "lamp-2" not in shop.items()
