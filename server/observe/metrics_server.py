"""The HTTP server of the metrics.

Anybody who reaches its port may open connections. So the number of connections and the time of each
connection are limited.
"""

import errno
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from base.error_logging import log_error
from base.errors import InputError

logger = logging.getLogger(__name__)

_PATH = "/metrics"
_RETRY_SECONDS = 0.1  # time from a failure to accept a connection to the next attempt


class MetricsServer:
    """Serves `GET /metrics` over HTTP on its own threads.

    Attributes:
        port: The port that the server listens on.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        host: str,
        port: int,
        *,
        max_connections: int = 16,
        max_seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Listen on an address.

        Args:
            registry: The metrics.
            host: The address to listen on.
            port: The port to listen on; 0 for a free port.
            max_connections: Maximum number of open connections. Another connection closes the
                oldest one: a scrape ends long before that, unless its client is stuck.
            max_seconds: Time after which a connection is closed.
            clock: Measures `max_seconds`, in seconds.

        Raises:
            InputError: The server cannot listen on this address.
        """
        try:
            self._server = _Server(registry, host, port, max_connections, max_seconds, clock)
        except OSError as error:
            in_use = error.errno == errno.EADDRINUSE
            reason = "address already in use" if in_use else error.strerror or error
            raise InputError(
                f"--metrics-host {host} --metrics-port {port}: cannot listen there ({reason})"
            ) from None
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop the server and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingTCPServer):
    """Serves each connection on a thread; limits their number and their time."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        registry: CollectorRegistry,
        host: str,
        port: int,
        max_connections: int,
        max_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self.address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        self._registry = registry
        self._max_connections, self._max_seconds, self._clock = max_connections, max_seconds, clock
        self._opened: dict[Any, float] = {}  # when each open connection was accepted; oldest first
        self._lock = threading.Lock()  # held while sockets in `_opened` are closed
        self._collecting = threading.Lock()
        super().__init__((host, port), _Handler)

    def collect(self, request: Any, accept: str) -> tuple[bytes, str]:
        """Return the metrics in a format that a client accepts, and its content type.

        Raises:
            ConnectionAbortedError: The connection was closed because there were too many.
        """
        encode, content_type = choose_encoder(accept)
        # One thread at a time. With more threads, the event loop would wait for each of them to
        # release Python's lock.
        with self._collecting:
            if request not in self._opened:
                raise ConnectionAbortedError
            return encode(self._registry), content_type

    def get_request(self) -> tuple[Any, Any]:
        """Accept a connection; wait if it fails, because `serve_forever` tries again at once."""
        try:
            return super().get_request()
        except OSError:  # the process has no free file descriptor, or the client is gone
            time.sleep(_RETRY_SECONDS)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a new connection; close the oldest connection if there are too many."""
        with self._lock:
            if len(self._opened) >= self._max_connections:
                self._end(next(iter(self._opened)))
            self._opened[request] = self._clock()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a served connection."""
        with self._lock:
            self._opened.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Close connections that are open for too long. `serve_forever` calls this regularly."""
        with self._lock:
            oldest_allowed = self._clock() - self._max_seconds
            for request in [each for each, at in self._opened.items() if at < oldest_allowed]:
                self._end(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Log the error of a connection. The default would print a traceback."""
        error = sys.exception()
        if isinstance(error, OSError):  # the client or `_end` closed the connection
            logger.debug("metrics not sent: %s", type(error).__name__)
        elif error is not None:
            log_error(logger, error, "metrics not collected")

    def _end(self, request: Any) -> None:
        """End all waits of the thread that serves a connection; the thread then closes it."""
        del self._opened[request]
        with suppress(OSError):  # the client has closed the connection
            request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """Answers the one request of a connection."""

    server: _Server

    def do_GET(self) -> None:
        """Answer with the metrics."""
        if urlsplit(self.path).path != _PATH:
            self.send_error(HTTPStatus.NOT_FOUND, explain=f"the server has only {_PATH}")
            return
        content, content_type = self.server.collect(self.connection, self.headers.get("Accept", ""))
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Log nothing, because scrapes are frequent."""
