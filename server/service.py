"""The server put together, and its life from start to graceful stop."""

import asyncio
import errno
import logging
import signal
import socket
import sys
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from bert.compiled import cached_programs, enable_compilation_cache
from catalog.errors import InputError
from catalog.log import WriteLog
from search import generations
from search.engine import Engine
from search.live import LiveCatalogue, open_newest
from search.slot import Slot
from server.config import ServerConfig
from server.errors import ErrorInterceptor
from server.servicers import (
    CatalogServicer,
    RerankServicer,
    RetrievalServicer,
    SearchServicer,
)
from server.work import Worker
from shortlist.v1 import (
    catalog_service_pb2,
    catalog_service_pb2_grpc,
    rerank_service_pb2,
    rerank_service_pb2_grpc,
    retrieval_service_pb2,
    retrieval_service_pb2_grpc,
    search_service_pb2,
    search_service_pb2_grpc,
)

logger = logging.getLogger(__name__)

SERVICES = tuple(
    file.DESCRIPTOR.services_by_name[name].full_name
    for file, name in (
        (search_service_pb2, "SearchService"),
        (retrieval_service_pb2, "RetrievalService"),
        (rerank_service_pb2, "RerankService"),
        (catalog_service_pb2, "CatalogService"),
    )
)

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_OPTIONS = (
    ("grpc.so_reuseport", 0),  # or a second server on the same port would take half of the calls
    ("grpc.max_receive_message_length", 8 * 2**20),  # 500 items to rerank with room to spare
)


class Service:
    """One server for one bundle."""

    def __init__(self, config: ServerConfig):
        self._config = config
        self._server = grpc.aio.server(interceptors=[ErrorInterceptor()], options=_OPTIONS)
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]  # stubs lack it
        self._worker = Worker(config.queue_size, config.threads)
        self._slot: Slot | None = None
        self._live: LiveCatalogue | None = None

    async def start(self) -> int:
        """Loads the bundle, compiles, begins to answer and returns the port.

        Raises:
            InputError: The bundle, the address or a TLS file cannot be used.
        """
        config = self._config
        port = self._bind()  # first, because it fails at once
        _keep_compiled(config.compilation_cache)
        self._slot = await self._worker.run(self._load)
        engine = self._slot.engine
        self._add_servicers(self._slot)
        for name in ("", *SERVICES):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        await self._server.start()
        logger.info("serving bundle %s with %d items", engine.bundle_id, len(engine.view.catalogue))
        if programs := cached_programs():
            logger.info("programs: %(compiled)d compiled, %(read)d read from the cache", programs)
        return port

    async def stop(self) -> None:
        """Tells clients to go, lets the calls under way finish, and ends the worker."""
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(self._config.drain_seconds)
        await self._server.stop(self._config.grace_seconds)
        await asyncio.to_thread(self._worker.close)
        if self._live is not None:
            await asyncio.to_thread(self._live.close)
        if self._slot is not None:
            engine = self._slot.engine
            await asyncio.to_thread(engine.close)
            for name, cache in engine.cache_reports().items():
                logger.info(
                    "cache of %s: %.0f%% of %d look-ups were hits, %d entries in %.1f MB",
                    name,
                    100 * cache.hit_rate,
                    cache.hits + cache.misses,
                    cache.entries,
                    cache.bytes / 2**20,
                )

    async def abort(self) -> None:
        """Drops the calls under way and frees the port. No harm before start or after stop."""
        await self._server.stop(None)

    def _load(self) -> Slot:
        """Loads the bundle, and what was written to its catalogue since."""
        config = self._config
        if config.state is None:
            slot = Slot(Engine.load(config.bundle, config.engine, warm=True))
            slot.engine.share()
            return slot
        log, bundles = WriteLog.open(config.state), config.state / generations.BUNDLES
        try:
            slot = Slot(open_newest(config.bundle, log, bundles, config.engine))
            slot.engine.share()
            self._live = LiveCatalogue(slot, log, bundles, config.live)
        except BaseException:
            log.close()
            raise
        return slot

    def _bind(self) -> int:
        config = self._config
        credentials = config.credentials()
        _check_address(config)
        try:
            if credentials is None:
                return self._server.add_insecure_port(config.address)
            return self._server.add_secure_port(config.address, credentials)
        except RuntimeError as error:
            raise InputError(f"--host {config.host} --port {config.port}: {error}") from None

    def _add_servicers(self, slot: Slot) -> None:
        server, worker = self._server, self._worker
        search_service_pb2_grpc.add_SearchServiceServicer_to_server(
            SearchServicer(slot, worker), server
        )
        retrieval_service_pb2_grpc.add_RetrievalServiceServicer_to_server(
            RetrievalServicer(slot, worker), server
        )
        rerank_service_pb2_grpc.add_RerankServiceServicer_to_server(
            RerankServicer(slot, worker), server
        )
        catalog_service_pb2_grpc.add_CatalogServiceServicer_to_server(
            CatalogServicer(slot, self._live), server
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)


def _check_address(config: ServerConfig) -> None:
    """Raises InputError unless the address can be bound: gRPC does not say why it could not."""
    address = f"--host {config.host} --port {config.port}"
    try:
        found = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise InputError(f"{address}: cannot listen there ({error.strerror or error})") from None
    failed = []
    for family, *_, where in found:
        try:
            socket.create_server(where[:2], family=family).close()
        except OSError as error:
            failed.append(error)
    # A name may stand for addresses of a kind that the machine does not have; one is enough.
    taken = [error for error in failed if error.errno == errno.EADDRINUSE]
    if taken or len(failed) == len(found):
        reason = (taken or failed)[0]
        raise InputError(f"{address}: cannot listen there ({reason.strerror or reason})")


def _keep_compiled(directory: Path | None) -> None:
    try:
        enable_compilation_cache(directory)
    except OSError as error:  # a read-only disk is no reason not to serve
        logger.warning("starting takes longer, nothing is kept in %s: %s", directory, error)


async def serve(config: ServerConfig) -> None:
    """Serves until SIGTERM or SIGINT, then stops gracefully; a second signal stops at once.

    Prints "listening on HOST:PORT" on standard output as soon as calls are answered.

    Raises:
        InputError: As Service.start.
    """
    service = Service(config)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    try:
        port = await service.start()
        for number in _STOP_SIGNALS:
            loop.add_signal_handler(number, stopping.set)
        sys.stdout.write(f"listening on {config.bracketed_host}:{port}\n")
        sys.stdout.flush()
        await stopping.wait()
        for number in _STOP_SIGNALS:
            loop.remove_signal_handler(number)
        logger.info("stopping")
        await service.stop()
    finally:
        await service.abort()
