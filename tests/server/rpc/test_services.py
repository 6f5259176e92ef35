"""The table of services has every service and method of the contract, with the right roles."""

import asyncio
import importlib
import pkgutil
from dataclasses import replace
from typing import Any

import grpc
import pytest

import shortlist.v1
from server.auth.tokens import Role
from server.rpc.health import Health
from server.rpc.services import (
    QUEUED,
    ROLES,
    SERVICES,
    Method,
    Parts,
    Port,
    add_services,
    contract_services,
)
from server.worker_pool import WorkerPool
from shortlist.v1.search_service_pb2_grpc import SearchServiceServicer
from tests.server.conftest import Running


def contract() -> dict[str, Any]:
    """Return the descriptor of every service of the contract, by full name."""
    modules = (
        importlib.import_module(f"shortlist.v1.{module.name}")
        for module in pkgutil.iter_modules(shortlist.v1.__path__)
        if module.name.endswith("_pb2")
    )
    return {
        service.full_name: service
        for module in modules
        for service in module.DESCRIPTOR.services_by_name.values()
    }


def test_every_method_of_every_service_of_the_contract_is_in_the_table() -> None:
    declared = {
        f"/{name}/{method.name}"
        for name, service in contract().items()
        for method in service.methods
    }
    assert len(declared) > 10
    assert set(contract_services(*Port)) == set(contract())
    assert {name for name in ROLES if name.startswith("/shortlist.")} == declared


@pytest.mark.parametrize("row", SERVICES, ids=lambda row: row.name)
def test_a_row_that_lacks_a_method_or_has_one_too_many_is_refused(row: Any) -> None:
    first, *others = row.methods
    with pytest.raises(ValueError, match=f"{row.name}: .* differ in {first}$"):
        replace(row, methods={name: row.methods[name] for name in others})
    with pytest.raises(ValueError, match="differ in Invented"):
        replace(row, methods={**row.methods, "Invented": Method(None)})


def test_a_servicer_that_lacks_a_method_cannot_be_served(observed: Running) -> None:
    pool = WorkerPool(queue_size=1)

    class Unfinished(SearchServiceServicer):
        """A servicer without its own StreamSearch; the inherited method answers UNIMPLEMENTED."""

        async def Search(self, request: object, context: object) -> None:  # noqa: N802
            """Answers nothing."""

    async def register() -> None:
        parts = Parts(observed.service.bundles, pool, pool, None, Health())
        row = replace(SERVICES[0], servicer=lambda *_: Unfinished())
        add_services(grpc.aio.server(), Port.PUBLIC, parts, table=(row,))

    with pytest.raises(NotImplementedError, match="Unfinished has no method StreamSearch"):
        asyncio.run(register())
    pool.close()


def test_model_work_is_queued_and_nothing_else_is() -> None:
    queueing = {name.rpartition("/")[0].rpartition(".")[2] for name in QUEUED}
    assert queueing == {
        "SearchService",
        "RetrievalService",
        "RerankService",
        "RecommendService",
    }
    assert {ROLES[name] for name in QUEUED} == {Role.READ}
