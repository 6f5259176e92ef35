"""The process that builds a compaction's indexes, at the lowest priority.

    python -m live.index_build DIRECTORY OLD_INDEX

See `search.bundle.building.build_alike`. The process imports little before it ties its life to the
server's: it may be paused at any moment, and the server may be killed at any moment.
"""

import ctypes
import json
import os
import signal
import sys
import threading
from pathlib import Path

REPORT = "report.json"  # in the directory: the report on the indexes
_NICENESS = 19
_PR_SET_PDEATHSIG = 1  # of linux/prctl.h: send a signal when the thread that forked this one ends


def end_with_the_server() -> None:
    """Exit when standard input ends, because the server has ended.

    A paused process reads nothing, so Linux is asked to kill it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def wait() -> None:
        os.read(sys.stdin.fileno(), 1)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def main(directory: Path, old_index: Path) -> None:
    """Build the indexes and write a report on them."""
    from search.bundle.building import build_alike  # noqa: PLC0415 - takes a second

    (directory / REPORT).write_text(json.dumps(build_alike(directory, old_index)))


if __name__ == "__main__":
    end_with_the_server()
    os.nice(_NICENESS)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
