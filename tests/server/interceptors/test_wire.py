"""Requests with too many fields are refused before protobuf parses them."""

import grpc
import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from server.interceptors.wire import MAX_FIELDS, UNCOUNTED_BYTES, has_too_many_fields, request_type
from shortlist.client import Client
from shortlist.v1 import rerank_service_pb2, retrieval_service_pb2, search_service_pb2
from tests.server.messages import messages

SEARCH = search_service_pb2.SearchRequest.DESCRIPTOR
RETRIEVE = retrieval_service_pb2.RetrieveRequest.DESCRIPTOR
RERANK = rerank_service_pb2.RerankRequest.DESCRIPTOR


def rules_with(empty: bytes, count: int) -> bytes:
    """Return a SearchRequest whose rules consist of one empty sub-message, repeated."""
    rules = empty * count
    field = SEARCH.fields_by_name["rules"].number
    size, length = len(rules), b""
    while size > 0x7F:
        length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
    return bytes([field << 3 | 2]) + length + bytes([size]) + rules


@pytest.mark.parametrize("name", ["pins", "caps", "boosts"])
def test_millions_of_empty_messages_are_too_many(name: str) -> None:
    number = SEARCH.fields_by_name["rules"].message_type.fields_by_name[name].number
    content = rules_with(bytes([number << 3 | 2, 0]), 2_000_000)
    assert has_too_many_fields(content, SEARCH)


def test_the_largest_request_is_not_too_much() -> None:
    attributes = {f"attribute {number}": "value" for number in range(100)}
    candidate = rerank_service_pb2.RerankCandidate()
    candidate.item.title, candidate.item.item_id = "a charger", "id"
    candidate.item.attributes.update(attributes)
    request = rerank_service_pb2.RerankRequest(query="q", candidates=[candidate] * 500)
    content = request.SerializeToString()
    assert len(content) > UNCOUNTED_BYTES
    assert not has_too_many_fields(content, RERANK)


def test_counting_pauses_often_enough_for_the_event_loop() -> None:
    number = SEARCH.fields_by_name["rules"].message_type.fields_by_name["pins"].number
    content = rules_with(bytes([number << 3 | 2, 0]), MAX_FIELDS + 1)
    pauses: list[float] = []
    assert has_too_many_fields(content, SEARCH, pause=pauses.append)
    assert len(pauses) == MAX_FIELDS // 2_500
    assert 0 < max(pauses) <= 0.001


def test_packed_numbers_are_counted_by_their_bytes() -> None:
    def has_too_many(numbers: int) -> bool:
        request = retrieval_service_pb2.RetrieveRequest(vector={"values": [1.0] * numbers})
        return has_too_many_fields(request.SerializeToString(), RETRIEVE)

    assert not has_too_many(7 * MAX_FIELDS // 4)
    assert has_too_many(9 * MAX_FIELDS // 4)
    channels = RETRIEVE.fields_by_name["channels"].number
    packed = bytes([channels << 3 | 2, 0x80, 0x80, 0x40]) + b"\1" * 2**20
    assert has_too_many_fields(packed, RETRIEVE)


@pytest.mark.parametrize(
    ("before", "behind"),
    [(b"", b""), (b"\xc3\x3e\xc4\x3e", b""), (b"", b"\x0f"), (b"", b"\xc3\x3e\xc4\x3e\x0e")],
    ids=["alone", "behind a group", "before a bad tail", "before both"],
)
def test_what_the_parser_skips_hides_no_fields(before: bytes, behind: bytes) -> None:
    number = SEARCH.fields_by_name["rules"].message_type.fields_by_name["pins"].number
    content = before + rules_with(bytes([number << 3 | 2, 0]), 2 * MAX_FIELDS) + behind
    assert has_too_many_fields(content, SEARCH)


def number_of_fields(message: Message) -> int:
    """Return the number of fields in a message, without entries of maps and packed numbers."""
    count = 0
    for field, value in message.ListFields():
        values = value if field.is_repeated else [value]
        if field.message_type is None:
            count += 0 if field.is_packed else len(values)
        elif field.message_type.GetOptions().map_entry:
            count += len(values)
        else:
            count += len(values) + sum(map(number_of_fields, values))
    return count


@settings(max_examples=100)
@given(messages(SEARCH), st.integers(1, 40))
def test_no_message_with_too_many_fields_passes(message: Message, most: int) -> None:
    # An unknown field makes the content long enough to be counted.
    unknown = b"\xfa\x01" + b"\x80\x80\x01" + bytes(UNCOUNTED_BYTES)
    content = message.SerializeToString() + unknown
    if number_of_fields(message) > most:
        assert has_too_many_fields(content, SEARCH, most)


def test_a_method_outside_of_the_contract_is_not_counted() -> None:
    assert request_type("/shortlist.v1.SearchService/Search") is SEARCH
    assert request_type("/shortlist.tests.Words/Join") is None
    assert not has_too_many_fields(bytes(2 * UNCOUNTED_BYTES), None)


def test_a_caller_is_told_how_many_fields_are_allowed(address: str) -> None:
    number = SEARCH.fields_by_name["rules"].message_type.fields_by_name["pins"].number
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary("/shortlist.v1.SearchService/Search")
        with pytest.raises(grpc.RpcError) as refused:
            call(rules_with(bytes([number << 3 | 2, 0]), MAX_FIELDS), timeout=20)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "more than 75,000 fields" in refused.value.details()
    with Client(address) as client:
        assert client.search("cable").results  # the server still answers
