"""TLS credentials of the server; the certificate files are reloaded while it runs."""

import ssl
from collections.abc import Mapping
from pathlib import Path

import grpc

from base.errors import InputError
from server.auth.reloading import ReloadedFiles
from server.auth.secret_files import SecretFile, warn_if_exposed

_CERT, _KEY, _CLIENT_CA = "--tls-cert", "--tls-key", "--client-ca"


class Certificates:
    """The certificate files of the server.

    While the files are invalid, the last valid content stays in use. For example, the files are
    invalid for a moment when a certificate is replaced before its key.
    """

    def __init__(self, cert: Path, key: Path, client_ca: Path | None = None) -> None:
        """Read the files.

        Args:
            cert: PEM certificate chain.
            key: The PEM private key of `cert`.
            client_ca: PEM authorities of client certificates; None: clients need no certificate.

        Raises:
            InputError: A file is missing or not PEM, or key and certificate do not match.
        """
        self._paths = {_CERT: cert, _KEY: key}
        if client_ca is not None:
            self._paths[_CLIENT_CA] = client_ca
        self._files: ReloadedFiles[
            Mapping[str, SecretFile], grpc.ServerCertificateConfiguration
        ] = ReloadedFiles("TLS files", self._read, self._parse)

    def credentials(self) -> grpc.ServerCredentials:
        """Return TLS credentials for one port, which read the files for each new connection."""
        current = self._files.value()

        def fetch() -> grpc.ServerCertificateConfiguration | None:
            # gRPC calls this before each handshake, on its own threads; None means no change.
            nonlocal current
            before, current = current, self._files.value()
            return None if current is before else current

        return grpc.dynamic_ssl_server_credentials(
            current,
            fetch,  # type: ignore[arg-type]  # the stubs do not allow None
            require_client_authentication=_CLIENT_CA in self._paths,
        )

    def _read(self) -> Mapping[str, SecretFile]:
        return {flag: SecretFile.read(flag, path) for flag, path in self._paths.items()}

    def _parse(self, files: Mapping[str, SecretFile]) -> grpc.ServerCertificateConfiguration:
        # ssl reads the files itself. They may have changed since `files` was read.
        _check(self._paths[_CERT], self._paths[_KEY], self._paths.get(_CLIENT_CA))
        if self._read() != files:
            raise InputError(f"{_CERT} {self._paths[_CERT]}: changed while it was read")
        warn_if_exposed(_KEY, self._paths[_KEY], files[_KEY])
        authorities = files[_CLIENT_CA].content if _CLIENT_CA in files else None
        return grpc.ssl_server_certificate_configuration(
            [(files[_KEY].content, files[_CERT].content)], authorities
        )


def _check(cert: Path, key: Path, client_ca: Path | None) -> None:
    # gRPC would report only that it cannot listen; ssl reports what is wrong with the files.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except (OSError, ValueError) as error:  # an ssl.SSLError is an OSError
        raise InputError(
            f"--tls-cert {cert}, --tls-key {key}: not a PEM certificate and its unencrypted "
            f"private key ({error})"
        ) from None
    try:
        if client_ca is not None:
            context.load_verify_locations(client_ca)
    except OSError as error:
        raise InputError(f"--client-ca {client_ca}: not PEM ({error})") from None


def _no_password() -> str:
    # Without this function, ssl would ask for a password on the terminal.
    raise ValueError("the key is encrypted")
