"""Child processes that run the same Python and import the same packages."""

import os
import sys
from pathlib import Path

_ROOT = str(Path(__file__).resolve().parents[1])  # the directory of our packages


def python_command(*arguments: str) -> list[str]:
    """Return the command that runs this Python with some arguments.

    `-P` keeps the working directory and the script's directory off `sys.path`. Otherwise a user's
    file with the name of one of our modules, such as `train.py`, might be imported instead.
    """
    return [sys.executable, "-P", *arguments]


def import_environment() -> dict[str, str]:
    """Return the environment variables with which `python_command` finds our packages.

    With `-P`, Python still finds installed packages and packages on PYTHONPATH, but no packages in
    the working directory. If our packages are only there, their directory is added to PYTHONPATH.
    """
    environment = dict(os.environ)
    # Without -P, the first entry of `sys.path` is the working directory or a script's directory.
    inserted = 0 if sys.flags.safe_path else 1
    if _ROOT not in sys.path[inserted:]:
        path = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = f"{_ROOT}{os.pathsep}{path}" if path else _ROOT
    return environment
