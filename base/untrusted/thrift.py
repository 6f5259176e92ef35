"""Structs in the compact protocol of Apache Thrift: the footer and the page headers of parquet.

They have no sets and maps, so the reader refuses them.

The protocol: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

import mmap
from typing import Any

_MOST_VARINT_BYTES = 10  # a whole number of 64 bits, in groups of seven bits


def read_struct(content: bytes | mmap.mmap, start: int) -> tuple[dict[int, Any], int]:
    """Read a struct.

    Args:
        content: Bytes.
        start: The position of the struct in `content`.

    Returns:
        The values of the struct by the number of their field, and the position after the struct.
        Texts and numbers in floating point are None.

    Raises:
        ValueError: the content is not a struct without sets and maps, or a field is repeated.
        IndexError: the content ends within the struct.
        RecursionError: the struct has too many levels.
    """
    reader = _Reader(content, start)
    return reader.struct(), reader.position


class _Reader:
    def __init__(self, content: bytes | mmap.mmap, position: int) -> None:
        self._content = content
        self.position = position

    def struct(self) -> dict[int, Any]:
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._whole()
            if number in fields:  # another reader may take the other value
                raise ValueError("it repeats a field")
            fields[number] = self._value(head & 15)
        return fields

    def _value(self, kind: int) -> Any:
        match kind:
            case 1 | 2:  # the type of a flag is its value
                return kind == 1
            case 3:
                return self._byte()
            case 4 | 5 | 6:
                return self._whole()
            case 7 | 8:  # a number in floating point, or a text
                length = 8 if kind == 7 else self._varint()
                self.position += length
                return None
            case 9:
                return self._list()
            case 12:
                return self.struct()
        raise ValueError(f"it has a field of the type {kind}")

    def _list(self) -> list[Any]:
        head = self._byte()
        length, kind = head >> 4, head & 15
        if length == 15:  # a longer list has its length in the next bytes
            length = self._varint()
        if kind in (1, 2):  # unlike a field, a flag in a list has a byte of its own
            kind = 3
        return [self._value(kind) for _ in range(length)]

    def _byte(self) -> int:
        self.position += 1
        return self._content[self.position - 1]

    def _varint(self) -> int:
        number = 0
        for group in range(_MOST_VARINT_BYTES):
            byte = self._byte()
            number |= (byte & 0x7F) << 7 * group
            if byte < 0x80:
                return number
        raise ValueError("it has a whole number of more than 64 bits")

    def _whole(self) -> int:
        """Read a number whose lowest bit is its sign."""
        number = self._varint()
        return (number >> 1) ^ -(number & 1)
