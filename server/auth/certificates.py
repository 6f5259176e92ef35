"""TLS: the server's certificate and the authorities of its clients, which may be replaced."""

import ssl
from collections.abc import Mapping
from pathlib import Path

import grpc

from base.errors import InputError
from server.auth.reloading import Rotating


def rotating_credentials(
    cert: Path, key: Path, client_ca: Path | None = None
) -> grpc.ServerCredentials:
    """Returns what to serve TLS with. Each new connection gets the files as they are by then.

    Files that are no good, such as a certificate whose key is not written yet, change nothing.

    Args:
        cert: PEM certificate chain.
        key: Its PEM private key.
        client_ca: PEM authorities, of which clients must show a certificate; None asks for none.

    Raises:
        InputError: A file is missing, is no PEM, or key and certificate do not match.
    """
    paths = {"--tls-cert": cert, "--tls-key": key}
    if client_ca is not None:
        paths["--client-ca"] = client_ca

    def read() -> Mapping[str, bytes]:
        return {flag: _read(flag, path) for flag, path in paths.items()}

    def make(content: Mapping[str, bytes]) -> grpc.ServerCertificateConfiguration:
        _check(cert, key, client_ca)  # which reads the files itself
        if read() != content:
            raise InputError(f"--tls-cert {cert}: changed while it was read")
        return grpc.ssl_server_certificate_configuration(
            [(content["--tls-key"], content["--tls-cert"])], content.get("--client-ca")
        )

    files = Rotating("TLS files", read, make)
    given = files.value()

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        # gRPC asks before each handshake, on threads of its own, and takes None for no change.
        nonlocal given
        before, given = given, files.value()
        return None if given is before else given

    return grpc.dynamic_ssl_server_credentials(
        given,
        fetch,  # type: ignore[arg-type]  # the stubs forget that it may return None
        require_client_authentication=client_ca is not None,
    )


def _check(cert: Path, key: Path, client_ca: Path | None) -> None:
    # gRPC would only say that it cannot listen; ssl says what is wrong.
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
    raise ValueError("the key is encrypted")  # instead of asking on the terminal


def _read(flag: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{flag} {path}: {error.strerror}") from None
