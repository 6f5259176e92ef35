"""A real server with a real engine, and clients of the server."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider as SdkProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import TracerProvider

from search.engine import Engine
from server.config import ServerConfig
from server.service import Service
from shortlist.client import Client

_SECONDS = 120.0  # longest wait for a start or a stop; only a stuck server takes longer


@dataclass(frozen=True)
class Running:
    """A running server with its own event loop and thread."""

    address: str
    service: Service
    loop: asyncio.AbstractEventLoop

    @contextmanager
    def answering_with(self, kind: type[Engine]) -> Iterator[Engine]:
        """Answer with an engine of another class, which has the same bundle and models."""
        assert self.service.bundles is not None
        handle = self.service.bundles.engine_handle
        usual = handle.engine
        engine = kind(usual.directory, usual.manifest, usual.config, usual.models)
        handle.swap(engine)
        try:
            yield engine
        finally:
            handle.swap(usual)

    def stop(self) -> None:
        """Stop the server gracefully."""
        asyncio.run_coroutine_threadsafe(self.service.stop(), self.loop).result(_SECONDS)


@contextmanager
def run_server(
    config: ServerConfig, tracer_provider: TracerProvider | None = None, **seams: Any
) -> Iterator[Running]:
    """Run a server; `seams` are keyword arguments of `Service`."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(daemon=True, target=loop.run_forever)
    thread.start()

    async def start() -> Running:
        service = Service(config, tracer_provider, **seams)
        port = await service.start()
        return Running(f"{config.bracketed_host}:{port}", service, loop)

    try:
        server = asyncio.run_coroutine_threadsafe(start(), loop).result(_SECONDS)
        yield server
        server.stop()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_SECONDS)
        assert not thread.is_alive(), "the event loop is stuck"
        loop.close()


@pytest.fixture(scope="session")
def config(tiny_bundle: Path, compilation_cache: Path) -> ServerConfig:
    """The configuration of a server of the tiny bundle on a free port."""
    return ServerConfig(tiny_bundle, port=0, drain_seconds=0.0, compilation_cache=compilation_cache)


@pytest.fixture(scope="session")
def serving() -> Callable[..., AbstractContextManager[Running]]:
    """Return a context manager that runs a server with a configuration."""
    return run_server


@pytest.fixture(scope="session")
def address(config: ServerConfig) -> Iterator[str]:
    """The address of a server of the tiny bundle."""
    with run_server(config) as running:
        yield running.address


@pytest.fixture(scope="session")
def exporter() -> InMemorySpanExporter:
    """An exporter that keeps the spans of the observed server."""
    return InMemorySpanExporter()


@pytest.fixture(scope="session")
def observed(config: ServerConfig, exporter: InMemorySpanExporter) -> Iterator[Running]:
    """A server with metrics and traces."""
    provider = SdkProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with run_server(replace(config, metrics_port=0), provider) as running:
        yield running


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    """A client of the server at `address`."""
    with Client(address, timeout_seconds=30) as client:
        yield client
