"""The table of outcomes covers every service and every reason."""

from shortlist.v1 import (
    admin_service_pb2,
    catalog_service_pb2,
    curation_service_pb2,
    feedback_service_pb2,
    recommend_service_pb2,
    rerank_service_pb2,
    retrieval_service_pb2,
    search_service_pb2,
    suggestion_service_pb2,
)
from shortlist.v1.error_reason_pb2 import ErrorReason
from tests.clients import every

FILES = (
    admin_service_pb2,
    catalog_service_pb2,
    curation_service_pb2,
    feedback_service_pb2,
    recommend_service_pb2,
    rerank_service_pb2,
    retrieval_service_pb2,
    search_service_pb2,
    suggestion_service_pb2,
)


def test_methods_of_every_service_are_called() -> None:
    called = {name for name, outcome in every.OUTCOMES.items() if outcome == "OK"}
    for file in FILES:
        for service in file.DESCRIPTOR.services_by_name.values():
            methods = {method.name for method in service.methods}
            assert called & methods, service.name
            called -= methods
    assert called == set()  # every called method exists


def test_every_reason_occurs() -> None:
    reasons = {outcome.split(" ")[1] for outcome in every.OUTCOMES.values() if " " in outcome}
    names = ErrorReason.DESCRIPTOR.values_by_name
    assert reasons == {name.removeprefix("ERROR_REASON_") for name in names} - {"UNSPECIFIED"}
