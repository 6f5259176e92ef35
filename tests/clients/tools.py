"""The toolchains of other languages, and where what they fetch and build is kept."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ROOT / "clients"
STUBS = CLIENTS / "stubs.py"

# As CI sets it: the languages that must be tested; others are skipped. Where it is not set, all are
# tested whose toolchains are there.
LANGUAGES = "CLIENT_LANGUAGES"


def kept(name: str) -> Path:
    """A directory that outlives the test run: packages and compiled ones are made once."""
    base = os.environ.get("TEST_TOOLS_CACHE")
    directory = (Path(base) if base else ROOT / ".cache" / "clients") / name
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def missing(language: str, what: str) -> None:
    """Skips the test, or fails it where the language must be tested."""
    reason = f"{what}; .ci/toolchains installs what the tests of other languages need"
    if language in os.environ.get(LANGUAGES, "").split():
        pytest.fail(reason)
    pytest.skip(reason)


def need(language: str, *programs: str) -> None:
    """Skips the test where the language is left out, or unless all programs are there."""
    if language not in os.environ.get(LANGUAGES, language).split():
        pytest.skip(f"{LANGUAGES} leaves {language} out")
    for program in programs:
        if shutil.which(program) is None:
            missing(language, f"{program} is not installed")


def run(
    command: Sequence[str | Path], cwd: Path, environment: Mapping[str, str] | None = None
) -> None:
    """Runs a step of a build; what it wrote is in the failure."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def generate(language: str, out: Path, environment: Mapping[str, str] | None = None) -> None:
    """Generates the contract for a language."""
    run([sys.executable, STUBS, language, out], ROOT, environment)


def npm_packages() -> Path:
    """The node_modules of clients/node, installed when package.json changes."""
    package = CLIENTS / "node" / "package.json"
    name = hashlib.sha256(package.read_bytes()).hexdigest()[:16]
    directory = kept("npm") / name
    done = directory / "installed"
    if not done.exists():
        directory.mkdir(exist_ok=True)
        shutil.copy(package, directory)
        flags = ("--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts")
        tried = subprocess.run(
            ["npm", "install", *flags],
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if tried.returncode != 0:
            missing("node", f"npm cannot install the packages ({tried.stderr.strip()[-300:]})")
        done.touch()
    return directory / "node_modules"
