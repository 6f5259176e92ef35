"""Warnings if other users can read secret files, or other machines can read or make calls."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from base.errors import InputError
from server.auth.secret_files import SecretFile
from server.auth.tokens import Tokens
from server.config import ServerConfig
from shortlist.client import Client, Tls
from tests.authority import Authority
from tests.clients.conftest import write_tokens

Serving = Callable[[ServerConfig], AbstractContextManager[Any]]
ROOT, SERVER, OTHER = 0, 10_001, 10_002


@pytest.mark.parametrize(
    ("mode", "owner", "user", "exposed"),
    [
        (0o600, SERVER, SERVER, False),
        (0o604, SERVER, SERVER, True),
        (0o602, SERVER, SERVER, True),
        (0o604, ROOT, SERVER, True),
        (0o640, SERVER, SERVER, True),
        (0o620, SERVER, SERVER, True),
        (0o440, ROOT, SERVER, False),  # a secret of Kubernetes with fsGroup
        (0o640, ROOT, ROOT, False),
        (0o640, OTHER, SERVER, False),
    ],
)
def test_others_may_never_read_a_secret_and_a_group_only_in_place_of_the_owner(
    mode: int, owner: int, user: int, exposed: bool
) -> None:
    assert SecretFile(b"", mode, owner).is_exposed(user) == exposed


def warnings(caplog: pytest.LogCaptureFixture) -> list[dict[str, str]]:
    """Return the fields of the warnings of files that other users can read or change."""
    text = "other users can read or change a secret file; run chmod 600"
    return [vars(record)["fields"] for record in caplog.records if record.message == text]


def test_a_token_file_that_others_can_read_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "tokens"
    write_tokens(file, ("read", "reader"))
    Tokens(file)
    assert warnings(caplog) == []
    file.chmod(0o644)
    Tokens(file)
    assert warnings(caplog) == [{"flag": "--tokens", "path": str(file)}]


def test_a_key_that_others_can_read_is_named_once_at_the_start_and_once_after_a_change(
    config: ServerConfig, serving: Serving, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority(tmp_path, "shop")
    cert, key = authority.sign("server")
    key.chmod(0o644)

    def connect(address: str) -> None:
        with Client(address, tls=Tls(authority.ca), timeout_seconds=20) as client:
            client.batch_get_items(["x"])

    with serving(replace(config, tls_cert=cert, tls_key=key, admin_port=0)) as server:
        connect(server.address)
        warning = {"flag": "--tls-key", "path": str(key)}
        assert warnings(caplog) == [warning]
        key.chmod(0o600)
        connect(server.address)
        assert len(warnings(caplog)) == 1
        key.chmod(0o604)
        connect(server.address)
        assert warnings(caplog) == [warning, warning]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), ("calls are not encrypted", "everybody who reaches the port may call")),
        (("tls_cert", "tls_key"), ("everybody who reaches the port may call",)),
        (("tls_cert", "tls_key", "client_ca"), ()),
        (("tls_cert", "tls_key", "tokens"), ()),
        (("tokens", "tokens_in_clear"), ()),
    ],
)
def test_calls_from_beyond_this_machine_are_warned_of(
    tiny_bundle: Path, options: tuple[str, ...], told: tuple[str, ...]
) -> None:
    given: dict[str, Any] = dict.fromkeys(options, tiny_bundle)
    if "tokens_in_clear" in given:
        given["tokens_in_clear"] = True
    for host in ("0.0.0.0", "::", "shop.example"):
        risks = ServerConfig(tiny_bundle, host=host, **given).exposure()
        assert [risk.split(" (")[0] for risk in risks] == list(told)
    assert ServerConfig(tiny_bundle, host="127.0.0.1", **given).exposure() == []


def test_the_warning_of_calls_is_one_record(
    config: ServerConfig, serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    # No machine has this address (RFC 5737), so the test opens no port to other machines.
    with (
        pytest.raises(InputError, match="cannot listen there"),
        serving(replace(config, host="192.0.2.1")),
    ):
        pass
    [warning] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert warning.message == "other machines can reach this server"
    fields = vars(warning)["fields"]
    assert fields["host"] == "192.0.2.1"
    assert fields["risks"][0] == "calls are not encrypted (--tls-cert, --tls-key)"
