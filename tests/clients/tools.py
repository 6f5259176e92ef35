"""The toolchains of other languages, and their caches."""

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

# The environment variable in which CI names the languages to test. Tests of a named language fail
# without its toolchain; tests of all other languages are skipped. If the variable is not set, only
# tests of languages without a toolchain are skipped.
LANGUAGES = "CLIENT_LANGUAGES"


def cache(name: str) -> Path:
    """Return a cache directory that remains after the test run."""
    base = os.environ.get("TEST_TOOLS_CACHE")
    directory = (Path(base) if base else ROOT / ".cache" / "clients") / name
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def missing(language: str, problem: str, environment: Mapping[str, str] = os.environ) -> None:
    """Skip the test, or fail it if LANGUAGES names the language."""
    reason = f"{problem}; .ci/toolchains installs what the tests of other languages need"
    if language in environment.get(LANGUAGES, "").split():
        pytest.fail(reason)
    pytest.skip(reason)


def need(language: str, *programs: str, environment: Mapping[str, str] = os.environ) -> None:
    """Skip the test if LANGUAGES leaves the language out. Otherwise, require all programs."""
    if language not in environment.get(LANGUAGES, language).split():
        pytest.skip(f"{LANGUAGES} leaves {language} out")
    for program in programs:
        if shutil.which(program) is None:
            missing(language, f"{program} is not installed", environment)


def run(
    command: Sequence[str | Path], cwd: Path, environment: Mapping[str, str] | None = None
) -> None:
    """Run a command of a build. The error of a failed command contains its output."""
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
    """Generate the contract's code in a language."""
    run([sys.executable, STUBS, language, out], ROOT, environment)


def npm_packages() -> Path:
    """Return the node_modules of clients/node, which are installed once per package.json."""
    package = CLIENTS / "node" / "package.json"
    name = hashlib.sha256(package.read_bytes()).hexdigest()[:16]
    directory = cache("npm") / name
    done = directory / "installed"
    if not done.exists():
        directory.mkdir(exist_ok=True)
        shutil.copy(package, directory)
        flags = ("--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts")
        install = subprocess.run(
            ["npm", "install", *flags],
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if install.returncode != 0:
            missing("node", f"npm cannot install the packages ({install.stderr.strip()[-300:]})")
        done.touch()
    return directory / "node_modules"
