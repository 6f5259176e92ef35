"""`python -m server health`: ask a server whether it serves, for containers and scripts."""

from dataclasses import dataclass
from typing import cast

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from server.cli.connection import ConnectionConfig

_SERVING = health_pb2.HealthCheckResponse.SERVING


@dataclass(frozen=True)
class HealthConfig(ConnectionConfig):
    """Ask a server whether it serves. The exit code is 0 if it does and 1 if not."""

    service: str = ""  # full name of one service; empty for the whole server
    timeout_seconds: float = 3.0  # how long to wait for the answer


def ask_health(config: HealthConfig) -> str:
    """Return the server's status: SERVING, NOT_SERVING, or why there is no answer.

    Raises:
        OSError: A TLS file cannot be read.
        ValueError: A flag is invalid.
    """
    with _channel(config) as channel:
        request = health_pb2.HealthCheckRequest(service=config.service)
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                request, timeout=config.timeout_seconds
            )
        except grpc.RpcError as error:
            call = cast(grpc.Call, error)  # an RpcError of a call is also a grpc.Call
            return f"{call.code().name}: {call.details() or 'no such service'}"
        return _name(answer.status)


def is_serving(answer: str) -> bool:
    """Return whether an answer of `ask_health` is SERVING."""
    return answer == _name(_SERVING)


def _name(status: int) -> str:
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(status))


def _channel(config: HealthConfig) -> grpc.Channel:
    tls, name = config.tls_files(), config.tls_name
    if tls is None:
        return grpc.insecure_channel(config.address)
    options = [("grpc.ssl_target_name_override", name)] if name else []
    return grpc.secure_channel(config.address, tls.credentials(), options=options)
