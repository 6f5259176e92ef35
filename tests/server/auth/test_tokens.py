"""A file of tokens: what it grants, and what is refused."""

import hashlib
from pathlib import Path

import pytest

from base.errors import InputError
from server.auth.tokens import Role, RoleMissingError, Tokens, UnauthenticatedError
from tests.server.auth.token_files import line, write


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "tokens", line("read", "reader"))


def test_a_token_is_known_only_by_every_digit_of_its_digest(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"reader").hexdigest()
    for place, digit in enumerate(digest):
        other = digest[:place] + ("0" if digit != "0" else "1") + digest[place + 1 :]
        tokens = Tokens(write(tmp_path / "tokens", f"read: {other}\n"))
        with pytest.raises(UnauthenticatedError, match="unknown or was removed"):
            tokens.check("reader", Role.READ)


def test_an_invalid_token_file_changes_nothing(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = Tokens(file, reload_seconds=0.0)
    for content in ("reader\n", "", "read: abc\n"):
        write(file, content)
        tokens.check("reader", Role.READ)
        assert caplog.records[-1].message == "files not reloaded, the last valid content stays"
        assert str(file) in vars(caplog.records[-1])["fields"]["reason"]
    file.unlink()
    tokens.check("reader", Role.READ)
    assert len(caplog.records) == 4
    write(file, line("read", "other"))
    with pytest.raises(UnauthenticatedError):
        tokens.check("reader", Role.READ)
    with pytest.raises(RoleMissingError):
        tokens.check("other", Role.ADMIN)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("s3cret\n", "line 1: not `ROLE: SHA-256`"),
        ("# ok\nread: s3cret\n", "line 2"),
        (line("owner", "s3cret"), "line 1"),
        ("# nothing\n", "holds no token"),
    ],
)
def test_a_token_file_is_refused_without_telling_what_is_in_it(
    tmp_path: Path, content: str, problem: str
) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        Tokens(write(tmp_path / "tokens", content))
    assert "s3cret" not in str(caught.value)
    with pytest.raises(InputError, match="nowhere: No such file"):
        Tokens(tmp_path / "nowhere")


def test_a_recheck_follows_the_file(file: Path) -> None:
    write(file, line("write", "writer"))
    tokens = Tokens(file, reload_seconds=0.0)
    recheck = tokens.recheck("writer", Role.WRITE)
    recheck()
    write(file, line("read", "writer"))
    with pytest.raises(RoleMissingError):
        recheck()
    write(file, line("read", "reader"))
    for _ in range(2):
        with pytest.raises(UnauthenticatedError):
            recheck()
    write(file, line("write", "writer"))
    recheck()
