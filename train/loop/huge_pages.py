"""Memory in pages of 2 MiB: a training step touches half a gigabyte anew.

In pages of 4 KiB that is more than a hundred thousand page faults a step, and a fifth of its time.
glibc takes the setting from the environment, as a process begins.
"""

import os
import sys
from collections.abc import Mapping

from base.processes import import_environment, python_command

_VARIABLE = "GLIBC_TUNABLES"
_DONE = "TRAIN_BEGUN_ANEW"  # where the loader drops the variable, as for a program with privileges
_SETTING = "glibc.malloc.hugetlb"  # 1: ask for transparent huge pages (glibc 2.35 or newer)


def restart_with_huge_pages() -> None:
    """Begin this process anew with the setting, unless it has one or the system is not Linux.

    Older C libraries and other ones, and kernels told never to use huge pages, ignore it.
    """
    asked = _SETTING in os.environ.get(_VARIABLE, "") or _DONE in os.environ
    if sys.platform == "linux" and not asked:
        again = python_command(*sys.orig_argv[1:])
        environment = {**import_environment(), **huge_pages(os.environ), _DONE: "1"}
        os.execve(sys.executable, again, environment)  # noqa: S606 - itself, with its own arguments


def huge_pages(environment: Mapping[str, str]) -> dict[str, str]:
    """The variable that asks for them, with what it says already."""
    said = environment.get(_VARIABLE)
    return {_VARIABLE: f"{said}:{_SETTING}=1" if said else f"{_SETTING}=1"}
