"""The settings of a client: TLS, tokens, retries, balancing and the connection."""

import asyncio
import ipaddress
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import grpc

# A bearer token, a file that contains a token, or a function that returns one. The file is read or
# the function is called for every call, so the token may change while the client is in use.
Token = str | Path | Callable[[], str]

# The schemes of addresses that may name several servers.
_MULTIPLE = ("dns:", "ipv4:", "ipv6:")


@dataclass(frozen=True)
class Tls:
    """The settings of TLS. `Tls()` trusts the certificate authorities of the system."""

    ca: Path | None = None  # PEM file of trusted certificate authorities; None: the system's
    cert: Path | None = None  # PEM certificate chain of the client (mutual TLS)
    key: Path | None = None  # PEM private key of `cert`
    # The name in the server's certificate, if it differs from the address. Examples are an address
    # with several servers, and a tunnel.
    server_name: str | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """Return the credentials; raise OSError if a file cannot be read."""
        if (self.cert is None) != (self.key is None):
            raise ValueError("Tls.cert and Tls.key go together: give both or neither")
        ca, key, cert = (
            path.read_bytes() if path else None for path in (self.ca, self.key, self.cert)
        )
        return grpc.ssl_channel_credentials(ca, key, cert)


# A client retries while more than half of these tokens are left. A failed attempt takes a token,
# and a successful one gives back a tenth. So retries add only a few calls to a long outage. Source:
# retry throttling of gRPC (proposal A6).
MAX_TOKENS = 10
TOKEN_RATIO = 0.1


@dataclass(frozen=True)
class Retry:
    """The settings of retries. A call is only retried before its deadline.

    Retries are safe: most methods only read, and the server recognises a repeated write by its
    request id.

    gRPC itself retries UNAVAILABLE (the call did not begin, or the server stopped). gRPC waits a
    random time up to the backoff, then calls another server if there is one.
    """

    attempts: int = 4  # attempts in all: from 1 (no retry) to 5 (the limit of gRPC)
    backoff_seconds: float = 0.1  # longest wait before attempt 2; doubles for each later attempt
    max_backoff_seconds: float = 1.0  # longest wait before any attempt
    # Whether to retry a call that an overloaded server refused (RESOURCE_EXHAUSTED, OVERLOADED),
    # after the time that the server asks to wait.
    overloaded: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.attempts <= 5:
            raise ValueError(f"Retry.attempts {self.attempts}: must be from 1 to 5")
        if not 0 < self.backoff_seconds <= self.max_backoff_seconds:
            raise ValueError("Retry.backoff_seconds: must be above 0 and at most the maximum")


@dataclass(frozen=True)
class Options:
    """The settings of a connection. The defaults suit most applications."""

    retry: Retry = field(default_factory=Retry)  # settings of retries
    # Whether to spread calls over all servers that the address names and whose health is SERVING.
    # None: only if the address begins with "dns:", "ipv4:" or "ipv6:".
    balance: bool | None = None
    # Seconds without traffic before the client probes a connection with running calls; None never
    # probes. A server of Shortlist allows one probe every 5 seconds (`--min-ping-seconds`). A proxy
    # may close connections that are probed more often than every 300 seconds, gRPC's own limit.
    # Load balancers drop connections after 350 seconds without traffic, or later.
    keepalive_seconds: float | None = 330.0
    keepalive_timeout_seconds: float = 20.0  # longest wait for the answer to a probe
    max_message_bytes: int = 64 * 2**20  # largest response; RESOURCE_EXHAUSTED for larger ones
    # Compression of requests. Useful for many inline items over a slow network.
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
        """Return the settings as arguments of a gRPC channel."""
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
                # The timeout of probes that measure bandwidth: gRPC sends one probe at a time, so a
                # lost probe of this kind would delay the keepalive probes.
                ("grpc.http2.ping_timeout_ms", timeout),
                # Otherwise probing stops after two probes, because a health watch sends no data.
                ("grpc.http2.max_pings_without_data", 0),
            ]
        if tls is not None and tls.server_name is not None:
            arguments.append(("grpc.ssl_target_name_override", tls.server_name))
        return arguments

    def service_config(self, address: str) -> dict[str, object]:
        """Return gRPC's service config: retries, and balancing by health."""
        config: dict[str, object] = {}
        if self.retry.attempts > 1:
            policy = {
                "maxAttempts": self.retry.attempts,
                "initialBackoff": _duration(self.retry.backoff_seconds),
                "maxBackoff": _duration(self.retry.max_backoff_seconds),
                "backoffMultiplier": 2,
                # calls.Attempts retries RESOURCE_EXHAUSTED, because gRPC would also retry requests
                # that are too large, and would ignore the time to wait in the server's RetryInfo.
                "retryableStatusCodes": ["UNAVAILABLE"],
            }
            config["methodConfig"] = [{"name": [{}], "retryPolicy": policy}]
            # Stop retries if most calls fail, because retries would then only add load.
            config["retryThrottling"] = {"maxTokens": MAX_TOKENS, "tokenRatio": TOKEN_RATIO}
        balance = address.startswith(_MULTIPLE) if self.balance is None else self.balance
        if balance:
            config["loadBalancingConfig"] = [{"round_robin": {}}]
            config["healthCheckConfig"] = {"serviceName": ""}  # "" means the whole server
        return config


def check_token(token: Token | None, address: str, tls: Tls | None, options: Options) -> None:
    """Raise ValueError if the token would be readable on the network."""
    if token is None or tls is not None:
        return
    if not options.token_in_clear:
        raise ValueError("a token needs TLS: give tls=Tls(), or Options(token_in_clear=True)")
    if not all(map(_is_loopback, _hosts(address))):
        raise ValueError(f"{address}: a token without TLS goes to servers on this machine only")


def read_token(token: Token) -> str:
    """Return the current token.

    Raises:
        OSError: The file cannot be read.
        ValueError: The token is not a possible bearer token.
    """
    match token:
        case str():
            text = token
        case Path():
            text = token.read_text("utf-8").strip()
        case _:
            text = token()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("the token is empty, or has characters that a bearer token cannot have")
    return text


async def read_token_async(token: Token) -> str:
    """Return `read_token(token)` without blocking the event loop."""
    if isinstance(token, str):
        return read_token(token)
    return await asyncio.to_thread(read_token, token)  # a file or a function may block


def _duration(seconds: float) -> str:
    return f"{seconds:.9f}s"


def _hosts(address: str) -> list[str]:
    """Return the hosts that an address names."""
    scheme, _, rest = address.partition(":")
    if scheme in ("unix", "unix-abstract"):
        return ["localhost"]
    if f"{scheme}:" in _MULTIPLE:
        address = rest.rsplit("/", 1)[-1]
    return [_host(part) for part in address.split(",")]


def _host(address: str) -> str:
    """Return the host of "host:port", "[host]:port" or "host"."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address if address.count(":") > 1 else address.partition(":")[0]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
