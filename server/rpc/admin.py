"""AdminService: report the server's status, load a bundle, and roll back."""

# ruff: noqa: ARG002, N802 - gRPC sets the names and parameters of the methods

import time
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from bert.compilation_cache import cached_programs
from live.catalogue import LiveCatalogue, LiveReport
from search.bundle import Manifest
from server.bundle_loader import BundleLoader, BundleRecord, LoadFailure, LoadInProgress
from shortlist.v1 import admin_service_pb2, admin_service_pb2_grpc


class AdminServicer(admin_service_pb2_grpc.AdminServiceServicer):
    """The methods of AdminService, for operators."""

    def __init__(self, bundles: BundleLoader, live: LiveCatalogue | None):
        self._bundles = bundles
        self._live = live
        self._start = time.monotonic()

    async def GetStatus(
        self, request: admin_service_pb2.GetStatusRequest, context: Any
    ) -> admin_service_pb2.GetStatusResponse:
        """Return the server's status."""
        bundles, engine = self._bundles, self._bundles.engine_handle.engine
        current, previous = bundles.current, bundles.previous
        loading, failure = bundles.loading, bundles.last_failure
        programs = cached_programs()
        return admin_service_pb2.GetStatusResponse(
            bundle_id=current.manifest.bundle_id,
            bundle=_bundle_message(current, current.manifest),
            previous=_bundle_message(previous, previous.deployed) if previous else None,
            loading=_loading_message(loading) if loading else None,
            last_failure=_failure_message(failure) if failure else None,
            leaving_bundle_ids=bundles.leaving,
            item_count=len(engine.snapshot.catalogue),
            vector_dimension=engine.dim,
            has_reranker=engine.has_reranker,
            numerics=engine.numerics.dtype,
            numerics_reason=engine.numerics.why,
            ready_program_count=engine.compilations,
            compiled_program_count=programs.get("compiled", 0),
            cached_program_count=programs.get("read", 0),
            caches=[
                admin_service_pb2.ResultCache(
                    name=name,
                    entry_count=report.entries,
                    size_bytes=report.bytes,
                    hit_count=report.hits,
                    miss_count=report.misses,
                )
                for name, report in engine.cache_reports().items()
            ],
            uptime=_duration(time.monotonic() - self._start),
            server_version=_version(),
            writes=_writes_message(self._live.report()) if self._live else None,
        )

    async def LoadBundle(
        self, request: admin_service_pb2.LoadBundleRequest, context: Any
    ) -> admin_service_pb2.LoadBundleResponse:
        """Load a bundle and swap it in."""
        record = await self._bundles.load(request.path)
        return admin_service_pb2.LoadBundleResponse(
            bundle_id=record.manifest.bundle_id, bundle=_bundle_message(record, record.manifest)
        )

    async def RollBack(
        self, request: admin_service_pb2.RollBackRequest, context: Any
    ) -> admin_service_pb2.RollBackResponse:
        """Load the previous bundle again and swap it in."""
        record = await self._bundles.roll_back()
        return admin_service_pb2.RollBackResponse(
            bundle_id=record.manifest.bundle_id, bundle=_bundle_message(record, record.manifest)
        )


def _bundle_message(record: BundleRecord, manifest: Manifest) -> admin_service_pb2.ServedBundle:
    metrics = Struct()
    metrics.update(manifest.metrics)
    return admin_service_pb2.ServedBundle(
        bundle_id=manifest.bundle_id,
        path=str(record.path),
        create_time=_timestamp(datetime.fromisoformat(manifest.created)),
        serve_time=_timestamp(record.since),
        built_numerics=manifest.numerics,
        metrics=metrics,
    )


def _loading_message(loading: LoadInProgress) -> admin_service_pb2.BundleLoad:
    return admin_service_pb2.BundleLoad(
        path=str(loading.path), start_time=_timestamp(loading.since)
    )


def _failure_message(failure: LoadFailure) -> admin_service_pb2.FailedBundleLoad:
    return admin_service_pb2.FailedBundleLoad(
        path=str(failure.path), fail_time=_timestamp(failure.time), reason=failure.reason
    )


def _writes_message(report: LiveReport) -> admin_service_pb2.WriteStatus:
    failure = report.compaction_failure
    return admin_service_pb2.WriteStatus(
        durable_sequence=report.sequence,
        visible_sequence=report.visible_sequence,
        pending_item_count=report.pending,
        oldest_pending_age=_duration(report.oldest_wait) if report.pending else None,
        set_aside_item_count=report.set_aside,
        last_compaction_failure=admin_service_pb2.FailedCompaction(
            fail_time=_timestamp(failure.time), reason=failure.reason
        )
        if failure
        else None,
    )


def _duration(seconds: float) -> Duration:
    message = Duration()
    message.FromNanoseconds(int(seconds * 1e9))
    return message


def _timestamp(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time)
    return message


def _version() -> str:
    try:
        return version("shortlist")
    except PackageNotFoundError:  # the package is not installed
        return "unknown"
