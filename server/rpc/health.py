"""The standard gRPC health service, whose Watch calls do not delay a stop of the server."""

import asyncio
from typing import Any

from grpc_health.v1 import health, health_pb2


class Health(health.aio.HealthServicer):  # type: ignore[name-defined, misc]  # stubs lack the class
    """Health of the whole server and of each service."""

    def __init__(self) -> None:
        super().__init__()
        self._ended = asyncio.Event()

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Any) -> None:  # noqa: N802
        """Stream every change of status until the caller cancels or `end_watches` is called."""
        watching = asyncio.ensure_future(super().Watch(request, context))
        ended = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait((watching, ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            watching.cancel()
            ended.cancel()
            await asyncio.gather(watching, ended, return_exceptions=True)

    def end_watches(self) -> None:
        """End all Watch calls. Otherwise, a graceful stop would wait for them until its timeout."""
        self._ended.set()
