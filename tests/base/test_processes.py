"""Child processes and restarts import our packages, not modules of the working directory."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from base.processes import import_environment, python_command

ROOT = Path(__file__).parents[2]
HOSTILE = ("base", "live", "search", "train", "json.py", "live.py", "search.py", "train.py")


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A directory of modules that end the process when they are imported."""
    for name in HOSTILE:
        if name.endswith(".py"):
            (tmp_path / name).write_text("raise SystemExit('hostile')")
        else:
            (tmp_path / name).mkdir()
            (tmp_path / name / "__init__.py").write_text("raise SystemExit('hostile')")
    return tmp_path


def without_path(**more: str) -> dict[str, str]:
    """The environment without any PYTHONPATH."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | more


def run(
    *command: str, cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=120
    )


def test_without_the_flag_the_working_directory_comes_first(hostile):
    done = run(sys.executable, "-m", "live.index_build", cwd=hostile, env=import_environment())
    assert "hostile" in done.stderr


def test_the_index_build_starts_from_a_directory_with_modules_of_the_same_names(hostile):
    command = python_command("-m", "live.index_build", "directory", "index")
    done = subprocess.run(
        command,
        cwd=hostile,
        env=import_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    # The build ends with code 1, because its standard input has ended.
    assert done.returncode == 1
    assert "hostile" not in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="huge pages are asked for on Linux alone")
def test_a_restart_does_not_import_modules_of_the_same_names(hostile):
    program = hostile.parent / "elsewhere" / "program.py"
    program.parent.mkdir(exist_ok=True)
    program.write_text(
        "from train.loop.huge_pages import restart_with_huge_pages\n"
        "restart_with_huge_pages()\n"
        "import json, sys, train\n"
        "print(sys.flags.safe_path, train.__file__)\n"
    )
    others = ("GLIBC_TUNABLES", "TRAIN_BEGUN_ANEW")
    env = {k: v for k, v in os.environ.items() if k not in others} | {"PYTHONPATH": str(ROOT)}
    done = run(sys.executable, str(program), cwd=hostile, env=env)
    assert done.stdout.split() == ["True", str(ROOT / "train" / "__init__.py")]


def test_a_checkout_that_is_only_the_working_directory_is_found(tmp_path):
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    shutil.copytree(ROOT / "base", checkout / "base")
    program = (
        "import subprocess\n"
        "from base.processes import import_environment, python_command\n"
        "command = python_command('-c', 'import base; print(base.__file__)')\n"
        "subprocess.run(command, env=import_environment(), check=True)\n"
    )
    # With -S, Python does not find an installed copy of our packages.
    done = run(sys.executable, "-S", "-c", program, cwd=checkout, env=without_path())
    assert done.stdout.strip() == str(checkout / "base" / "__init__.py"), done.stderr


def test_a_path_that_leads_to_our_packages_is_left_alone(tmp_path):
    program = (
        "import os\n"
        "from base.processes import import_environment\n"
        "print(import_environment()['PYTHONPATH'])\n"
    )
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = run(sys.executable, "-c", program, cwd=tmp_path, env=without_path(PYTHONPATH=path))
    assert done.stdout.strip() == path
