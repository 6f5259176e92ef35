"""A minimal HTTP/2 client, for misuse that client libraries do not allow."""

import select
import socket
import struct
from contextlib import suppress
from enum import IntEnum

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_ACK = 0x1  # flag of SETTINGS and PING frames
_END_STREAM, _END_HEADERS = 0x1, 0x4
_INITIAL_WINDOW_SIZE = 4  # identifier in a SETTINGS frame
_CANCEL = 8  # error code of a reset
_SECONDS = 10.0  # timeout of a connection


class _Frame(IntEnum):
    DATA = 0
    HEADERS = 1
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6


class Connection:
    """A connection to a gRPC server, without TLS."""

    def __init__(self, address: str, *, window: int = 65_535) -> None:
        """Open the connection and exchange settings.

        Args:
            address: HOST:PORT.
            window: The number of bytes of an answer that the server may send; `call` keeps it
                fixed.

        Raises:
            OSError: the server refuses the connection, or does not answer in time.
        """
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), _SECONDS)
        self._stream = -1
        self._authority = address
        self._unread = bytearray()
        settings = struct.pack(">HI", _INITIAL_WINDOW_SIZE, window)
        self._socket.sendall(_PREFACE + _frame(_Frame.SETTINGS, 0, 0, settings))
        if not self._socket.recv(2**16):
            raise ConnectionError("the server closed the connection")
        self._socket.sendall(_frame(_Frame.SETTINGS, _ACK, 0))

    def call(self, path: str, message: bytes) -> None:
        """Send a call, but never extend the flow-control window of its answer."""
        body = b"\0" + struct.pack(">I", len(message)) + message
        stream = self._next()
        opening = _frame(_Frame.HEADERS, _END_HEADERS, stream, self._head(path))
        self._socket.sendall(opening + _frame(_Frame.DATA, _END_STREAM, stream, body))

    def reset(self, path: str, times: int) -> None:
        """Start calls, and reset each call immediately after its start."""
        head, cancel = self._head(path), struct.pack(">I", _CANCEL)
        sent = bytearray()
        for _ in range(times):
            stream = self._next()
            sent += _frame(_Frame.HEADERS, _END_HEADERS, stream, head)
            sent += _frame(_Frame.RST_STREAM, 0, stream, cancel)
        self._socket.sendall(sent)

    def drop_answers(self) -> None:
        """Read and discard pending answers, and answer pings.

        Raises:
            OSError: the server closed the connection.
        """
        while select.select([self._socket], [], [], 0)[0]:
            content = self._socket.recv(2**16)
            if not content:
                raise ConnectionError("the server closed the connection")
            self._unread += content
            while (end := 9 + int.from_bytes(self._unread[:3], "big")) <= len(self._unread):
                kind, flags, payload = self._unread[3], self._unread[4], self._unread[9:end]
                if kind == _Frame.PING and not flags & _ACK:
                    self._socket.sendall(_frame(_Frame.PING, _ACK, 0, payload))
                del self._unread[:end]

    def close(self) -> None:
        """Close the connection."""
        with suppress(OSError):
            self._socket.close()

    def _next(self) -> int:
        self._stream += 2
        return self._stream

    def _head(self, path: str) -> bytes:
        """Return the headers of a call, encoded as HPACK literals without indexing."""
        values = {
            ":method": "POST",
            ":scheme": "http",
            ":path": path,
            ":authority": self._authority,
            "te": "trailers",
            "content-type": "application/grpc",
        }
        return b"".join(b"\0" + _text(name) + _text(value) for name, value in values.items())


def _frame(kind: _Frame, flags: int, stream: int, payload: bytes | bytearray = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _text(text: str) -> bytes:
    """Encode an HPACK string of less than 127 bytes: one byte for the length, then the text."""
    return bytes([len(text)]) + text.encode()
