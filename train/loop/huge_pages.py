"""Memory in pages of 2 MiB, because every training step allocates half a gigabyte anew.

With pages of 4 KiB, a step has more than a hundred thousand page faults, which take a fifth of its
time. glibc reads the page setting from the environment when a process starts.
"""

import os
import sys
from collections.abc import Mapping

from base.processes import import_environment, python_command

_VARIABLE = "GLIBC_TUNABLES"
# The restart sets this variable, so that there is only one restart. `GLIBC_TUNABLES` cannot prove a
# restart, because the loader may drop it, for example in privileged programs.
_DONE = "TRAIN_BEGUN_ANEW"
_SETTING = "glibc.malloc.hugetlb"  # 1 requests transparent huge pages (glibc 2.35 or newer)


def restart_with_huge_pages() -> None:
    """Restart this process with huge pages, if it is on Linux and does not have the setting yet.

    Older C libraries, other C libraries, and kernels without huge pages ignore the setting.
    """
    is_set = _SETTING in os.environ.get(_VARIABLE, "") or _DONE in os.environ
    if sys.platform == "linux" and not is_set:
        command = python_command(*sys.orig_argv[1:])
        environment = {**import_environment(), **huge_pages(os.environ), _DONE: "1"}
        os.execve(sys.executable, command, environment)  # noqa: S606 - this program, same arguments


def huge_pages(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variable that requests huge pages; the setting is added to its current value."""
    current = environment.get(_VARIABLE)
    return {_VARIABLE: f"{current}:{_SETTING}=1" if current else f"{_SETTING}=1"}
