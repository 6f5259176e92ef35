"""Hostile calls: requests, headers and their combinations."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from google.protobuf.descriptor import MethodDescriptor
from hypothesis import strategies as st

from server.convert.page_tokens import write_page_token
from server.convert.search import search_request
from shortlist.v1.search_service_pb2 import SearchRequest, StreamSearchRequest
from tests.server.convert.manifests import manifest
from tests.server.messages import PAGES, damaged, messages

Metadata = tuple[tuple[str, str | bytes], ...]

TOKEN = "all"  # the only bearer token that the server accepts
SHOWN: Metadata = (("authorization", f"Bearer {TOKEN}"),)

_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"
_HEADERS = {
    "authorization": [
        "Bearer",
        "Bearer ",
        "Bearer stranger",
        "Basic YTpi",
        "Bearer " + "x" * 5_000,
    ],
    "x-request-id": ["basket-7", "two words", "x" * 128, "x" * 129, '{"a": "b"}', "%00%0a"],
    "traceparent": [
        *(f"{version}-{_TRACE}-{flags}" for version in ("00", "cc", "ff") for flags in ("01", "f")),
        f"00-{'0' * 32}-{'0' * 16}-00",
        "00-" * 50,
    ],
    "tracestate": ["a=1", "a=1," * 300, "=", ",", "a" * 300 + "=1"],
    "baggage": ["user=7", "a=%00," * 200],
    "x-unknown": [""],
    "grpc-timeout": ["1H", "0n", "99999999999n"],
    "grpc-tags-bin": [],
    "x-unknown-bin": [],
}
# Header values. A client library refuses characters outside this range.
_VALUES = st.one_of(
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=60),
    st.integers(0, 9_000).map(lambda size: "x" * size),
)
_BYTES = st.binary(max_size=300)


@dataclass(frozen=True)
class Attack:
    """A call with hostile content.

    Attributes:
        method: The called method.
        contents: The bytes of each request. Only a method that takes a stream may have several.
        metadata: The headers of the call.
    """

    method: MethodDescriptor
    contents: tuple[bytes, ...]
    metadata: Metadata = SHOWN


def attacks(methods: Iterable[MethodDescriptor], bundle_id: str) -> st.SearchStrategy[Attack]:
    """Draw calls of these methods to a server that serves this bundle and accepts TOKEN."""
    made = {method: _contents(method, bundle_id) for method in methods}
    return st.sampled_from(list(made)).flatmap(
        lambda method: st.builds(Attack, st.just(method), made[method], _metadata())
    )


def _contents(method: MethodDescriptor, bundle_id: str) -> st.SearchStrategy[tuple[bytes, ...]]:
    kind = method.input_type
    content: st.SearchStrategy[bytes] = st.one_of(
        messages(kind).map(lambda message: message.SerializeToString()), damaged(kind)
    )
    if method.name in ("Search", "StreamSearch"):
        content = st.one_of(content, _forged(bundle_id, streamed=method.name == "StreamSearch"))
    count = (0, 3) if method.client_streaming else (1, 1)
    return st.lists(content, min_size=count[0], max_size=count[1]).map(tuple)


def _forged(bundle_id: str, *, streamed: bool) -> st.SearchStrategy[bytes]:
    """Draw searches with forged page tokens: valid, but for pages that the server never offered."""
    # These records are made before drawing: the type checks of a new record draw random numbers,
    # which Hypothesis forbids while drawing.
    searches = [
        (search.SerializeToString(), search_request(search, manifest(bundle_id), None))
        for search in (
            SearchRequest(query=query, page_size=size, recall_depth=depth, max_per_group=most)
            for query in ("usb c charger", "é")
            for size in (0, 100)
            for depth in (0, 1, 1_000)
            for most in (0, 1)
        )
    ]

    manifests = [manifest(bundle_id), manifest(bundle_id), manifest("another")]

    @st.composite
    def build(draw: Callable[[Any], Any]) -> bytes:
        content, parsed = draw(st.sampled_from(searches))
        search = SearchRequest.FromString(content)
        search.page_token = write_page_token(draw(PAGES), draw(st.sampled_from(manifests)), parsed)
        request = StreamSearchRequest(search=search) if streamed else search
        return request.SerializeToString()

    return build()


@cache
def _metadata() -> st.SearchStrategy[Metadata]:
    """Draw up to three headers of any kind, in most cases together with the valid bearer token."""

    def of(key: str) -> st.SearchStrategy[tuple[str, str | bytes]]:
        value = _BYTES if key.endswith("-bin") else _VALUES
        likely = _HEADERS[key]
        return st.tuples(st.just(key), st.sampled_from(likely) | value if likely else value)

    headers = st.lists(st.sampled_from(list(_HEADERS)).flatmap(of), max_size=3)
    shown = st.sampled_from([SHOWN] * 7 + [()])
    return st.builds(lambda known, others: (*known, *others), shown, headers)
