"""Measure the peak memory of this process, and release memory."""

import ctypes
import gc
import sys
from contextlib import suppress
from pathlib import Path

_CLEAR = Path("/proc/self/clear_refs")
_PEAK = "5"  # the kernel's code for resetting the peak


def forget_peak() -> None:
    """Reset the peak that `peak_bytes` returns, if the system supports this."""
    with suppress(OSError):
        _CLEAR.write_text(_PEAK)


def peak_bytes() -> int | None:
    """Return the peak memory of this process; None if the system does not report it.

    The peak includes pages of mapped files, which the system reclaims when it needs memory.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    values = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return next((1024 * int(kib) for kib in values), None)


def give_back_memory() -> None:
    """Free memory that JAX's compilation left, and return glibc's unused memory to the system."""
    gc.collect()  # JAX leaves reference cycles
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # only glibc has this function
        if trim is not None:
            trim(0)
