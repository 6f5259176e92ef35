"""Memory of processes."""

from pathlib import Path


def resident_bytes(process: int | None = None, *, files: bool = True) -> int | None:
    """Return the memory of a process; None if it has ended or the system does not report it.

    Args:
        process: The process's id; None for this process.
        files: Whether pages of mapped files count.
    """
    name = "VmRSS:" if files else "RssAnon:"
    try:
        lines = Path(f"/proc/{process or 'self'}/status").read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(name)), None)
