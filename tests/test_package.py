"""The package: its extras, and the notice of what its distributions have."""

import fnmatch
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from commands.main import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
NOTICE = (ROOT / "NOTICE").read_text("utf-8")
# The files that the notice names; other lines with four spaces name packages and models.
NAMED = [line.split()[0] for line in NOTICE.splitlines() if line.startswith("    ")]


def tracked(*paths: str) -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *paths]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def is_named(path: str) -> bool:
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in NAMED)


def test_the_notice_names_every_file_of_the_wheel_that_is_no_python_module() -> None:
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    others = [path for path in tracked(*packages) if not path.endswith(".py")]
    assert others
    assert [path for path in others if not is_named(path)] == []


def test_the_notice_names_every_data_file_of_the_source_distribution() -> None:
    data = (
        ".binpb",
        ".npz",
        ".sqlite3",
        ".tsv",
        ".csv",
        ".svg",
        ".png",
        ".parquet",
        ".safetensors",
    )
    paths = [path for path in tracked() if path.endswith(data)]
    paths += [path for path in tracked("*.json") if not path.startswith("clients/node")]
    assert len(paths) > 5
    assert [path for path in paths if not is_named(path)] == []


def test_the_notice_names_no_file_that_is_gone() -> None:
    paths = tracked()
    patterns = [name for name in NAMED if "/" in name]
    assert [p for p in patterns if not fnmatch.filter(paths, p)] == []


def test_distributions_have_the_licence_and_the_notice() -> None:
    assert PROJECT["project"]["license-files"] == ["LICENSE", "NOTICE"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_needs_an_extra_that_exists(name: str) -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    assert COMMANDS[name].extra in ("", *extras)
