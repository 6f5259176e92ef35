"""How a client speaks to its servers: TLS, tokens, retries, balancing and the connection itself."""

import asyncio
import ipaddress
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import grpc

# A bearer token: itself, a file that holds it, or what returns it. The latter two are read anew for
# every call, so a token may change while the client lives.
Token = str | Path | Callable[[], str]

# Addresses with one of these schemes may name several servers.
_MANY = ("dns:", "ipv4:", "ipv6:")


@dataclass(frozen=True)
class Tls:
    """How to speak TLS; `Tls()` trusts what the system trusts."""

    ca: Path | None = None  # PEM file of the authorities that may have signed the server
    cert: Path | None = None  # PEM chain to show the server (mutual TLS)
    key: Path | None = None  # PEM private key of `cert`
    # The name that the server's certificate must have, where the address does not say it: several
    # addresses, a tunnel.
    server_name: str | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """Returns the credentials; raises OSError when a file cannot be read."""
        if (self.cert is None) != (self.key is None):
            raise ValueError("Tls.cert and Tls.key go together: give both or neither")
        ca, key, cert = (
            path.read_bytes() if path else None for path in (self.ca, self.key, self.cert)
        )
        return grpc.ssl_channel_credentials(ca, key, cert)


@dataclass(frozen=True)
class Retry:
    """When a failed call is tried again, always within its deadline.

    That changes nothing twice: most methods only read, and a write that the server has made already
    is known by its request id.

    UNAVAILABLE, for which the call was not begun or its server went away, is left to gRPC: it
    waits a random time up to the backoff, and then asks another server where there is one.
    """

    attempts: int = 4  # from 1, which tries nothing again, to 5, gRPC's own limit
    backoff_seconds: float = 0.1  # before the second attempt at most; then twice as long each time
    max_backoff_seconds: float = 1.0  # before any attempt at most
    # Whether a call refused by a server that has more work than it can queue (RESOURCE_EXHAUSTED,
    # OVERLOADED) is tried again when the server says that it may be.
    overloaded: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.attempts <= 5:
            raise ValueError(f"Retry.attempts {self.attempts}: must be from 1 to 5")
        if not 0 < self.backoff_seconds <= self.max_backoff_seconds:
            raise ValueError("Retry.backoff_seconds: must be above 0 and at most the maximum")


@dataclass(frozen=True)
class Options:
    """What of a connection may be changed; the defaults are meant to stay."""

    retry: Retry = field(default_factory=Retry)  # when a failed call is tried again
    # Shares calls among all servers that the address names, and leaves out those whose health is
    # not SERVING. None: where the address begins with "dns:", "ipv4:" or "ipv6:".
    balance: bool | None = None
    # How long a connection with calls under way may be silent before it is probed; None never
    # probes. Servers end the connection of who probes more often than they allow, by default every
    # 300 seconds; balancers forget connections that were silent for 350 seconds or more.
    keepalive_seconds: float | None = 330.0
    keepalive_timeout_seconds: float = 20.0  # how long the answer to a probe may take
    max_message_bytes: int = 64 * 2**20  # of an answer; a larger one is RESOURCE_EXHAUSTED
    # Of requests. Worth its time for items to rerank or embed over a slow network.
    compression: grpc.Compression = grpc.Compression.NoCompression
    token_in_clear: bool = False  # allow a token without TLS, to servers on this machine only

    def __post_init__(self) -> None:
        if self.keepalive_seconds is not None and not self.keepalive_seconds > 0:
            raise ValueError("Options.keepalive_seconds: must be above 0, or None")
        if not self.keepalive_timeout_seconds > 0:
            raise ValueError("Options.keepalive_timeout_seconds: must be above 0")
        if not 0 < self.max_message_bytes < 2**31:
            raise ValueError("Options.max_message_bytes: must be above 0 and below 2 GiB")

    def channel_arguments(self, address: str, tls: Tls | None) -> list[tuple[str, str | int]]:
        """Returns the same in gRPC's own words."""
        arguments: list[tuple[str, str | int]] = [
            ("grpc.service_config", json.dumps(self.service_config(address))),
            ("grpc.max_receive_message_length", self.max_message_bytes),
            ("grpc.primary_user_agent", "shortlist-client"),
        ]
        if self.keepalive_seconds is not None:
            timeout = round(self.keepalive_timeout_seconds * 1000)
            arguments += [
                ("grpc.keepalive_time_ms", round(self.keepalive_seconds * 1000)),
                ("grpc.keepalive_timeout_ms", timeout),
                # Of the probes that measure bandwidth: no other is sent while one is under way.
                ("grpc.http2.ping_timeout_ms", timeout),
                # Else probing ends after two of them: a watch of the health is always silent.
                ("grpc.http2.max_pings_without_data", 0),
            ]
        if tls is not None and tls.server_name is not None:
            arguments.append(("grpc.ssl_target_name_override", tls.server_name))
        return arguments

    def service_config(self, address: str) -> dict[str, object]:
        """Returns gRPC's service config: retries, and balancing by health."""
        config: dict[str, object] = {}
        if self.retry.attempts > 1:
            policy = {
                "maxAttempts": self.retry.attempts,
                "initialBackoff": _duration(self.retry.backoff_seconds),
                "maxBackoff": _duration(self.retry.max_backoff_seconds),
                "backoffMultiplier": 2,
                # Not RESOURCE_EXHAUSTED: gRPC would also send again what is too large, and would
                # not wait as long as the server's RetryInfo says. See calls.Attempts.
                "retryableStatusCodes": ["UNAVAILABLE"],
            }
            config["methodConfig"] = [{"name": [{}], "retryPolicy": policy}]
            # When most calls to the servers fail, trying again would only add to their load.
            config["retryThrottling"] = {"maxTokens": 100, "tokenRatio": 0.1}
        balance = address.startswith(_MANY) if self.balance is None else self.balance
        if balance:
            config["loadBalancingConfig"] = [{"round_robin": {}}]
            config["healthCheckConfig"] = {"serviceName": ""}  # the health of the whole server
        return config


def check_token(token: Token | None, address: str, tls: Tls | None, options: Options) -> None:
    """Raises ValueError where a token would be readable on the network."""
    if token is None or tls is not None:
        return
    if not options.token_in_clear:
        raise ValueError("a token needs TLS: give tls=Tls(), or Options(token_in_clear=True)")
    if not all(map(_is_here, _hosts(address))):
        raise ValueError(f"{address}: a token without TLS goes to servers on this machine only")


def read_token(token: Token) -> str:
    """Returns the token as it is now.

    Raises:
        OSError: The file cannot be read.
        ValueError: What was found cannot be a token.
    """
    match token:
        case str():
            found = token
        case Path():
            found = token.read_text("utf-8").strip()
        case _:
            found = token()
    if not found or not found.isascii() or not found.isprintable() or " " in found:
        raise ValueError("the token is empty, or has characters that no bearer token may have")
    return found


async def read_token_async(token: Token) -> str:
    """Return `read_token(token)` without blocking the event loop."""
    if isinstance(token, str):
        return read_token(token)
    return await asyncio.to_thread(read_token, token)  # reads a file, or runs the caller's code


def _duration(seconds: float) -> str:
    return f"{seconds:.9f}s"


def _hosts(address: str) -> list[str]:
    """The hosts that an address names."""
    scheme, _, rest = address.partition(":")
    if scheme in ("unix", "unix-abstract"):
        return ["localhost"]
    if f"{scheme}:" in _MANY:
        address = rest.rsplit("/", 1)[-1]
    return [_host(one) for one in address.split(",")]


def _host(address: str) -> str:
    """The host of "host:port", "[host]:port" or a host alone."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address if address.count(":") > 1 else address.partition(":")[0]


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
