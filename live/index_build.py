"""The process that builds a compaction's indexes, at the lowest priority.

    python -m live.index_build DIRECTORY OLD_INDEX

`search.bundle.building.build_alike` does the work. Before the process imports large modules, it
makes sure that it ends when the server ends. The server may be killed at any moment, even while
this process is paused.
"""

import ctypes
import json
import os
import signal
import sys
import threading
from pathlib import Path

REPORT = "report.json"  # file in DIRECTORY: the report on the indexes
_NICENESS = 19
_PR_SET_PDEATHSIG = 1  # from linux/prctl.h: send a signal when the parent thread ends


def end_with_the_server() -> None:
    """Exit when standard input closes, because that means that the server has ended.

    A paused process does not notice that standard input closes. Therefore on Linux, the kernel
    kills this process when the server ends.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def wait() -> None:
        os.read(sys.stdin.fileno(), 1)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def main(directory: Path, old_index: Path) -> None:
    """Build the indexes of a directory and write a report on them."""
    from search.bundle.building import build_alike  # noqa: PLC0415 - the import takes a second

    (directory / REPORT).write_text(json.dumps(build_alike(directory, old_index)))


if __name__ == "__main__":
    end_with_the_server()
    os.nice(_NICENESS)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
