"""Memory in pages of 2 MiB: every training step allocates half a gigabyte anew.

With pages of 4 KiB, a step has more than a hundred thousand page faults, a fifth of its time.
glibc reads the setting from the environment when a process starts.
"""

import os
import sys
from collections.abc import Mapping

from base.processes import import_environment, python_command

_VARIABLE = "GLIBC_TUNABLES"
_DONE = "TRAIN_BEGUN_ANEW"  # set in case the loader drops the variable, as for privileged programs
_SETTING = "glibc.malloc.hugetlb"  # 1: ask for transparent huge pages (glibc 2.35 or newer)


def restart_with_huge_pages() -> None:
    """Restart this process with the setting, unless it has one or the system is not Linux.

    Older C libraries, other C libraries, and kernels without huge pages ignore the setting.
    """
    asked = _SETTING in os.environ.get(_VARIABLE, "") or _DONE in os.environ
    if sys.platform == "linux" and not asked:
        again = python_command(*sys.orig_argv[1:])
        environment = {**import_environment(), **huge_pages(os.environ), _DONE: "1"}
        os.execve(sys.executable, again, environment)  # noqa: S606 - itself, with its own arguments


def huge_pages(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variable that asks for huge pages, added to its present value."""
    present = environment.get(_VARIABLE)
    return {_VARIABLE: f"{present}:{_SETTING}=1" if present else f"{_SETTING}=1"}
