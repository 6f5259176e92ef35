"""CI fails if a language has no toolchain, unless CLIENT_LANGUAGES leaves the language out."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients import tools

NEEDED = ("bash", "id", "tr")  # the programs that the script itself uses


def toolchains(programs: Path, languages: str | None) -> tuple[int, str]:
    """Run .ci/toolchains with these programs only; return its exit code and its output."""
    environment = {"PATH": str(programs)}
    if languages is not None:
        environment[tools.LANGUAGES] = languages
    script = [programs / "bash", tools.ROOT / ".ci" / "toolchains"]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A directory of programs without toolchains and without a package manager."""
    for name in NEEDED:
        program = shutil.which(name)
        assert program is not None
        (tmp_path / name).symlink_to(program)
    return tmp_path


def test_a_language_without_a_toolchain_fails(bare: Path) -> None:
    code, said = toolchains(bare, None)
    assert code == 1
    for language in ("node", "go"):
        assert f"{language}: cannot be installed here" in said
    assert "set CLIENT_LANGUAGES to fewer" in said
    code, said = toolchains(bare, "go")
    assert code == 1
    assert "node" not in said.replace("nodejs", "")


def test_all_languages_may_be_left_out(bare: Path) -> None:
    assert toolchains(bare, "") == (0, "")


def test_an_unknown_language_fails(bare: Path) -> None:
    code, said = toolchains(bare, "cobol")
    assert code == 1
    assert "cobol: there is no such client" in said


def test_a_language_that_ci_leaves_out_is_skipped_and_a_missing_one_fails() -> None:
    go = {tools.LANGUAGES: "go"}
    with pytest.raises(pytest.skip.Exception, match="leaves node out"):
        tools.need("node", "sh", environment=go)
    with pytest.raises(pytest.fail.Exception, match="no-such-program is not installed"):
        tools.need("go", "no-such-program", environment=go)
    with pytest.raises(pytest.skip.Exception, match="no-such-program is not installed"):
        tools.need("go", "no-such-program", environment={})
