"""CurationService: list and change curations, which the write log keeps."""

# ruff: noqa: ARG002, N802 - gRPC sets the names and parameters of the methods

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from live.catalogue import LiveCatalogue
from live.errors import ReadOnlyError
from live.log.curations import CurationChange
from search.engine_handle import EngineHandle
from search.result import StageReport
from server.convert.common import COMPLETE, stage_messages
from server.convert.curations import (
    curation_message,
    list_curations,
    listed_query,
    other_change,
    set_change,
)
from server.interceptors.call_log import record_stages
from shortlist.v1 import curation_service_pb2, curation_service_pb2_grpc


class CurationServicer(curation_service_pb2_grpc.CurationServiceServicer):
    """The methods of CurationService. They run on threads, because they wait for the disk."""

    def __init__(
        self,
        engine_handle: EngineHandle,
        live: LiveCatalogue | None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._engine_handle = engine_handle
        self._live = live
        self._now = now

    async def ListCurations(
        self, request: curation_service_pb2.ListCurationsRequest, context: Any
    ) -> curation_service_pb2.ListCurationsResponse:
        """Return one page of curations."""
        live, engine, start = self._writable(), self._engine_handle.engine, time.perf_counter()
        query = listed_query(request)
        concerning = engine.snapshot.curations.concerning(query) if query else None
        response = await asyncio.to_thread(list_curations, request, live.curations, concerning)
        seconds = time.perf_counter() - start
        stages = (StageReport("list", len(response.curations), seconds),)
        record_stages(stages)
        response.stages.extend(stage_messages(stages))
        response.bundle_id = engine.bundle_id
        response.coverage.CopyFrom(COMPLETE)
        return response

    async def SetCuration(
        self, request: curation_service_pb2.SetCurationRequest, context: Any
    ) -> curation_service_pb2.SetCurationResponse:
        """Create or replace a curation."""
        live, change = self._writable(), set_change(request, self._now())
        written = await asyncio.to_thread(live.curate, change)
        return curation_service_pb2.SetCurationResponse(
            curation=_now_message(live, change),
            sequence=written.sequence,
            repeated=written.repeated,
        )

    async def DeleteCuration(
        self, request: curation_service_pb2.DeleteCurationRequest, context: Any
    ) -> curation_service_pb2.DeleteCurationResponse:
        """Delete a curation."""
        live, change = self._writable(), other_change(request, self._now())
        written = await asyncio.to_thread(live.curate, change)
        return curation_service_pb2.DeleteCurationResponse(
            sequence=written.sequence, repeated=written.repeated
        )

    async def UndoCuration(
        self, request: curation_service_pb2.UndoCurationRequest, context: Any
    ) -> curation_service_pb2.UndoCurationResponse:
        """Take back the last change of a curation."""
        live, change = self._writable(), other_change(request, self._now())
        written = await asyncio.to_thread(live.curate, change)
        return curation_service_pb2.UndoCurationResponse(
            curation=_now_message(live, change),
            sequence=written.sequence,
            repeated=written.repeated,
        )

    def _writable(self) -> LiveCatalogue:
        if self._live is None:
            raise ReadOnlyError
        return self._live


def _now_message(
    live: LiveCatalogue, change: CurationChange
) -> curation_service_pb2.Curation | None:
    return curation_message(live.curations.by_id.get(change.curation_id))
