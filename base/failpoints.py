"""Named places where a test can have the process killed, to see what a crash there leaves.

`SHORTLIST_FAILPOINT=log.before-commit` kills the process when it comes to that place, and
`SHORTLIST_FAILPOINT=log.before-commit:3` when it comes there for the third time: by SIGKILL, so
nothing is flushed, closed or cleaned up. The variable is read once, when this module is imported.
"""

import os
import signal
import threading

from base.errors import InputError

VARIABLE = "SHORTLIST_FAILPOINT"
NAMES = frozenset(
    {
        "log.create.empty-file",  # a new log: its file is there and empty
        "log.create.before-tables",  # a new log: its header is written, not committed
        "log.create.after-tables",  # a new log: header and tables are committed
        "log.before-begin",  # a batch is checked, its transaction not begun
        "log.after-insert",  # all rows of items are written, in a transaction
        "log.before-prune",  # the batch is written, its transaction not committed
        "log.before-commit",  # old request ids are forgotten too
        "log.after-commit",  # the batch is durable, and nobody knows
        "log.before-close",
        "log.after-close",  # the file is closed, the directory still locked
        "compaction.before-items",  # the new bundle's directory is there and empty
        "compaction.before-index",  # it has models, items and vectors
        "compaction.after-index",  # it has both indexes
        "compaction.before-manifest",  # it has all but the manifest
        "compaction.after-manifest",  # it is whole, and not in its place
        "compaction.after-rename",  # it is in its place, and nobody uses it
        "compaction.before-cleaning",  # it is in use, its predecessors are still there
        "compaction.before-removal",  # a predecessor has no manifest, and all of its other files
        "compaction.after-cleaning",
    }
)


def _parse(text: str | None) -> tuple[str | None, int]:
    """The failpoint that kills, None for none, and at which passage.

    Raises:
        InputError: there is no such failpoint, or the count is not a whole number from 1.
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
    """Kill the process if this is the place and the passage that the environment names.

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
