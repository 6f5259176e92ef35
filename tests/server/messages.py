"""Random request messages with any fields of the contract, drawn from its descriptors."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

from search.request import SearchRequest
from server.convert.page_tokens import Page, write_page_token
from tests.server.convert.manifests import manifest

DEEPEST = 12  # levels of nested messages: more than a filter may have

_TEXTS = st.one_of(
    st.sampled_from(
        ["", " ", "usb c charger", "brand", "price", "attributes.watt", "\x00", "é" * 9]
    ),
    st.text(max_size=30),
    st.integers(0, 70_000).map(lambda size: "x" * size),
)
_DOUBLES = st.one_of(st.sampled_from([0.0, -1.0, 5.0, 1e308, float("nan")]), st.floats())


_UP_TO_3 = st.integers(0, 3)

# All pages that a page token can encode, including impossible ones. Manifests and searches are made
# before drawing: type checks of a new record draw random numbers, which Hypothesis then forbids.
_MANIFESTS, _SEARCH = [manifest("a"), manifest("b")], SearchRequest("q")
PAGES = st.builds(
    Page,
    st.one_of(st.sampled_from([0, 1, 10, 999, 1_000, 1_001, 2**32 - 1]), st.integers(0, 2**32 - 1)),
    st.one_of(st.none(), st.sampled_from([0, 1, 50, 1_000, 1_001]), st.integers(0, 2**16 - 2)),
)


def _within(bits: int, *, signed: bool) -> st.SearchStrategy[int]:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return st.one_of(st.sampled_from([0, 1, 10, low, high]), st.integers(low, high))


_SCALARS: dict[int, Any] = {
    FieldDescriptor.TYPE_DOUBLE: _DOUBLES,
    FieldDescriptor.TYPE_FLOAT: st.floats(width=32),
    FieldDescriptor.TYPE_INT64: _within(64, signed=True),
    FieldDescriptor.TYPE_UINT64: _within(64, signed=False),
    FieldDescriptor.TYPE_INT32: _within(32, signed=True),
    FieldDescriptor.TYPE_UINT32: _within(32, signed=False),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_STRING: _TEXTS,
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=100),
    FieldDescriptor.TYPE_ENUM: _within(32, signed=True),
}
_NAMED: dict[str, Any] = {
    "page_token": st.one_of(
        st.builds(
            write_page_token,
            PAGES,
            st.sampled_from(_MANIFESTS),
            st.just(_SEARCH),
        ),
        _TEXTS,
    ),
}


# Strategies are cached, because Hypothesis checks each new strategy, which takes long.
@cache
def messages(descriptor: Descriptor) -> st.SearchStrategy[Message]:
    """Draw messages of a type, with any fields and any values."""
    kind = GetMessageClass(descriptor)

    @st.composite
    def build(draw: Callable[[Any], Any]) -> Message:
        message = kind()
        _fill(draw, message, 0)
        return message

    return build()


@cache
def damaged(descriptor: Descriptor) -> st.SearchStrategy[bytes]:
    """Draw bytes: a message, a message that is cut or changed, or random bytes."""

    @st.composite
    def build(draw: Callable[[Any], Any]) -> bytes:
        content = bytearray(draw(messages(descriptor)).SerializeToString())
        for _ in range(draw(st.integers(0, 4))):
            if content:
                content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
        return bytes(content[: draw(st.integers(0, len(content)))])

    return st.one_of(build(), st.binary(max_size=200))


@cache
def _some_fields(descriptor: Descriptor) -> st.SearchStrategy[list[FieldDescriptor]]:
    fields = list(descriptor.fields)
    return st.lists(st.sampled_from(fields), max_size=4) if fields else st.just([])


def _fill(draw: Callable[[Any], Any], message: Message, depth: int) -> None:
    for field in draw(_some_fields(message.DESCRIPTOR)):
        if field.message_type is not None and depth == DEEPEST:
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            for _ in range(draw(_UP_TO_3)):
                values, key = getattr(message, field.name), draw(_TEXTS)
                if field.message_type.fields_by_name["value"].message_type is None:
                    values[key] = draw(_TEXTS)
                else:
                    _fill(draw, values[key], depth + 1)
        elif field.is_repeated:
            for _ in range(draw(_UP_TO_3)):
                if field.message_type is not None:
                    _fill(draw, getattr(message, field.name).add(), depth + 1)
                else:
                    getattr(message, field.name).append(draw(_SCALARS[field.type]))
        elif field.message_type is not None:
            getattr(message, field.name).SetInParent()
            _fill(draw, getattr(message, field.name), depth + 1)
        else:
            setattr(message, field.name, draw(_NAMED.get(field.name, _SCALARS[field.type])))
