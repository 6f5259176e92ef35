"""A limit on the number of fields in a request, counted before protobuf parses the bytes.

An empty sub-message takes two bytes on the wire and hundreds in memory. Without this limit, a
message of 8 MiB could hold millions of them, and parsing would stop the event loop for seconds.
"""

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor

# Smaller messages are not counted: parsing them takes at most some milliseconds.
UNCOUNTED_BYTES = 16 * 1024
MAX_FIELDS = 50_000  # 500 items with 100 fields or attributes each

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5  # wire types
# So many bytes of packed numbers count as one field: a parser reads them quickly.
_PACKED_BYTES = 8
_PACKED_TYPES = frozenset(
    {
        FieldDescriptor.CPPTYPE_BOOL,
        FieldDescriptor.CPPTYPE_DOUBLE,
        FieldDescriptor.CPPTYPE_ENUM,
        FieldDescriptor.CPPTYPE_FLOAT,
        FieldDescriptor.CPPTYPE_INT32,
        FieldDescriptor.CPPTYPE_INT64,
        FieldDescriptor.CPPTYPE_UINT32,
        FieldDescriptor.CPPTYPE_UINT64,
    }
)
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


def has_too_many_fields(content: bytes, message: Descriptor | None, most: int = MAX_FIELDS) -> bool:
    """Return whether a serialised message has more than `most` fields, sub-messages included.

    Stop at the first malformed field: the parser will refuse the message.
    """
    if message is None or len(content) <= UNCOUNTED_BYTES:
        return False
    count = 0
    parts = [(0, len(content), message)]
    while parts:
        position, end, kind = parts.pop()
        while position < end:
            count += 1
            if count > most:
                return True
            tag, position = _varint(content, position, end)
            wire_type = tag & 7
            if wire_type == _VARINT:
                _, position = _varint(content, position, end)
            elif wire_type == _LENGTH:
                size, position = _varint(content, position, end)
                field = kind.fields_by_number.get(tag >> 3)
                if field is not None and field.message_type is not None:
                    parts.append((position, min(position + size, end), field.message_type))
                elif field is not None and field.cpp_type in _PACKED_TYPES:
                    count += size // _PACKED_BYTES
                position += size
            elif wire_type in _FIXED_BYTES:
                position += _FIXED_BYTES[wire_type]
            else:
                return False
    return count > most


def _varint(content: bytes, position: int, end: int) -> tuple[int, int]:
    """Return the number at a position and the position behind it; (0, end) if it is malformed."""
    value = shift = 0
    while position < end and shift < 70:
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    return 0, end
