"""Addresses that the server listens on."""

import errno
import socket
from dataclasses import dataclass

import grpc

from base.errors import InputError
from server.auth.certificates import Certificates


@dataclass(frozen=True)
class Listener:
    """An address to listen on, and the command-line flags that set it."""

    host: str
    port: int
    prefix: str = ""  # prefix of the flags: "admin-" for --admin-host and --admin-port

    @property
    def address(self) -> str:
        """The host and port in gRPC's form."""
        return f"{bracketed(self.host)}:{self.port}"

    @property
    def flags(self) -> str:
        """The command-line flags that set this address."""
        return f"--{self.prefix}host {self.host} --{self.prefix}port {self.port}"

    def bind(self, server: grpc.aio.Server, certificates: Certificates | None) -> int:
        """Bind a server to this address and return the port.

        Args:
            server: A server that has not started.
            certificates: The TLS certificates; None for plain text.

        Raises:
            InputError: The server cannot listen on this address.
        """
        self._check()
        try:
            if certificates is None:
                return server.add_insecure_port(self.address)
            return server.add_secure_port(self.address, certificates.credentials())
        except RuntimeError as error:
            raise InputError(f"{self.flags}: {error}") from None

    def _check(self) -> None:
        """Raise InputError with the reason if the address cannot be bound; gRPC gives no reason."""
        try:
            addresses = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise self._refusal(error) from None
        errors = []
        for family, *_, address in addresses:
            try:
                socket.create_server(address[:2], family=family).close()
            except OSError as error:
                errors.append(error)
        # A host name can have an IPv6 address on a machine without IPv6, so one usable address is
        # enough.
        in_use = [error for error in errors if error.errno == errno.EADDRINUSE]
        if in_use or len(errors) == len(addresses):
            raise self._refusal((in_use or errors)[0])

    def _refusal(self, error: OSError) -> InputError:
        return InputError(f"{self.flags}: cannot listen there ({error.strerror or error})")


def bracketed(host: str) -> str:
    """Return a host; an IPv6 address gets brackets."""
    return f"[{host}]" if ":" in host else host
