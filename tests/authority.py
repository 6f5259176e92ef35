"""Certificates for tests, made by the openssl program."""

import shutil
import subprocess
from pathlib import Path

import pytest

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """A certificate authority. Its own certificate is in `ca.pem`."""

    def __init__(self, directory: Path, name: str) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("needs the openssl program")
        self.directory = directory / name
        self.directory.mkdir()
        (self.directory / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        own = ("req", "-x509", *_KEY, "-days", "2", "-subj", f"/CN={name}")
        self._openssl(*own, "-keyout", "ca.key", "-out", "ca.pem")

    @property
    def ca(self) -> Path:
        return self.directory / "ca.pem"

    def sign(self, name: str, days: int = 2) -> tuple[Path, Path]:
        """Write a certificate and its key. With negative days, the certificate is expired."""
        request = ("req", *_KEY, "-subj", f"/CN={name}", "-out", "request")
        self._openssl(*request, "-keyout", f"{name}.key")
        signed = ("x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key")
        lasting = ("-CAcreateserial", "-days", str(days), "-extfile", "names")
        self._openssl(*signed, *lasting, "-out", f"{name}.pem")
        return self.directory / f"{name}.pem", self.directory / f"{name}.key"

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(
            ["openssl", *arguments], cwd=self.directory, check=True, stderr=subprocess.DEVNULL
        )


def put(source: Path, target: Path) -> None:
    """Replace a file and its permissions atomically, as certificate rotation does."""
    fresh = target.with_name(f".{target.name}.new")
    shutil.copy(source, fresh)
    fresh.replace(target)
