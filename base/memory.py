"""Memory of processes: present, peak, and how to release it."""

import ctypes
import gc
import sys
from contextlib import suppress
from pathlib import Path

_CLEAR = Path("/proc/self/clear_refs")
_PEAK = "5"  # the kernel's code for resetting the peak


def forget_peak() -> None:
    """Reset the peak that `peak_bytes` returns, where the system can."""
    with suppress(OSError):
        _CLEAR.write_text(_PEAK)


def peak_bytes() -> int | None:
    """Return the peak memory with pages of mapped files; None where the system does not report it.

    The system reclaims pages of mapped files when it needs memory.
    """
    return _bytes("self", "VmHWM")


def resident_bytes(process: int | None = None, *, files: bool = True) -> int | None:
    """Return the memory of a process; None if it has ended or the system does not report it.

    Args:
        process: The process's id; None for this process.
        files: Whether pages of mapped files count.
    """
    return _bytes("self" if process is None else str(process), "VmRSS" if files else "RssAnon")


def _bytes(process: str, name: str) -> int | None:
    """Return a value of a process's status file in bytes."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return None
    values = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return next((1024 * int(kib) for kib in values), None)


def give_back_memory() -> None:
    """Free what compilation left, and return the memory in glibc's arenas to the system."""
    gc.collect()  # JAX leaves reference cycles
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none
        if trim is not None:
            trim(0)
