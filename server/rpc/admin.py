"""AdminService: how the server is, and another bundle in place of the one that serves."""

# ruff: noqa: ARG002, N802 - gRPC sets the names of the methods and what they are given

import time
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from bert.compiled import cached_programs
from search.bundle import Manifest
from server.bundle_loader import Bundles, Failure, Loading, Served
from shortlist.v1 import admin_service_pb2, admin_service_pb2_grpc


class AdminServicer(admin_service_pb2_grpc.AdminServiceServicer):
    """For operators."""

    def __init__(self, bundles: Bundles):
        self._bundles = bundles
        self._began = time.monotonic()

    async def GetStatus(
        self, request: admin_service_pb2.GetStatusRequest, context: Any
    ) -> admin_service_pb2.GetStatusResponse:
        """Says how the server is."""
        bundles, engine = self._bundles, self._bundles.engine_handle.engine
        programs = cached_programs()
        uptime = Duration()
        uptime.FromNanoseconds(int((time.monotonic() - self._began) * 1e9))
        return admin_service_pb2.GetStatusResponse(
            bundle_id=bundles.now.manifest.bundle_id,
            bundle=served_message(bundles.now, bundles.now.manifest),
            previous=served_message(bundles.previous, bundles.previous.deployed)
            if bundles.previous
            else None,
            loading=loading_message(bundles.loading) if bundles.loading else None,
            last_failure=failure_message(bundles.failed) if bundles.failed else None,
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
            uptime=uptime,
            server_version=_version(),
        )

    async def LoadBundle(
        self, request: admin_service_pb2.LoadBundleRequest, context: Any
    ) -> admin_service_pb2.LoadBundleResponse:
        """Loads a bundle and lets it serve."""
        served = await self._bundles.load(request.path)
        return admin_service_pb2.LoadBundleResponse(
            bundle_id=served.manifest.bundle_id, bundle=served_message(served, served.manifest)
        )

    async def RollBack(
        self, request: admin_service_pb2.RollBackRequest, context: Any
    ) -> admin_service_pb2.RollBackResponse:
        """Lets the previous bundle serve again."""
        served = await self._bundles.roll_back()
        return admin_service_pb2.RollBackResponse(
            bundle_id=served.manifest.bundle_id, bundle=served_message(served, served.manifest)
        )


def served_message(served: Served, manifest: Manifest) -> admin_service_pb2.ServedBundle:
    """Returns what operators are told of a bundle: where it lies, and its manifest."""
    metrics = Struct()
    metrics.update(manifest.metrics)
    return admin_service_pb2.ServedBundle(
        bundle_id=manifest.bundle_id,
        path=str(served.path),
        create_time=_timestamp(datetime.fromisoformat(manifest.created)),
        serve_time=_timestamp(served.since),
        built_numerics=manifest.numerics,
        metrics=metrics,
    )


def loading_message(loading: Loading) -> admin_service_pb2.BundleLoad:
    """Returns what operators are told of a bundle being loaded."""
    return admin_service_pb2.BundleLoad(
        path=str(loading.path), start_time=_timestamp(loading.since)
    )


def failure_message(failure: Failure) -> admin_service_pb2.FailedBundleLoad:
    """Returns what operators are told of a bundle that was refused."""
    return admin_service_pb2.FailedBundleLoad(
        path=str(failure.path), fail_time=_timestamp(failure.at), reason=failure.reason
    )


def _timestamp(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time)
    return message


def _version() -> str:
    try:
        return version("shortlist")
    except PackageNotFoundError:  # run from its sources, without being installed
        return "unknown"
