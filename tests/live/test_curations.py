"""Live curations: effect, durability, compaction, other bundles, and failures."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from base.errors import RequestError
from base.sqlite_log.file import LogError
from catalog.attribute_roles import ALL_READ
from live import compaction
from live.errors import ClosedError
from live.indexing.curations import LiveCurations
from live.log.curations import Action, CurationChange, CurationVersion
from live.log.write_ahead_log import Acknowledgement, WriteLog
from search.curation.curation import Content, QueryRules
from search.curation.json_form import to_json
from search.engine import Engine
from search.request import SearchRequest
from search.rules import Pin, Rules
from search.understanding.synonyms import SynonymRule
from tests.live.conftest import LAMP, Shop, found
from tests.live.faults import raising

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
PLUG = SynonymRule("plug, charger")
LAST = "Ca-5-voltix"  # an item that no query for chargers has first
PINNED = QueryRules(("USB charger",), Rules(pins=(Pin(LAST, 1),)))


def change(
    content: Content | None, curation_id: str = "c", action: Action = Action.SET, **fields: object
) -> CurationChange:
    text = None if content is None else to_json(content)
    request_id = f"r{datetime.now(UTC).timestamp()}"
    return CurationChange(**{
        "request_id": request_id, "curation_id": curation_id, "action": action, "time": NOW,
        "content": text, "author": "Ann",
    } | fields)  # type: ignore[arg-type]  # fmt: skip


def synonyms_of(shop: Shop, query: str) -> list[tuple[str, str]]:
    understood = shop.engine.search(SearchRequest(query)).interpretation
    return [(s.alternative, s.curation_id) for s in understood.synonyms]


def test_the_next_search_uses_a_set_curation_and_not_a_deleted_one(shop: Shop) -> None:
    assert synonyms_of(shop, "plug") == []
    assert shop.live.curate(change(PLUG, "s")) == Acknowledgement(1, repeated=False)
    assert synonyms_of(shop, "plug") == [("charger", "s")]
    shop.live.curate(change(PINNED, "p"))
    assert found(shop, "usb  CHARGER")[0] == LAST
    shop.live.curate(change(None, "p", Action.DELETE))
    assert found(shop, "usb charger")[0] != LAST
    shop.live.curate(change(None, "p", Action.UNDO))
    assert found(shop, "usb charger")[0] == LAST
    assert synonyms_of(shop, "plug") == [("charger", "s")]
    live = shop.live.curations.by_id["p"]
    assert (live.revision, live.author, live.time) == (4, "Ann", NOW)
    assert live.curation.content == PINNED


def test_curations_and_writes_of_items_share_sequence_numbers(shop: Shop) -> None:
    shop.live.curate(change(PLUG))
    assert shop.upsert(LAMP).sequence == 2
    assert shop.live.curate(change(PLUG)).sequence == 3
    shop.shown()
    report = shop.live.report()
    assert (report.sequence, report.visible_sequence) == (3, 3)
    assert found(shop, "zyx reading lamp")[0] == "lamp"
    assert shop.write("lamp", {"price": 1.0}, whole=False).sequence == 4
    assert shop.items()["lamp"].price == 1.0
    assert synonyms_of(shop, "plug") == [("charger", "c")]


def test_a_restart_and_a_compaction_keep_curations(opened, tmp_path: Path) -> None:
    with opened() as shop:
        shop.live.curate(change(PLUG, "s"))
        shop.upsert(LAMP)
        shop.shown()
        before = shop.engine
        shop.live.curate(change(PINNED, "p"))
        shop.live.compact()
        assert shop.engine is not before
        shop.live.curate(change(None, "s", Action.DELETE))
        shop.live.curate(change(None, "s", Action.UNDO))
        assert synonyms_of(shop, "plug") == [("charger", "s")]
        assert found(shop, "usb charger")[0] == LAST
        built = shop.engine.directory
    with opened() as shop:
        assert shop.engine.directory == built
        assert synonyms_of(shop, "plug") == [("charger", "s")]
        assert found(shop, "usb charger")[0] == LAST
        assert (shop.live.report().sequence, shop.live.report().visible_sequence) == (5, 5)
        shop.live.curate(change(None, "p", Action.DELETE))
        assert found(shop, "usb charger")[0] != LAST
    # Without its compacted bundles, a server replays the whole log.
    built.rename(tmp_path / "away")
    with opened() as shop:
        assert found(shop, "zyx reading lamp")[0] == "lamp"
        assert synonyms_of(shop, "plug") == [("charger", "s")]
        assert sorted(shop.live.curations.by_id) == ["s"]


def test_a_curation_set_during_a_compaction_is_in_the_new_bundle(opened) -> None:
    shops: list[Shop] = []

    def build(*arguments: object) -> Engine:
        shops[0].live.curate(change(PINNED, "p"))
        return compaction.build(*arguments)  # type: ignore[arg-type]

    with opened(build_bundle=build) as shop:
        shops.append(shop)
        shop.upsert(LAMP)
        shop.shown()
        shop.live.compact()
        assert found(shop, "usb charger")[0] == LAST


def test_another_bundle_keeps_curations(shop: Shop, tiny_bundle: Path) -> None:
    shop.live.curate(change(PINNED, "p"))
    shop.live.adopt(Engine.load(tiny_bundle, models=shop.engine.models))
    assert found(shop, "usb charger")[0] == LAST


@pytest.mark.parametrize("is_item", [True, False])
def test_a_durable_change_that_failed_to_apply_is_applied_with_the_next_write(
    shop: Shop, is_item: bool
) -> None:
    failing = shop.faults.of(before_curate=raising(MemoryError()))
    with failing, pytest.raises(MemoryError):
        shop.live.curate(change(PLUG, "s"))
    assert synonyms_of(shop, "plug") == []
    if is_item:
        shop.upsert(LAMP)
        shop.shown()
    else:
        shop.live.curate(change(PINNED, "p"))
    assert synonyms_of(shop, "plug") == [("charger", "s")]
    assert shop.live.report().visible_sequence == 2


def test_a_query_can_be_in_one_curation_only(shop: Shop) -> None:
    shop.live.curate(change(PINNED, "p"))
    other = QueryRules(("lamp", "usb  Charger"))
    with pytest.raises(RequestError) as refused:
        shop.live.curate(change(other, "q"))
    assert str(refused.value) == (
        "query_rules.queries: has the query 'usb charger' of curation 'p'; a query can be in one "
        "curation only"
    )
    shop.live.curate(change(other, "p"))  # the same curation may keep its query
    shop.live.curate(change(None, "p", Action.DELETE))
    shop.live.curate(change(other, "q"))
    with pytest.raises(RequestError, match=r"^curation_id: has the query"):
        shop.live.curate(change(None, "p", Action.UNDO))
    assert sorted(shop.live.curations.by_id) == ["q"]
    assert shop.live.report().sequence == 4


def test_there_is_a_largest_number_of_curations() -> None:
    versions = [CurationVersion(f"c{n}", n + 1, to_json(PLUG), "", NOW) for n in range(3)]
    three = LiveCurations().changed(versions, Path("log"))
    check = partial(three.check, live_rules={}, roles=ALL_READ, most=3)
    check(change(PLUG, "c2"), versions[2])
    with pytest.raises(RequestError) as refused:
        check(change(PLUG, "c9"), CurationVersion("c9", 9, to_json(PLUG), "", NOW))
    assert str(refused.value) == "curation_id: would be curation 4; delete another one first"


def test_content_that_this_version_does_not_know_stops_the_start(
    opened: Callable, tmp_path: Path
) -> None:
    with WriteLog.open(tmp_path / "state") as log:
        log.curate(CurationChange("r", "c", Action.SET, NOW, '{"redirect": "/sofas"}'))
    refused = pytest.raises(LogError, match=r"curation 'c' cannot be read \(redirect: is unknown")
    with refused, opened():
        pass


def test_a_closed_catalogue_takes_no_changes(opened) -> None:
    with opened() as shop:
        pass
    with pytest.raises(ClosedError):
        shop.live.curate(change(PLUG))
