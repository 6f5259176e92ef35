"""The process that builds a compaction's indexes, at the lowest priority.

    python -m search.apart DIRECTORY LIKE

See `search.compaction.index`. It imports little before it is bound to its server's life: it may be
paused from its first moment on, and a server may be killed at any.
"""

import ctypes
import os
import signal
import sys
import threading
from pathlib import Path

_NICENESS = 19
_PR_SET_PDEATHSIG = 1  # of linux/prctl.h: a signal for when the thread ends that began the process


def end_with_the_server() -> None:
    """Exit when standard input ends: the server was killed, and nobody waits for the index.

    A paused process reads nothing, so Linux is asked to kill it then.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def wait() -> None:
        os.read(sys.stdin.fileno(), 1)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def main(directory: Path, like: Path) -> None:
    """Build the indexes."""
    from search.compaction import index  # noqa: PLC0415 - takes a second, see above

    index(directory, like)


if __name__ == "__main__":
    end_with_the_server()
    os.nice(_NICENESS)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
