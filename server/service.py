"""The gRPC server as a whole: start, serve and stop gracefully."""

import asyncio
import gc
import logging
import resource
import signal
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2
from opentelemetry.trace import TracerProvider

from base.errors import InputError
from behaviour.feedback import Feedback
from bert.compilation_cache import cached_programs, enable_compilation_cache
from live import bundle_store
from live.catalogue import LiveCatalogue, open_newest
from live.indexing.active_index import OpenIndex
from live.indexing.delta_index import DeltaIndex
from live.log.write_ahead_log import WriteLog
from live.throttle import Throttle
from search.engine import Engine
from search.errors import DeadlineExceededError
from server.auth.tokens import Tokens
from server.bundle_loader import BundleLoader, log_serving
from server.config import ServerConfig
from server.interceptors.access import AccessInterceptor
from server.interceptors.call_log import CallLogInterceptor
from server.interceptors.errors import ErrorInterceptor
from server.interceptors.load_shedding import LoadSheddingInterceptor
from server.listener import Listener
from server.observe.metrics import Metrics
from server.observe.metrics_server import MetricsServer
from server.observe.tracing import CallTracer, make_exporter
from server.rpc.health import Health
from server.rpc.services import QUEUED, ROLES, Parts, Port, add_services, contract_services
from server.worker_pool import WorkerPool

logger = logging.getLogger(__name__)

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_PENDING_CALLS = 100_000

_OPTIONS = (
    ("grpc.so_reuseport", 0),  # with 1, a second server on this port would get half of the calls
    ("grpc.max_receive_message_length", 8 * 2**20),  # enough for a request with 500 items to rerank
    # gRPC cancels calls without details while so many wait to be accepted. By default it starts at
    # 1,000, so a burst would never reach the load shedding of this server.
    ("grpc.server.max_pending_requests", _PENDING_CALLS),
    ("grpc.server.max_pending_requests_hard_limit", _PENDING_CALLS),
)


class Service:
    """A gRPC server that answers calls from one bundle at a time.

    Attributes:
        pool: The threads that run the engine.
        suggestion_pool: The thread that answers SuggestionService.
        bundles: The loader of bundles; None before `start`.
        live: The catalogue that takes writes; None before `start` and without `--state`.
        feedback: Records events; None before `start` and without `--state`.
        admin_port: The port of AdminService; None before `start` and without `--admin-port`.
    """

    def __init__(
        self,
        config: ServerConfig,
        tracer_provider: TracerProvider | None = None,
        *,
        open_index: OpenIndex = DeltaIndex,
        settle_seconds: float = 1.0,
    ):
        """Create the server without starting it.

        Args:
            config: The settings.
            tracer_provider: Receives the spans if the settings have no `trace_endpoint`. None
                uses the provider of the process.
            open_index: Opens the delta index of an engine.
            settle_seconds: See `BundleLoader`.

        Raises:
            InputError: The packages that send traces are not installed.
        """
        self._config = config
        self._open_index = open_index
        self._settle_seconds = settle_seconds
        self.bundles: BundleLoader | None = None
        self.live: LiveCatalogue | None = None
        self.feedback: Feedback | None = None
        self.admin_port: int | None = None
        self._exporter = make_exporter(config.trace_endpoint)
        self._metrics = Metrics()
        self._metrics_server: MetricsServer | None = None
        self._throttle = Throttle(config.live.give_way_seconds)
        self._health = Health()
        self.pool = WorkerPool(
            config.queue_size,
            config.threads,
            on_wait=self._metrics.observe_wait,
            on_batch=self._metrics.observe_batch,
            throttle=self._throttle,
        )
        # Suggestions take a few milliseconds at most, so they do not wait for a CPU either.
        self.suggestion_pool = WorkerPool(
            config.queue_size, throttle=self._throttle, hold=nullcontext
        )
        tracer = CallTracer(self._exporter or tracer_provider)
        call_log = CallLogInterceptor(self._metrics, tracer, self._bundle_id)
        access = None
        if config.tokens is not None:
            tokens = Tokens(config.tokens, config.reload_seconds)
            access = AccessInterceptor(tokens, ROLES)
        self._interceptors = [call_log, *filter(None, [access]), ErrorInterceptor()]
        shedding = LoadSheddingInterceptor(self.pool, self._metrics, QUEUED, access)
        ages = (
            ("grpc.max_connection_age_ms", round(1000 * config.connection_age_seconds)),
            ("grpc.max_connection_age_grace_ms", round(1000 * config.connection_grace_seconds)),
        )
        self._options = _options_of(config)
        self._server = grpc.aio.server(
            interceptors=[shedding, *self._interceptors], options=(*self._options, *ages)
        )
        self._admin: grpc.aio.Server | None = None
        self._metrics.watch_state(
            self.pool, lambda: self._engine, lambda: self.live, lambda: self.feedback
        )

    @property
    def metrics_port(self) -> int | None:
        """The port of the metrics; None if metrics are not served."""
        return None if self._metrics_server is None else self._metrics_server.port

    async def start(self) -> int:
        """Load the bundle, compile the models, answer calls, and return the port.

        Raises:
            InputError: The bundle, an address or a TLS file cannot be used, or loading the bundle
                takes too long.
        """
        config = self._config
        port = self._bind()  # first, so that a port in use is reported at once
        if config.metrics_port is not None:
            self._metrics_server = MetricsServer(
                self._metrics.registry, config.metrics_host, config.metrics_port
            )
            _log_port("metrics", config.metrics_host, self.metrics_port)
        _enable_compilation_cache(config.compilation_cache)
        try:
            self.bundles = await self.pool.run(self._load, time.monotonic() + config.load_seconds)
        except DeadlineExceededError:
            raise InputError(
                f"loading {config.bundle} took more than {config.load_seconds:g} s; give more "
                "--load-seconds, or check the bundle"
            ) from None
        await self._add_services(self.bundles)
        await self._server.start()
        if self._admin is not None:
            await self._admin.start()
            _log_port("AdminService", config.admin_host, self.admin_port)
        log_serving(self.bundles.engine_handle.engine)
        if programs := cached_programs():
            fields = {"compiled": programs["compiled"], "read_from_cache": programs["read"]}
            logger.info("programs", extra={"fields": fields})
        return port

    async def stop(self) -> None:
        """Report NOT_SERVING, let running calls finish, and end all threads."""
        if self.bundles is not None:
            self.bundles.close()
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(self._config.drain_seconds)
        self._health.end_watches()
        await self._server.stop(self._config.grace_seconds)
        if self._admin is not None:
            await self._admin.stop(0)
        await asyncio.to_thread(self.pool.close)
        await asyncio.to_thread(self.suggestion_pool.close)
        if self.live is not None:
            await asyncio.to_thread(self.live.close)
        if self.feedback is not None:
            await asyncio.to_thread(self.feedback.close)
        if (engine := self._engine) is not None:
            await asyncio.to_thread(engine.close)
            _log_caches(engine)
        if self._exporter is not None:
            await asyncio.to_thread(self._exporter.shutdown)

    async def abort(self) -> None:
        """Cancel running calls and free the ports; allowed before `start` and after `stop`."""
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

    def _load(self) -> BundleLoader:
        """Load the bundle and, with `--state`, the writes to its catalogue."""
        config = self._config
        root = config.bundle_root or config.bundle.parent
        seconds = config.load_seconds, self._settle_seconds
        if config.state is None:
            engine = Engine.load(config.bundle, config.engine, warm=True)
            return BundleLoader(engine, config.bundle, root, *seconds)
        log, compacted = WriteLog.open(config.state), config.state / bundle_store.BUNDLES
        try:
            self.feedback = Feedback.open(config.state, config.feedback)
            engine = open_newest(config.bundle, log, compacted, config.engine)
            bundles = BundleLoader(engine, config.bundle, root, *seconds)
            self.live = LiveCatalogue(
                bundles.engine_handle,
                log,
                compacted,
                config.live,
                bundles.compacted,
                self._throttle,
                open_index=self._open_index,
            )
        except BaseException:
            log.close()
            if self.feedback is not None:
                self.feedback.close()
            raise
        bundles.swap_through(self.live.adopt)
        return bundles

    def _bind(self) -> int:
        """Bind the public and the admin server; return the public port."""
        config = self._config
        certificates = config.certificates()
        if risks := config.exposure():
            fields = {"host": config.host, "risks": risks}
            logger.warning("other machines can reach this server", extra={"fields": fields})
        port = Listener(config.host, config.port).bind(self._server, certificates)
        if config.admin_port is not None:
            listener = Listener(config.admin_host, config.admin_port, "admin-")
            self._admin = grpc.aio.server(interceptors=self._interceptors, options=self._options)
            self.admin_port = listener.bind(self._admin, certificates)
        return port

    async def _add_services(self, bundles: BundleLoader) -> None:
        """Register the services of each port, and report SERVING for them."""
        pools = self.pool, self.suggestion_pool
        parts = Parts(bundles, *pools, self.live, self._health, self.feedback)
        servers = {Port.PUBLIC: self._server}
        if self._admin is not None:
            servers[Port.ADMIN] = self._admin
        for port, server in servers.items():
            add_services(server, port, parts)
        for name in ("", *contract_services(*servers)):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)


def _options_of(config: ServerConfig) -> tuple[tuple[str, int], ...]:
    """Return the options of gRPC for all ports."""
    return (
        *_OPTIONS,
        ("grpc.http2.min_ping_interval_without_data_ms", round(1000 * config.min_ping_seconds)),
        ("grpc.max_concurrent_streams", config.max_calls_per_connection),
        # Otherwise, gRPC also counts calls that have just ended, and refuses calls of clients that
        # keep to the limit.
        ("grpc.http.overload_protection", 0),
        # Otherwise, gRPC allows a client without running calls only one ping in two hours.
        ("grpc.keepalive_permit_without_calls", 1),
    )


def _log_port(service: str, host: str, port: int | None) -> None:
    fields = {"service": service, "host": host, "port": port}
    logger.info("listening", extra={"fields": fields})


def _log_caches(engine: Engine) -> None:
    for name, cache in engine.cache_reports().items():
        fields = {
            "cache": name,
            "hit_rate": round(cache.hit_rate, 4),
            "lookups": cache.hits + cache.misses,
            "entries": cache.entries,
            "bytes": cache.bytes,
        }
        logger.info("cache", extra={"fields": fields})


def _enable_compilation_cache(directory: Path | None) -> None:
    try:
        enable_compilation_cache(directory)
    except OSError as error:  # the server works without the cache
        fields = {"directory": str(directory), "error": str(error)}
        logger.warning("no compilation cache: starts take longer", extra={"fields": fields})


def _raise_open_file_limit() -> None:
    """Raise the soft limit of open files to the hard limit. Each connection is an open file."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:  # macOS grants less than its hard limit
        fields = {"hard_limit": hard, "error": str(error)}
        logger.warning("limit of open files not raised", extra={"fields": fields})


async def serve(config: ServerConfig) -> None:
    """Serve until SIGTERM or SIGINT, then stop gracefully; a second signal stops at once.

    Prints "listening on HOST:PORT" on standard output once the server answers calls.

    Raises:
        InputError: The bundle, an address, a TLS file or the trace exporter cannot be used.
    """
    _raise_open_file_limit()
    service = Service(config)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    try:
        port = await service.start()
        # Garbage collection blocks all calls. The objects that exist now stay until the server
        # stops. `freeze` excludes them from collections, which then take only milliseconds.
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
        logger.info("stopped")
    finally:
        await service.abort()
