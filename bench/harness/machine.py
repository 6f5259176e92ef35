"""Facts about the machine that a measurement ran on."""

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bert.numerics import choose_numerics, product_rates


def machine() -> dict[str, Any]:
    """Return the processor, its numbers of cores and its speed at matrix products."""
    numerics = choose_numerics()
    return {
        "processor": processor(),
        "topology": _topology(),
        "numerics": numerics.dtype,
        "product_gflops": {name: round(rate / 1e9) for name, rate in product_rates().items()},
    }


def processor() -> str:
    """Return the name of the processor and the number of logical processors that may be used."""
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.is_file() else ():
        if line.startswith("model name"):
            return f"{line.partition(':')[2].strip()}, {_cores(usable_cores())}"
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """Return the number of logical processors that this process may use (`taskset` limits it)."""
    return len(os.sched_getaffinity(0))


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Return the versions of Python and of packages.

    Raises:
        SystemExit: a package is not installed.
    """
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            raise SystemExit(
                f"error: {name} is not installed; `make bench` installs all compared libraries"
            ) from None
    return found


def _cores(count: int) -> str:
    return "1 core" if count == 1 else f"{count} cores"


def _topology() -> str:
    """Return the numbers of logical processors and of physical cores."""
    directory = Path("/sys/devices/system/cpu")
    cores = {file.read_text() for file in directory.glob("cpu[0-9]*/topology/core_cpus_list")}
    return f"{os.cpu_count()} processors, threads of {len(cores) or 'unknown'} cores"
