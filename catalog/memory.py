"""The memory of this process: what it held at most, and giving back what it no longer needs."""

import ctypes
import gc
import sys
from contextlib import suppress
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_PEAK = "5"  # what the kernel takes for: forget the peak


def forget_peak() -> None:
    """Let `peak_bytes` count from now on, where the system can."""
    with suppress(OSError):
        _CLEAR.write_text(_PEAK)


def peak_bytes() -> int | None:
    """The most memory held, pages of mapped files included; None where nothing tells.

    The system takes pages of mapped files back when it needs them.
    """
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), None)


def give_back_memory() -> None:
    """Free what compiling left, and return to the system what glibc would keep in its arenas."""
    gc.collect()  # JAX leaves cycles behind
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none
        if trim is not None:
            trim(0)
