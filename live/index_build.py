"""The process that builds a compaction's indexes, at the lowest priority.

    python -m live.index_build DIRECTORY LIKE

See `search.bundle.building.build_alike`. It imports little before it is bound to the life of its
server: it may be paused from its first moment on, and a server may be killed at any time.
"""

import ctypes
import json
import os
import signal
import sys
import threading
from pathlib import Path

REPORT = "report.json"  # in the directory: what the build said of the indexes
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
    """Build the indexes and report on them."""
    from search.bundle.building import build_alike  # noqa: PLC0415 - takes a second, see above

    (directory / REPORT).write_text(json.dumps(build_alike(directory, like)))


if __name__ == "__main__":
    end_with_the_server()
    os.nice(_NICENESS)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
