"""The standard gRPC health service, whose watchers do not hold up a stop."""

import asyncio
from typing import Any

from grpc_health.v1 import health, health_pb2


class Health(health.aio.HealthServicer):  # type: ignore[name-defined, misc]  # stubs lack it
    """Health of the whole server and of each service."""

    def __init__(self) -> None:
        super().__init__()
        self._over = asyncio.Event()

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Any) -> None:  # noqa: N802
        """Tells a caller of every change until they go or the server ends."""
        watching = asyncio.ensure_future(super().Watch(request, context))
        over = asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait((watching, over), return_when=asyncio.FIRST_COMPLETED)
        finally:
            watching.cancel()
            over.cancel()
            await asyncio.gather(watching, over, return_exceptions=True)

    def end_watches(self) -> None:
        """Ends every call of Watch, which would otherwise use up a graceful stop's whole time."""
        self._over.set()
