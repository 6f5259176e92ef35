"""The table of services: each method's role and queueing, and the servicer that answers it.

A new RPC needs its proto, a servicer method and an entry in `SERVICES`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from types import ModuleType
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

from behaviour.feedback import Feedback
from live.catalogue import LiveCatalogue
from server.auth.tokens import Role
from server.bundle_loader import BundleLoader
from server.interceptors.handlers import in_contract
from server.rpc.admin import AdminServicer
from server.rpc.curations import CurationServicer
from server.rpc.feedback import FeedbackServicer
from server.rpc.health import Health
from server.rpc.recommend import RecommendServicer
from server.rpc.servicers import (
    CatalogServicer,
    RerankServicer,
    RetrievalServicer,
    SearchServicer,
    SuggestionServicer,
)
from server.worker_pool import WorkerPool
from shortlist.v1 import (
    admin_service_pb2,
    admin_service_pb2_grpc,
    catalog_service_pb2,
    catalog_service_pb2_grpc,
    curation_service_pb2,
    curation_service_pb2_grpc,
    feedback_service_pb2,
    feedback_service_pb2_grpc,
    recommend_service_pb2,
    recommend_service_pb2_grpc,
    rerank_service_pb2,
    rerank_service_pb2_grpc,
    retrieval_service_pb2,
    retrieval_service_pb2_grpc,
    search_service_pb2,
    search_service_pb2_grpc,
    suggestion_service_pb2,
    suggestion_service_pb2_grpc,
)


class Port(Enum):
    """A port of the server."""

    PUBLIC = auto()  # --port
    ADMIN = auto()  # --admin-port


@dataclass(frozen=True)
class Method:
    """The role and the queueing of one method."""

    role: Role | None  # the role that a caller's token needs; None: no token is needed
    # whether the method uses the worker pool; while the pool's queue is full, the server refuses
    # calls without reading their requests
    queued: bool = False


@dataclass(frozen=True)
class Parts:
    """The objects from which servicers are built."""

    bundles: BundleLoader
    pool: WorkerPool  # for model work
    suggestion_pool: WorkerPool
    live: LiveCatalogue | None  # None: the server takes no writes
    health: Health
    feedback: Feedback | None = None  # None: the server takes no events


@dataclass(frozen=True)
class ServiceRow:
    """One service of the table.

    Raises:
        ValueError: `methods` are not the methods that the service has in its proto file.
    """

    descriptor: ServiceDescriptor
    register: Callable[[Any, grpc.aio.Server], None]  # the generated add_…Servicer_to_server
    servicer: Callable[[Parts, "Port"], Any]  # builds the servicer for a port
    methods: Mapping[str, Method]
    ports: tuple[Port, ...] = (Port.PUBLIC,)

    def __post_init__(self) -> None:
        declared = {method.name for method in self.descriptor.methods}
        if wrong := declared ^ set(self.methods):
            raise ValueError(
                f"{self.name}: the table of services and the proto file differ in "
                f"{', '.join(sorted(wrong))}"
            )

    @property
    def name(self) -> str:
        """The full name, such as "shortlist.v1.SearchService"."""
        return str(self.descriptor.full_name)


def _service(module: ModuleType, name: str) -> ServiceDescriptor:
    descriptor: ServiceDescriptor = module.DESCRIPTOR.services_by_name[name]
    return descriptor


def _reflection(_: Parts, port: Port) -> Any:
    # The package's stubs lack `aio`.
    return reflection.aio.ReflectionServicer(service_names(port))  # type: ignore[attr-defined]


_MODEL_WORK = Method(Role.READ, queued=True)

SERVICES: tuple[ServiceRow, ...] = (
    ServiceRow(
        _service(search_service_pb2, "SearchService"),
        search_service_pb2_grpc.add_SearchServiceServicer_to_server,
        lambda parts, _: SearchServicer(parts.bundles.engine_handle, parts.pool, parts.feedback),
        {"Search": _MODEL_WORK, "StreamSearch": _MODEL_WORK},
    ),
    ServiceRow(
        _service(retrieval_service_pb2, "RetrievalService"),
        retrieval_service_pb2_grpc.add_RetrievalServiceServicer_to_server,
        lambda parts, _: RetrievalServicer(parts.bundles.engine_handle, parts.pool),
        {"Retrieve": _MODEL_WORK, "SimilarItems": _MODEL_WORK, "Embed": _MODEL_WORK},
    ),
    ServiceRow(
        _service(rerank_service_pb2, "RerankService"),
        rerank_service_pb2_grpc.add_RerankServiceServicer_to_server,
        lambda parts, _: RerankServicer(parts.bundles.engine_handle, parts.pool),
        {"Rerank": _MODEL_WORK},
    ),
    ServiceRow(
        _service(suggestion_service_pb2, "SuggestionService"),
        suggestion_service_pb2_grpc.add_SuggestionServiceServicer_to_server,
        lambda parts, _: SuggestionServicer(parts.bundles.engine_handle, parts.suggestion_pool),
        {"Suggest": Method(Role.READ)},  # in a queue of its own
    ),
    ServiceRow(
        _service(recommend_service_pb2, "RecommendService"),
        recommend_service_pb2_grpc.add_RecommendServiceServicer_to_server,
        lambda parts, _: RecommendServicer(parts.bundles.engine_handle, parts.pool, parts.feedback),
        {
            "Recommend": _MODEL_WORK,
            "SimilarItems": _MODEL_WORK,
            "ComplementaryItems": _MODEL_WORK,
            "GetProfile": Method(Role.READ),
            "GetQuestions": _MODEL_WORK,
            "DeleteUser": Method(Role.WRITE),
            "SetOptOut": Method(Role.WRITE),
            "JoinSession": Method(Role.WRITE),
        },
    ),
    ServiceRow(
        _service(catalog_service_pb2, "CatalogService"),
        catalog_service_pb2_grpc.add_CatalogServiceServicer_to_server,
        lambda parts, _: CatalogServicer(parts.bundles.engine_handle, parts.live),
        {
            "GetItem": Method(Role.READ),
            "BatchGetItems": Method(Role.READ),
            "ListItems": Method(Role.READ),
            "UpsertItems": Method(Role.WRITE),
            "DeleteItems": Method(Role.WRITE),
        },
    ),
    ServiceRow(
        _service(curation_service_pb2, "CurationService"),
        curation_service_pb2_grpc.add_CurationServiceServicer_to_server,
        lambda parts, _: CurationServicer(parts.bundles.engine_handle, parts.live),
        {
            "ListCurations": Method(Role.READ),
            "SetCuration": Method(Role.WRITE),
            "DeleteCuration": Method(Role.WRITE),
            "UndoCuration": Method(Role.WRITE),
        },
    ),
    ServiceRow(
        _service(feedback_service_pb2, "FeedbackService"),
        feedback_service_pb2_grpc.add_FeedbackServiceServicer_to_server,
        lambda parts, _: FeedbackServicer(parts.bundles.engine_handle, parts.feedback),
        {"RecordEvents": Method(Role.RECORD), "StreamEvents": Method(Role.RECORD)},
    ),
    ServiceRow(
        _service(admin_service_pb2, "AdminService"),
        admin_service_pb2_grpc.add_AdminServiceServicer_to_server,
        lambda parts, _: AdminServicer(parts.bundles, parts.live),
        {
            "GetStatus": Method(Role.ADMIN),
            "LoadBundle": Method(Role.ADMIN),
            "RollBack": Method(Role.ADMIN),
        },
        (Port.ADMIN,),
    ),
    ServiceRow(
        _service(health_pb2, "Health"),
        health_pb2_grpc.add_HealthServicer_to_server,
        lambda parts, _: parts.health,
        {"Check": Method(None), "List": Method(None), "Watch": Method(None)},
        (Port.PUBLIC, Port.ADMIN),
    ),
    ServiceRow(
        _service(reflection_pb2, "ServerReflection"),
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server,
        _reflection,
        {"ServerReflectionInfo": Method(None)},
        (Port.PUBLIC, Port.ADMIN),
    ),
)


def service_names(port: Port) -> tuple[str, ...]:
    """Return the full names of all services on a port."""
    return tuple(row.name for row in SERVICES if port in row.ports)


def contract_services(*ports: Port) -> tuple[str, ...]:
    """Return the full names of the services of `shortlist.v1` on the given ports."""
    return tuple(
        row.name for row in SERVICES if in_contract(row.name) and set(ports) & set(row.ports)
    )


def _methods() -> Iterable[tuple[str, Method]]:
    for row in SERVICES:
        for name, method in row.methods.items():
            yield f"/{row.name}/{name}", method


# The keys are full names of methods, such as "/shortlist.v1.SearchService/Search".
ROLES: Mapping[str, Role | None] = {name: method.role for name, method in _methods()}
QUEUED: frozenset[str] = frozenset(name for name, method in _methods() if method.queued)


def add_services(
    server: grpc.aio.Server,
    port: Port,
    parts: Parts,
    table: Sequence[ServiceRow] = SERVICES,
) -> None:
    """Register the services of a port with a server.

    Raises:
        NotImplementedError: A servicer of the contract lacks a method of its service.
    """
    for row in table:
        if port not in row.ports:
            continue
        servicer = row.servicer(parts, port)
        missing = [
            name
            for name in row.methods
            # A missing method comes from the generated base class, which answers UNIMPLEMENTED.
            if in_contract(row.name)
            and getattr(type(servicer), name).__module__.endswith("_pb2_grpc")
        ]
        if missing:
            names = ", ".join(missing)
            raise NotImplementedError(f"{type(servicer).__name__} has no method {names}")
        row.register(servicer, server)
