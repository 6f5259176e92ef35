"""That what is asked in every language is all that there is."""

from shortlist.v1 import (
    admin_service_pb2,
    catalog_service_pb2,
    rerank_service_pb2,
    retrieval_service_pb2,
    search_service_pb2,
)
from shortlist.v1.error_reason_pb2 import ErrorReason
from tests.clients import every

FILES = (
    admin_service_pb2,
    catalog_service_pb2,
    rerank_service_pb2,
    retrieval_service_pb2,
    search_service_pb2,
)


def test_every_method_is_called() -> None:
    methods = {
        method.name
        for file in FILES
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert {name for name, end in every.ENDS.items() if end == "OK"} == methods


def test_every_reason_is_met() -> None:
    met = {end.split(" ")[1] for end in every.ENDS.values() if " " in end}
    names = ErrorReason.DESCRIPTOR.values_by_name
    assert met == {name.removeprefix("ERROR_REASON_") for name in names} - {"UNSPECIFIED"}
