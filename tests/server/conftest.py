"""A real server around a real engine, and clients of it."""

import asyncio
import datetime
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from flax import nnx

from bert.compiled import Numerics, choose_numerics, enable_compilation_cache
from bert.model import BertConfig
from bert.params import DEFAULT_PRETRAINED, resolve_pretrained
from bert.tokens import Tokenizer
from catalog.schema import Item
from catalog.store import ItemStore
from catalog.text import item_text
from lexical.index import LexicalIndex
from rerank.features import FEATURES, FeatureStatistics
from rerank.model import Reranker, RerankerConfig, save_reranker
from search import bundle, golden
from search.engine import Engine, EngineConfig
from search.ranking import newest_release
from server.config import ServerConfig
from server.service import Service
from shortlist.client import Client
from towers.encode import TowerEncoder
from towers.index import IndexConfig, build_index
from towers.model import Towers, TowersConfig
from towers.saving import save_towers


@dataclass(frozen=True)
class Running:
    """A server that answers, on an event loop and thread of its own."""

    address: str
    service: Service
    loop: asyncio.AbstractEventLoop

    def stop(self) -> None:
        """Stops gracefully and returns when that is done."""
        asyncio.run_coroutine_threadsafe(self.service.stop(), self.loop).result()


@contextmanager
def run_server(config: ServerConfig) -> Iterator[Running]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> Running:
        service = Service(config)
        port = await service.start()
        return Running(f"{config.bracketed_host}:{port}", service, loop)

    try:
        server = asyncio.run_coroutine_threadsafe(start(), loop).result()
        yield server
        server.stop()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(scope="session")
def compilation_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Shared by all engines and servers, so that only the first of them compiles."""
    directory = tmp_path_factory.mktemp("compiled")
    enable_compilation_cache(directory)
    yield directory
    enable_compilation_cache(None)


@pytest.fixture(scope="session")
def config(tiny_bundle: Path, compilation_cache: Path) -> ServerConfig:
    """Serves the tiny bundle on a free port."""
    return ServerConfig(tiny_bundle, port=0, drain_seconds=0.0, compilation_cache=compilation_cache)


@pytest.fixture(scope="session")
def serving() -> Callable[[ServerConfig], AbstractContextManager[Running]]:
    """Serves a configuration while a `with` block runs."""
    return run_server


def tiny_items() -> list[Item]:
    """48 products: chargers and cables, in sizes and brands."""
    return [
        Item(
            item_id=f"{kind[:2]}-{size}-{brand.lower()}",
            title=f"{brand} {what} {size} {unit}",
            description=f"A {what} with {size} {unit}." if size % 2 else None,
            brand=brand,
            category=f"Electronics > {kind}",
            price=10.0 + size,
            rating=3.5 if size < 60 else None,
            rating_count=size,
            released=datetime.date(2024, 1, 1 + size % 28),
            in_stock=size % 3 > 0,
            attributes={unit: str(size)},
        )
        for kind, what, unit in (
            ("Chargers", "usb c charger", "watt"),
            ("Cables", "hdmi cable", "metre"),
        )
        for size in (1, 2, 5, 10, 15, 30, 65, 100)
        for brand in ("Voltix", "Ampere", "Ohm & Co")
    ]


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory, compilation_cache: Path) -> Path:
    """A whole bundle, both stages with random weights, over a few dozen items."""
    directory = tmp_path_factory.mktemp("tiny") / "bundle"
    for part in (bundle.TOWERS, bundle.RERANK, bundle.INDEX, bundle.LEXICAL):
        (directory / part).mkdir(parents=True)
    tokenizer = Tokenizer.from_directory(resolve_pretrained(DEFAULT_PRETRAINED))
    tokenizer.save(directory / bundle.TOKENIZER)
    store = ItemStore.of(tiny_items())
    store.write(directory / bundle.ITEMS)
    LexicalIndex.build(store, directory / bundle.LEXICAL)

    shape = BertConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=32,
        num_layers=1,
        num_heads=4,
        intermediate_size=64,
        max_positions=64,
    )
    towers = Towers(
        TowersConfig(dim=16, max_query_tokens=16, max_item_tokens=24), shape, rngs=nnx.Rngs(1)
    )
    save_towers(towers, directory / bundle.TOWERS)
    reranker = Reranker(
        RerankerConfig(max_query_tokens=8, max_tokens=32, fusion=8), shape, rngs=nnx.Rngs(2)
    )
    save_reranker(reranker, directory / bundle.RERANK)
    features = np.random.default_rng(3).normal(size=(20, len(FEATURES))).astype(np.float32)
    FeatureStatistics.of(features).write(directory / bundle.RERANK)

    numerics = choose_numerics()
    encoder = TowerEncoder(towers, tokenizer, numerics)
    texts = [item_text(store.item(row)) for row in range(len(store))]
    build_index(encoder.items(texts), directory / bundle.INDEX, IndexConfig())
    write_manifest(directory, numerics)
    return directory


@pytest.fixture(scope="session")
def stage1_bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle without its reranker."""
    directory = tmp_path_factory.mktemp("stage1") / "bundle"
    shutil.copytree(tiny_bundle, directory)
    shutil.rmtree(directory / bundle.RERANK)
    write_manifest(directory, choose_numerics())
    return directory


def write_manifest(directory: Path, numerics: Numerics) -> None:
    """Makes a bundle of a directory that has all parts but the golden queries."""
    released = newest_release(ItemStore.read(directory / bundle.ITEMS))

    def manifest() -> bundle.Manifest:
        files = bundle.list_files(directory)
        return bundle.Manifest(
            bundle_id=bundle.bundle_id(files),
            created="2024-01-31T09:30:00Z",
            as_of=released and released.isoformat(),
            numerics=numerics.dtype,
            built_from={},
            reports={},
            metrics={},
            files=files,
        )

    unfinished = Engine(directory, manifest(), EngineConfig())
    golden.record(unfinished, ["usb c charger", "hdmi"], directory / bundle.GOLDEN)
    manifest().write(directory)


@pytest.fixture(scope="session")
def engine(tiny_bundle: Path) -> Engine:
    """The engine that the server runs, called directly."""
    return Engine.load(tiny_bundle)


@pytest.fixture(scope="session")
def address(config: ServerConfig) -> Iterator[str]:
    """Where a server of the tiny bundle listens."""
    with run_server(config) as running:
        yield running.address


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    """A client of that server."""
    with Client(address, timeout_seconds=30) as client:
        yield client
