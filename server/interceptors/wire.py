"""A limit on the number of fields in a request, counted before protobuf parses the bytes.

An empty sub-message takes two bytes on the wire and hundreds in memory. Without this limit, a
message of 8 MiB could hold millions of them, and parsing would stop the event loop for seconds.
"""

import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Literal

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor

MAX_FIELDS = 75_000  # more than 500 items with 100 attributes each have
# Smaller messages have no more fields than that, because a field takes at least two bytes.
UNCOUNTED_BYTES = 2 * MAX_FIELDS

_FIELDS_PER_PAUSE = 2_500  # counting them takes about half a millisecond
_PAUSE_SECONDS = 0.0001

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5  # wire types
_GROUPS = (3, 4)  # begin and end of a group; the parser accepts unknown groups
# So many bytes of packed numbers count as one field: a parser reads them quickly.
_PACKED_BYTES = 8
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}


def request_type(method: str) -> Descriptor | None:
    """Return the type of a method's requests; None for a method that is in no .proto file."""
    service, name = method.lstrip("/").split("/")
    try:
        found: Descriptor = (
            descriptor_pool.Default().FindServiceByName(service).FindMethodByName(name).input_type
        )
    except KeyError:
        return None
    return found


def has_too_many_fields(
    content: bytes,
    message: Descriptor | None,
    most: int = MAX_FIELDS,
    pause: Callable[[float], object] = time.sleep,
) -> bool:
    """Return whether a serialised message has more than `most` fields, sub-messages included.

    An entry of a map counts as one field. Counting ends at a malformed field, as parsing does.

    Args:
        content: The serialised message.
        message: The type of the message; None for an unknown type, whose fields are not counted.
        most: The maximum number of fields.
        pause: Called regularly with the seconds to sleep, to give Python's lock to the event loop.
            Without pauses, the event loop would wait for the lock for 5 ms at a time.
    """
    if message is None or len(content) <= UNCOUNTED_BYTES:
        return False
    count = 0
    parts = [(0, len(content), _counted_fields(message))]
    while parts:
        position, end, fields = parts.pop()
        while position < end:
            count += 1
            if count > most:
                return True
            if count % _FIELDS_PER_PAUSE == 0:
                pause(_PAUSE_SECONDS)
            tag, position = _varint(content, position, end)
            wire_type = tag & 7
            if wire_type == _LENGTH:
                size, position = _varint(content, position, end)
                kind = fields.get(tag >> 3) if size else None
                if kind == "packed":
                    count += size // _PACKED_BYTES
                elif kind is not None:
                    parts.append((position, min(position + size, end), _counted_fields(kind)))
                position += size
            elif wire_type == _VARINT:
                _, position = _varint(content, position, end)
            elif wire_type in _FIXED_BYTES:
                position += _FIXED_BYTES[wire_type]
            elif wire_type not in _GROUPS:
                break  # malformed; the parts that wait are still counted
    return count > most


@cache
def _counted_fields(message: Descriptor) -> Mapping[int, Descriptor | Literal["packed"]]:
    """Return the fields, by number, whose content is counted: sub-messages and packed numbers."""
    fields: dict[int, Descriptor | Literal["packed"]] = {}
    for field in message.fields:
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            fields[field.number] = field.message_type
        elif field.is_packed:
            fields[field.number] = "packed"
    return fields


def _varint(content: bytes, position: int, end: int) -> tuple[int, int]:
    """Return the number at a position and the position behind it; (0, end) if it is malformed."""
    value = shift = 0
    while position < end and shift < 70:
        byte = content[position]
        position += 1
        if byte < 0x80:
            return value | byte << shift, position
        value |= (byte & 0x7F) << shift
        shift += 7
    return 0, end
