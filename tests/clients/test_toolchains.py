"""CI does not pass without the clients of other languages, unless it is told to."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients import tools

NEEDED = ("bash", "id", "tr")  # what the script itself uses


def toolchains(programs: Path, languages: str | None) -> tuple[int, str]:
    """The exit code and output of the script, for which there are only these programs."""
    environment = {"PATH": str(programs)}
    if languages is not None:
        environment[tools.LANGUAGES] = languages
    script = [programs / "bash", tools.ROOT / ".ci" / "toolchains"]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """Programs of a machine with no toolchain, and nothing to install one with."""
    for name in NEEDED:
        found = shutil.which(name)
        assert found is not None
        (tmp_path / name).symlink_to(found)
    return tmp_path


def test_a_language_that_cannot_be_had_fails(bare: Path) -> None:
    code, said = toolchains(bare, None)
    assert code == 1
    for language in ("node", "go"):
        assert f"{language}: cannot be installed here" in said
    assert "set CLIENT_LANGUAGES to fewer" in said
    code, said = toolchains(bare, "go")
    assert code == 1
    assert "node" not in said.replace("nodejs", "")


def test_leaving_all_out_has_to_be_said(bare: Path) -> None:
    assert toolchains(bare, "") == (0, "")


def test_a_language_that_there_is_no_client_in_is_no_way_out(bare: Path) -> None:
    code, said = toolchains(bare, "cobol")
    assert code == 1
    assert "cobol: there is no such client" in said


def test_what_ci_leaves_out_is_skipped_and_what_it_does_not_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(tools.LANGUAGES, "go")
    with pytest.raises(pytest.skip.Exception, match="leaves node out"):
        tools.need("node", "sh")
    with pytest.raises(pytest.fail.Exception, match="no-such-program is not installed"):
        tools.need("go", "no-such-program")
    monkeypatch.delenv(tools.LANGUAGES)
    with pytest.raises(pytest.skip.Exception, match="no-such-program is not installed"):
        tools.need("go", "no-such-program")
