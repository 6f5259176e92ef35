"""Flags that all commands for a running server have: its address and TLS."""

from dataclasses import dataclass
from pathlib import Path

from shortlist.client import Client, Options, Tls


@dataclass(frozen=True, kw_only=True)
class ConnectionConfig:
    """How to connect to a running server."""

    address: str = "127.0.0.1:50051"  # host:port of the server
    tls: bool = False  # use TLS; the TLS settings below imply it
    tls_ca: Path | None = None  # PEM authorities to trust instead of the system's
    tls_cert: Path | None = None  # PEM certificate of this client
    tls_key: Path | None = None  # PEM private key of tls_cert
    tls_name: str | None = None  # name in the server's certificate, if it is not the host

    def tls_files(self) -> Tls | None:
        """Return the TLS settings; None without TLS."""
        files = (self.tls_ca, self.tls_cert, self.tls_key)
        if not (self.tls or self.tls_name or any(files)):
            return None
        return Tls(*files, server_name=self.tls_name)

    def connect(self, timeout_seconds: float, token_file: Path | None) -> Client:
        """Return a client of the server. Without TLS, it sends the token only to this machine.

        Raises:
            OSError: A TLS file or the token file cannot be read.
            ValueError: A flag is not valid.
        """
        return Client(
            self.address,
            tls=self.tls_files(),
            token=token_file,
            options=Options(token_in_clear=True),
            timeout_seconds=timeout_seconds,
        )
