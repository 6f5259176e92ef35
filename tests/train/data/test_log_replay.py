"""`python -m train --from-state`: the new bundle includes the writes to a running server."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from catalog.items import Item
from catalog.store import ItemStore
from live import bundle_store
from live.catalogue import LiveCatalogue
from live.config import LiveConfig
from live.log.write_ahead_log import Write, WriteLog
from search import bundle
from search.bundle import Manifest, list_files, verify
from search.config import EngineConfig
from search.engine import Engine
from search.engine_handle import EngineHandle
from search.request import SearchRequest
from tests.live.bundle_store_model import verified
from tests.tiny import tiny_items
from train.cli.main import main

FLOAT32 = EngineConfig(numerics="float32")
GIVEN = [Item(item.item_id, item.title, price=item.price) for item in tiny_items()]
ROWS = [{"item_id": item.item_id, "title": item.title, "price": item.price} for item in GIVEN]
DELETED, CHEAPER = GIVEN[0], GIVEN[1]
LAMP = {"title": "Zyx brass reading lamp", "price": 20.0}
JUDGED = [
    {"query": "usb c charger", "item_id": item_id, "grade": grade, "split": "test"}
    for item_id, grade in ((DELETED.item_id, 2), (CHEAPER.item_id, 2), ("lamp", 0))
]

pytestmark = pytest.mark.usefixtures("shared_cache")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory with writes, and with a compacted bundle of one item, "compacted"."""
    state = tmp_path / "state"
    with WriteLog.open(state) as log:
        log.append([Write("a", DELETED.item_id, None), Write("b", "lamp", LAMP)])
        for number, name in enumerate((CHEAPER.item_id, "compacted", "nobody")):
            log.append([Write(f"c{number}", name, {"price": 0.5}, whole=False)])
        of = bundle_store.State(log.id, 2)
    manifest = Manifest("", "2024-01-31T09:30:00Z", None, "float32", {}, {}, {}, {}, vars(of))

    def fill(directory: Path) -> None:
        ItemStore.of([Item("compacted", "A compacted item")]).write(directory / bundle.ITEMS)
        manifest.with_files(list_files(directory)).write(directory)

    bundle_store.add(state / bundle_store.BUNDLES, of, fill)
    return state


def items(engine: Engine) -> dict[str, Item]:
    catalogue = engine.snapshot.catalogue
    rows = catalogue.all_alive.nonzero()[0].tolist()
    return {item.item_id: item for item in map(catalogue.item, rows)}


def test_the_next_bundle_has_what_was_written_and_a_server_goes_on_from_it(
    dataset: Callable[..., Path], flags: Callable[..., list[str]], state: Path, tmp_path, capfd
):
    data, out = dataset(items=ROWS, judgments=JUDGED), tmp_path / "out"
    # The open log holds the lock of the directory, as a running server does.
    with WriteLog.open(state) as log:
        assert main(flags(data, out, "--from-state", str(state))) == 0
        manifest = verify(out / "bundle")
        assert manifest.state == {"log": log.id, "sequence": 5}
        assert manifest.root is None
    said = capfd.readouterr().err
    assert "has the others: items=1 first='nobody'" in said
    # Before the writes, the lamp is not among the items. After them, the deleted item is not.
    assert said.count("is not among the items; 1 of 3 judgments") == 2
    expected = {item.item_id: item for item in GIVEN[2:]} | {
        "lamp": Item("lamp", **LAMP),
        CHEAPER.item_id: Item(CHEAPER.item_id, CHEAPER.title, price=0.5),
        "compacted": Item("compacted", "A compacted item", price=0.5),
    }
    engine = Engine.load(out / "bundle", FLOAT32)
    assert items(engine) == expected
    assert engine.search(SearchRequest("zyx reading lamp", page_size=1)).hits[0].item_id == "lamp"
    assert json.loads((out / "evaluation.json").read_text())["queries"] == 1

    log = WriteLog.open(state)
    log.append([Write("d", "lamp", {"price": 1.0}, whole=False)])
    newest = bundle_store.newest(
        out / "bundle",
        bundle_store.finished(state / bundle_store.BUNDLES),
        bundle_store.State(log.id, log.sequence),
        verified,
    )
    # The compacted bundle does not count, because it was built from another root bundle.
    assert newest == out / "bundle"
    live = LiveCatalogue(EngineHandle(engine), log, state / bundle_store.BUNDLES, LiveConfig())
    assert items(engine) == expected | {"lamp": Item("lamp", LAMP["title"], price=1.0)}
    # The bundle includes five writes; a server replays only later writes.
    assert bundle_store.included(engine.manifest, log.id) == 5
    live.close()


def test_a_later_write_makes_the_index_anew_and_not_the_towers(
    dataset: Callable[..., Path], flags: Callable[..., list[str]], state: Path, tmp_path, capfd
):
    data, out = dataset(items=ROWS), tmp_path / "out"
    command = ["index", *flags(data, out, "--from-state", str(state))]
    assert main(["towers", *command[1:]]) == 0
    assert main(command) == 0
    capfd.readouterr()
    assert main(command) == 0
    assert "up to date: step=index" in capfd.readouterr().err
    with WriteLog.open(state) as log:
        log.append([Write("d", "lamp", {"title": "Another lamp"}, whole=False)])
    assert main(command) == 0
    said = capfd.readouterr().err
    assert "done: step=index" in said
    assert main(["towers", *command[1:]]) == 0
    assert "up to date: step=towers" in capfd.readouterr().err
    # Without --from-state, the inputs of the index step differ, so its result is out of date.
    assert main(["mine", *flags(data, out)]) == 2
    assert "step index was done with other data or options" in capfd.readouterr().err


def test_evaluation_leaves_out_judgments_of_items_that_were_deleted(
    dataset: Callable[..., Path], flags: Callable[..., list[str]], state: Path, tmp_path, capfd
):
    data, out = dataset(items=ROWS, judgments=JUDGED), tmp_path / "out"
    assert main(flags(data, out, "--from-state", str(state))) == 0
    command = ["evaluate", "--bundle", str(out / "bundle"), "--data", str(data)]
    capfd.readouterr()
    assert main([*command, "--engine.numerics", "float32"]) == 0
    assert f"{DELETED.item_id}' is not among the items; 1 of 3 judgments" in capfd.readouterr().err


def test_a_state_without_a_log_is_refused_and_nothing_is_left(
    dataset: Callable[..., Path], flags: Callable[..., list[str]], tmp_path, capsys
):
    data = dataset(items=ROWS)
    assert main(flags(data, tmp_path / "out", "--from-state", str(tmp_path / "nowhere"))) == 2
    assert "there is no log; give the directory that" in capsys.readouterr().err
    assert not (tmp_path / "out" / "steps").exists()
