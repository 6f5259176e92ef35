"""That what is asked in every language is all that there is."""

import pytest

from shortlist.v1 import (
    admin_service_pb2,
    catalog_service_pb2,
    rerank_service_pb2,
    retrieval_service_pb2,
    search_service_pb2,
)
from shortlist.v1.error_reason_pb2 import ErrorReason
from tests.clients import every, tools

FILES = (
    admin_service_pb2,
    catalog_service_pb2,
    rerank_service_pb2,
    retrieval_service_pb2,
    search_service_pb2,
)
# Called where they have to fail, for a bundle that takes the place of another would change what
# the calls behind them give.
REFUSED = {"LoadBundle", "RollBack"}


def test_every_method_is_called() -> None:
    methods = {
        method.name
        for file in FILES
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert {name for name, end in every.ENDS.items() if end == "OK"} == methods - REFUSED


def test_every_reason_is_met_or_tested_elsewhere() -> None:
    met = {end.partition(" ")[2] for end in every.ENDS.values()} - {""}
    names = ErrorReason.DESCRIPTOR.values_by_name
    known = {name.removeprefix("ERROR_REASON_") for name in names} - {"UNSPECIFIED"}
    assert met | every.ELSEWHERE.keys() == known
    assert not met & every.ELSEWHERE.keys()


@pytest.mark.parametrize("reason", every.ELSEWHERE)
def test_what_is_tested_elsewhere_is(reason: str) -> None:
    assert reason in (tools.ROOT / every.ELSEWHERE[reason]).read_text("utf-8")
