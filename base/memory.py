"""The memory of processes: what one holds, held at most, and gives back."""

import ctypes
import gc
import sys
from contextlib import suppress
from pathlib import Path

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
    return _bytes("self", "VmHWM")


def resident_bytes(process: int | None = None, *, files: bool = True) -> int | None:
    """The memory that a process holds now; None where nothing tells, or it has ended.

    Args:
        process: Its id; None for this one.
        files: Whether pages of mapped files count.
    """
    return _bytes("self" if process is None else str(process), "VmRSS" if files else "RssAnon")


def _bytes(process: str, name: str) -> int | None:
    """A line of what the system says of a process."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return None
    found = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return next((1024 * int(kib) for kib in found), None)


def give_back_memory() -> None:
    """Free what compiling left, and return to the system what glibc would keep in its arenas."""
    gc.collect()  # JAX leaves cycles behind
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none
        if trim is not None:
            trim(0)
