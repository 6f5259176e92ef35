"""The server put together, and its life from start to graceful stop."""

import asyncio
import errno
import gc
import logging
import resource
import signal
import socket
import sys
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2
from opentelemetry.trace import TracerProvider

from base.errors import InputError
from bert.compiled import cached_programs, enable_compilation_cache
from live import bundle_store
from live.catalogue import LiveCatalogue, open_newest
from live.throttle import Throttle
from live.write_ahead_log import WriteLog
from search.engine import Engine
from server.auth.tokens import Tokens
from server.bundle_loader import Bundles
from server.config import Listener, ServerConfig
from server.interceptors.access import AccessInterceptor
from server.interceptors.call_log import CallInterceptor
from server.interceptors.errors import ErrorInterceptor
from server.interceptors.load_shedding import SheddingInterceptor
from server.observe.metrics import Metrics, MetricsServer
from server.observe.tracing import CallTracer, exporting
from server.rpc.health import Health
from server.rpc.services import QUEUED, ROLES, Parts, Port, add_services, contract_services
from server.worker_pool import Worker

logger = logging.getLogger(__name__)

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_OPTIONS = (
    ("grpc.so_reuseport", 0),  # or a second server on the same port would take half of the calls
    ("grpc.max_receive_message_length", 8 * 2**20),  # 500 items to rerank with room to spare
)


class Service:
    """One server for one bundle."""

    def __init__(self, config: ServerConfig, tracer_provider: TracerProvider | None = None):
        """Prepares to serve.

        Args:
            config: What to serve, and how.
            tracer_provider: Where spans go when `config` names no collector; None for the
                process's own provider.

        Raises:
            InputError: Traces are to be sent and the packages for it are not installed.
        """
        self._config = config
        self.bundles: Bundles | None = None
        self.admin_port: int | None = None
        self._live: LiveCatalogue | None = None
        self._exporter = exporting(config.trace_endpoint)
        self._metrics = Metrics()
        self._metrics_server: MetricsServer | None = None
        tracer = CallTracer(self._exporter or tracer_provider)
        observer = CallInterceptor(self._metrics, tracer, self._bundle_id)
        access = None if config.tokens is None else AccessInterceptor(Tokens(config.tokens), ROLES)
        ages = (
            ("grpc.max_connection_age_ms", round(1000 * config.connection_age_seconds)),
            ("grpc.max_connection_age_grace_ms", round(1000 * config.connection_grace_seconds)),
        )
        self._admin: grpc.aio.Server | None = None
        self._health = Health()
        self._throttle = Throttle()
        self._worker = Worker(
            config.queue_size,
            config.threads,
            waited=self._metrics.waited,
            computed=self._metrics.computed,
            throttle=self._throttle,
        )
        self._interceptors = [observer, *filter(None, [access]), ErrorInterceptor()]
        shedding = SheddingInterceptor(self._worker, self._metrics, QUEUED, access)
        self._server = grpc.aio.server(
            interceptors=[shedding, *self._interceptors], options=(*_OPTIONS, *ages)
        )
        self._metrics.watch(self._worker, lambda: self._engine, lambda: self._live)

    @property
    def metrics_port(self) -> int | None:
        """Where metrics are served; None when they are not."""
        return None if self._metrics_server is None else self._metrics_server.port

    async def start(self) -> int:
        """Loads the bundle, compiles, begins to answer and returns the port.

        Raises:
            InputError: The bundle, the address or a TLS file cannot be used.
        """
        config = self._config
        port = self._bind()  # first, because it fails at once
        if config.metrics_port is not None:
            self._metrics_server = MetricsServer(
                self._metrics.registry, config.metrics_host, config.metrics_port
            )
            logger.info("metrics on port %d of %s", self.metrics_port, config.metrics_host)
        _keep_compiled(config.compilation_cache)
        self.bundles = await self._worker.run(self._load)
        engine = self.bundles.engine_handle.engine
        parts = Parts(self.bundles, self._worker, self._live, self._health)
        servers = {Port.PUBLIC: self._server, Port.ADMIN: self._admin}
        ports = {port: server for port, server in servers.items() if server is not None}
        for one, server in ports.items():
            add_services(server, one, parts)
        for name in ("", *contract_services(*ports)):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        await self._server.start()
        if self._admin is not None:
            await self._admin.start()
            logger.info("AdminService on port %d of %s", self.admin_port, config.admin_host)
        logger.info(
            "serving bundle %s with %d items", engine.bundle_id, len(engine.snapshot.catalogue)
        )
        if programs := cached_programs():
            logger.info("programs: %(compiled)d compiled, %(read)d read from the cache", programs)
        return port

    async def stop(self) -> None:
        """Tells clients to go, lets the calls under way finish, and ends the worker."""
        if self.bundles is not None:
            self.bundles.close()
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(self._config.drain_seconds)
        self._health.end_watches()
        await self._server.stop(self._config.grace_seconds)
        if self._admin is not None:
            await self._admin.stop(0)
        await asyncio.to_thread(self._worker.close)
        if self._live is not None:
            await asyncio.to_thread(self._live.close)
        if self.bundles is not None:
            engine = self.bundles.engine_handle.engine
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

        if self._exporter is not None:
            await asyncio.to_thread(self._exporter.shutdown)

    async def abort(self) -> None:
        """Drops the calls under way and frees the ports. No harm before start or after stop."""
        await self._server.stop(None)
        if self._admin is not None:
            await self._admin.stop(None)
        if self._metrics_server is not None:
            await asyncio.to_thread(self._metrics_server.close)
            self._metrics_server = None

    @property
    def _engine(self) -> Engine | None:
        return None if self.bundles is None else self.bundles.engine_handle.engine

    def _bundle_id(self) -> str | None:
        return None if self._engine is None else self._engine.bundle_id

    def _load(self) -> Bundles:
        """Loads the bundle, and what was written to its catalogue since."""
        config = self._config
        root = config.bundle_root or config.bundle.parent
        if config.state is None:
            engine = Engine.load(config.bundle, config.engine, warm=True)
            return Bundles(engine, config.bundle, root)
        log, compacted = WriteLog.open(config.state), config.state / bundle_store.BUNDLES
        try:
            engine = open_newest(config.bundle, log, compacted, config.engine)
            bundles = Bundles(engine, config.bundle, root)
            self._live = LiveCatalogue(
                bundles.engine_handle,
                log,
                compacted,
                config.live,
                bundles.compacted,
                self._throttle,
            )
        except BaseException:
            log.close()
            raise
        bundles.write_through(self._live.adopt)
        return bundles

    def _bind(self) -> int:
        """Binds both servers; returns the port of the public one."""
        config = self._config
        port = _bound(self._server, Listener(config.host, config.port), config.credentials())
        if config.admin_port is not None:
            listener = Listener(config.admin_host, config.admin_port, "admin-")
            self._admin = grpc.aio.server(interceptors=self._interceptors, options=_OPTIONS)
            self.admin_port = _bound(self._admin, listener, config.credentials())
        return port


def _bound(
    server: grpc.aio.Server, listener: Listener, credentials: grpc.ServerCredentials | None
) -> int:
    """Binds a server and returns the port; raises InputError when it cannot listen there."""
    _check_address(listener)
    try:
        if credentials is None:
            return server.add_insecure_port(listener.address)
        return server.add_secure_port(listener.address, credentials)
    except RuntimeError as error:
        raise InputError(f"{listener.flags}: {error}") from None


def _check_address(listener: Listener) -> None:
    """Raises InputError unless the address can be bound: gRPC does not say why it could not."""
    try:
        found = socket.getaddrinfo(listener.host, listener.port, type=socket.SOCK_STREAM)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{listener.flags}: cannot listen there ({reason})") from None
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
        raise InputError(f"{listener.flags}: cannot listen there ({reason.strerror or reason})")


def _keep_compiled(directory: Path | None) -> None:
    try:
        enable_compilation_cache(directory)
    except OSError as error:  # a read-only disk is no reason not to serve
        logger.warning("starting takes longer, nothing is kept in %s: %s", directory, error)


def _allow_open_files() -> None:
    """Takes as many open files as the system grants: each connection is one, whoever opened it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except (OSError, ValueError) as error:  # macOS grants less than it says
        logger.warning("the limit of open files stays as it is: %s", error)


async def serve(config: ServerConfig) -> None:
    """Serves until SIGTERM or SIGINT, then stops gracefully; a second signal stops at once.

    Prints "listening on HOST:PORT" on standard output as soon as calls are answered.

    Raises:
        InputError: As Service.start.
    """
    _allow_open_files()
    service = Service(config)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    try:
        port = await service.start()
        # What is there stays, so that looking for garbage, as after another bundle was loaded, is
        # a matter of milliseconds, in which no call is answered.
        gc.collect()
        gc.freeze()
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
