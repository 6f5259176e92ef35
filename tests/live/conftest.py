"""A live catalogue and a write log for tests."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from catalog.items import Item
from live import bundle_store
from live.catalogue import LiveCatalogue
from live.config import LiveConfig
from live.log.write_ahead_log import Write, WriteLog
from search.engine import Engine
from search.engine_handle import EngineHandle
from search.request import SearchRequest
from tests.live.faults import Faults, FaultyIndex
from tests.timing import eventually

SECONDS = 30.0
NEVER = LiveConfig(compact_from=1_000_000)


class Shop:
    """A live catalogue with helper methods for tests."""

    def __init__(self, engine_handle: EngineHandle, live: LiveCatalogue, faults: Faults) -> None:
        self.engine_handle = engine_handle
        self.live = live
        self.faults = faults
        self._requests = 0

    @property
    def engine(self) -> Engine:
        return self.engine_handle.engine

    def write(self, item_id: str, fields: dict | None, *, whole: bool = True, request: str = ""):
        self._requests += 1
        request = request or f"r{time.monotonic_ns()}-{self._requests}"
        return self.live.write(Write(request, item_id, fields, whole)).result(SECONDS)

    def upsert(self, item: Item):
        values = asdict(item)
        return self.write(values.pop("item_id"), {k: v for k, v in values.items() if v is not None})

    def until(self, holds: Callable[[], bool]) -> None:
        eventually(holds, SECONDS)

    def shown(self) -> None:
        self.until(lambda: self.live.report().pending == 0)

    def items(self) -> dict[str, Item]:
        catalogue = self.engine.snapshot.catalogue
        rows = catalogue.all_alive.nonzero()[0].tolist()
        return {item.item_id: item for item in map(catalogue.item, rows)}


@pytest.fixture
def opened(tiny_bundle: Path, engine: Engine, tmp_path: Path) -> Callable[..., object]:
    """Return a function that opens a shop. All shops share the compiled models of one engine."""
    load = partial(Engine.load, models=engine.models)

    @contextmanager
    def opened(
        config: LiveConfig = NEVER, root: Path = tiny_bundle, **options: Any
    ) -> Iterator[Shop]:
        state, faults = tmp_path / "state", Faults()
        log = WriteLog.open(state)
        bundles = state / "bundles"
        compacted = bundle_store.finished(bundles)
        state_of_log = bundle_store.State(log.id, log.sequence)
        engine_handle = EngineHandle(bundle_store.newest(root, compacted, state_of_log, load))
        open_index = partial(FaultyIndex, faults=faults)
        live = LiveCatalogue(engine_handle, log, bundles, config, open_index=open_index, **options)
        try:
            yield Shop(engine_handle, live, faults)
        finally:
            live.close()

    return opened


@pytest.fixture
def shop(opened) -> Iterator[Shop]:
    with opened() as shop:
        yield shop


LAMP = Item("lamp", "Zyx brass reading lamp", brand="Zyx", price=20.0, in_stock=True)


def found(shop: Shop, query: str, **options: object) -> list[str]:
    return [hit.item_id for hit in shop.engine.search(SearchRequest(query, **options)).hits]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[WriteLog]:
    """An empty write log."""
    with WriteLog.open(tmp_path / "state") as opened:
        yield opened
