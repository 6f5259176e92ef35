"""The server's settings."""

import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from base.errors import InputError
from behaviour.config import FeedbackConfig
from live.config import LiveConfig
from search.config import EngineConfig
from server.auth.certificates import Certificates
from server.listener import bracketed
from server.observe.tracing import check_endpoint


def default_compilation_cache() -> Path:
    """Return the default directory of compiled programs, in the user's cache directory."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "shortlist" / "xla"


@dataclass(frozen=True)
class ServerConfig:
    """The settings of the server."""

    bundle: Path  # directory of the bundle to serve, as `shortlist train` writes it
    # directory that stores writes to the catalogue and events, created if missing; None: both are
    # refused
    state: Path | None = None
    config: Path | None = None  # TOML file with any of these settings; flags take precedence
    host: str = "127.0.0.1"  # address to listen on; 0.0.0.0 or :: for every interface
    port: int = 50051  # port to listen on; 0 picks a free port and prints it
    tls_cert: Path | None = None  # PEM certificate chain for TLS; needs tls_key
    tls_key: Path | None = None  # PEM private key of tls_cert
    # PEM authorities that sign client certificates; None: clients need no certificate
    client_ca: Path | None = None
    # file of the accepted tokens, one per line: `ROLE: SHA-256`; None: calls need no token
    tokens: Path | None = None
    # shortest time between two reads of the token file, which may change while the server runs
    reload_seconds: float = 0.5
    tokens_in_clear: bool = False  # allow tokens without TLS on any interface, not only loopback
    # port of AdminService, which swaps bundles; 0 picks a free port; None: no AdminService
    admin_port: int | None = None
    admin_host: str = "127.0.0.1"  # address to listen on for AdminService
    # AdminService loads bundles only from below this directory; None: the parent of `bundle`
    bundle_root: Path | None = None
    # longest time to load a bundle, at the start or by AdminService; a longer load is given up
    load_seconds: float = 1_800.0
    threads: int = 16  # number of calls that run at a time and share batches of model work
    queue_size: int = 64  # number of calls that may wait; the next gets RESOURCE_EXHAUSTED
    # age of a connection at which its client must reconnect, so that clients find new servers
    connection_age_seconds: float = 300.0
    # time for running calls to finish on a connection that has reached connection_age_seconds
    connection_grace_seconds: float = 3_600.0
    # number of calls, with open streams, that run at a time on one connection; its client holds
    # further calls back
    max_calls_per_connection: int = 100
    # shortest time between two keepalive pings of a client, also without running calls; more
    # frequent pings close its connection. 0 allows all pings
    min_ping_seconds: float = 5.0
    drain_seconds: float = 0.3  # time from reporting NOT_SERVING to the stop
    grace_seconds: float = 10.0  # time for running calls to finish during a stop
    # directory that stores compiled programs for the next start; None: nothing is stored
    compilation_cache: Path | None = field(default_factory=default_compilation_cache)
    log_format: Literal["text", "json"] = "text"  # json writes one object per line
    # port of GET /metrics for Prometheus; 0 picks a free port; None: no metrics
    metrics_port: int | None = None
    metrics_host: str = "127.0.0.1"  # address to listen on for metrics, in plain HTTP
    # URL of an OTLP collector of traces over gRPC, such as http://localhost:4317
    trace_endpoint: str | None = None
    engine: EngineConfig = field(default_factory=EngineConfig)  # defaults of recall and reranking
    # when written items become visible, and when they are built into a new bundle
    live: LiveConfig = field(default_factory=LiveConfig)
    # how long events are kept, and how they are counted
    feedback: FeedbackConfig = field(default_factory=FeedbackConfig)

    def __post_init__(self) -> None:
        self._check_numbers()
        if self.trace_endpoint is not None:
            check_endpoint(self.trace_endpoint)
        if (self.tls_cert is None) != (self.tls_key is None):
            raise InputError("--tls-cert and --tls-key go together: give both or neither")
        if self.client_ca is not None and self.tls_cert is None:
            raise InputError("--client-ca needs --tls-cert and --tls-key")
        self._check_access()

    def _check_numbers(self) -> None:
        for name in ("port", "admin_port", "metrics_port"):
            port = getattr(self, name)
            if port is not None and not 0 <= port <= 65_535:
                flag = f"--{name.replace('_', '-')}"
                raise InputError(f"{flag} {port}: must be from 0 to 65535")
        for name in ("threads", "queue_size", "max_calls_per_connection"):
            if getattr(self, name) < 1:
                flag = f"--{name.replace('_', '-')}"
                raise InputError(f"{flag} {getattr(self, name)}: must be at least 1")
        if not self.load_seconds > 0:
            raise InputError("--load-seconds: must be above 0")
        if not 0 < self.connection_age_seconds <= 86_400:
            raise InputError("--connection-age-seconds: must be above 0 and at most 86400")
        if not 0 < self.connection_grace_seconds <= 86_400:
            raise InputError("--connection-grace-seconds: must be above 0 and at most 86400")
        if not 0 <= self.min_ping_seconds <= 86_400:
            raise InputError("--min-ping-seconds: must be from 0 to 86400")
        for name in ("reload_seconds", "drain_seconds", "grace_seconds"):
            if not getattr(self, name) >= 0:
                raise InputError(f"--{name.replace('_', '-')}: must not be negative")

    def _check_access(self) -> None:
        admin_host = None if self.admin_port is None else self.admin_host
        for flag, host in (("--host", self.host), ("--admin-host", admin_host)):
            if host is None or _is_loopback(host):
                continue
            if self.tokens is not None and self.tls_cert is None and not self.tokens_in_clear:
                raise InputError(
                    f"{flag} {host}: tokens would travel in clear: give --tls-cert and --tls-key, "
                    "or --tokens-in-clear if something else encrypts"
                )
            if flag == "--admin-host" and self.tokens is None:
                raise InputError(f"{flag} {host}: AdminService beyond this machine needs --tokens")
            if flag == "--host" and self.state is not None and not (self.tokens or self.client_ca):
                raise InputError(
                    f"{flag} {host}: anyone who reaches it could write to the catalogue (--state): "
                    "give --tokens or --client-ca"
                )

    @property
    def bracketed_host(self) -> str:
        """The host; an IPv6 address is in brackets."""
        return bracketed(self.host)

    def certificates(self) -> Certificates | None:
        """Return the TLS certificates; None for plain text.

        Raises:
            InputError: A file is missing or not PEM, or key and certificate do not match.
        """
        if self.tls_cert is None or self.tls_key is None:
            return None
        return Certificates(self.tls_cert, self.tls_key, self.client_ca)

    def exposure(self) -> list[str]:
        """Return the risks of calls from other machines, with the flags that end each risk."""
        if _is_loopback(self.host):
            return []
        risks = []
        if self.tls_cert is None and not self.tokens_in_clear:
            risks.append("calls are not encrypted (--tls-cert, --tls-key)")
        if self.tokens is None and self.client_ca is None:
            risks.append("everybody who reaches the port may call (--tokens, --client-ca)")
        return risks


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # another name can resolve to any address
        return False
