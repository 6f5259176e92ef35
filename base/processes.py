"""Child processes that run the same Python and import the same packages."""

import os
import sys
from pathlib import Path

_ROOT = str(Path(__file__).resolve().parents[1])  # the directory of our packages


def python_command(*arguments: str) -> list[str]:
    """Return the command that runs this Python with some arguments.

    `-P` keeps the working directory and a script's directory off `sys.path`, so that a user's files
    named like our modules, such as `train.py`, are not imported instead.
    """
    return [sys.executable, "-P", *arguments]


def import_environment() -> dict[str, str]:
    """Return the environment in which such a command finds our packages.

    An installation, or PYTHONPATH, is found with `-P` too. A checkout that is only the working
    directory is not, so PYTHONPATH then gets its path.
    """
    environment = dict(os.environ)
    inserted = 0 if sys.flags.safe_path else 1  # entries for the working or a script's directory
    if _ROOT not in sys.path[inserted:]:
        path = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = f"{_ROOT}{os.pathsep}{path}" if path else _ROOT
    return environment
