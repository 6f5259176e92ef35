"""Failpoints: named places at which a test kills the process, to see what a crash leaves.

`SHORTLIST_FAILPOINT=log.before-commit` kills the process when it reaches that place, and
`SHORTLIST_FAILPOINT=log.before-commit:3` when it reaches the place for the third time. A SIGKILL
kills it, so nothing is flushed, closed or cleaned up. The variable is read once, on import.
"""

import os
import signal
import threading

from base.errors import InputError

VARIABLE = "SHORTLIST_FAILPOINT"
NAMES = frozenset(
    {
        "log.create.empty-file",  # a new log: its file exists and is empty
        "log.create.before-tables",  # a new log: its header is written, not committed
        "log.create.after-tables",  # a new log: header and tables are committed
        "log.before-begin",  # a batch is checked, its transaction has not begun
        "log.after-insert",  # all rows of items are written, in an open transaction
        "log.before-prune",  # the batch is written, its transaction still open
        "log.before-commit",  # old request ids are removed too
        "log.after-commit",  # the batch is durable, not acknowledged
        "log.before-close",
        "log.after-close",  # the file is closed, the directory still locked
        "compaction.before-items",  # the new bundle's directory exists and is empty
        "compaction.before-index",  # the new bundle has models, items and vectors
        "compaction.after-index",  # the new bundle has both indexes
        "compaction.before-manifest",  # the new bundle has all files but the manifest
        "compaction.after-manifest",  # the new bundle is complete, under a temporary name
        "compaction.after-rename",  # the new bundle has its final name and is not in use
        "compaction.before-cleaning",  # the new bundle is in use; older ones still exist
        "compaction.before-removal",  # an older bundle has lost its manifest, but no other file
        "compaction.after-cleaning",
    }
)


def _parse(text: str | None) -> tuple[str | None, int]:
    """Return the failpoint that kills (None for none) and the passage at which it does.

    Raises:
        InputError: the failpoint does not exist, or the count is not a whole number from 1.
    """
    if not text:
        return None, 0
    name, colon, passage = text.partition(":")
    if name not in NAMES:
        raise InputError(f"{VARIABLE}: no failpoint {name!r}; there are {', '.join(sorted(NAMES))}")
    if colon and not (passage.isascii() and passage.isdecimal() and int(passage) >= 1):
        raise InputError(f"{VARIABLE}: {passage!r} is no count; write NAME:3 for the third passage")
    return name, int(passage) if colon else 1


_armed, _passages_left = _parse(os.environ.get(VARIABLE))
_lock = threading.Lock()


def failpoint(name: str) -> None:
    """Kill the process if the environment names this failpoint and this passage.

    Args:
        name: One of `NAMES`.
    """
    if _armed is not None:
        _reach(name)


def _reach(name: str) -> None:
    global _passages_left  # noqa: PLW0603 - one process, one failpoint
    assert name in NAMES, f"failpoint {name} is not registered"
    if name != _armed:
        return
    with _lock:
        _passages_left -= 1
        if _passages_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
