"""TLS credentials of the server; the certificate files are reloaded while it runs."""

import ssl
from collections.abc import Mapping
from pathlib import Path

import grpc

from base.errors import InputError
from server.auth.reloading import ReloadedFiles


def reloading_credentials(
    cert: Path, key: Path, client_ca: Path | None = None
) -> grpc.ServerCredentials:
    """Return TLS credentials that read the files again for each new connection.

    While the files are invalid, the last valid content stays in use. For example, the files are
    invalid for a moment when a certificate is replaced before its key.

    Args:
        cert: PEM certificate chain.
        key: The PEM private key of `cert`.
        client_ca: PEM authorities of client certificates; None: clients need no certificate.

    Raises:
        InputError: A file is missing or not PEM, or key and certificate do not match.
    """
    paths = {"--tls-cert": cert, "--tls-key": key}
    if client_ca is not None:
        paths["--client-ca"] = client_ca

    def read() -> Mapping[str, bytes]:
        return {flag: _read(flag, path) for flag, path in paths.items()}

    def make(content: Mapping[str, bytes]) -> grpc.ServerCertificateConfiguration:
        # ssl reads the files itself. They may have changed since `content` was read.
        _check(cert, key, client_ca)
        if read() != content:
            raise InputError(f"--tls-cert {cert}: changed while it was read")
        return grpc.ssl_server_certificate_configuration(
            [(content["--tls-key"], content["--tls-cert"])], content.get("--client-ca")
        )

    files = ReloadedFiles("TLS files", read, make)
    current = files.value()

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        # gRPC calls this before each handshake, on its own threads; None means no change.
        nonlocal current
        before, current = current, files.value()
        return None if current is before else current

    return grpc.dynamic_ssl_server_credentials(
        current,
        fetch,  # type: ignore[arg-type]  # the stubs do not allow None
        require_client_authentication=client_ca is not None,
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


def _read(flag: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{flag} {path}: {error.strerror}") from None
