"""Failpoints: named places in the code where a test kills the process, to test crashes.

`SHORTLIST_FAILPOINT=log.before-commit` kills the process when it reaches that failpoint.
`SHORTLIST_FAILPOINT=log.before-commit:3` kills the process when it gets there for the third time.
The signal is SIGKILL, so nothing is flushed, closed or cleaned up. The variable is read once, on
import.
"""

import os
import signal
import threading

from base.errors import InputError

VARIABLE = "SHORTLIST_FAILPOINT"
NAMES = frozenset(
    {
        "log.create.empty-file",  # a new log: its file exists and is empty
        "log.create.before-tables",  # a new log: its header is written but not committed
        "log.create.after-tables",  # a new log: header and tables are committed
        "log.before-begin",  # a batch is checked; its transaction has not begun
        "log.after-insert",  # the rows of items are written; the transaction is still open
        "log.before-prune",  # the batch is written; its transaction is still open
        "log.before-commit",  # old request ids are removed too; the transaction is still open
        "log.after-commit",  # the batch is durable but not acknowledged
        "log.before-close",
        "log.after-close",  # the file is closed; the directory is still locked
        "events.before-begin",  # the events are checked; their transaction has not begun
        "events.after-insert",  # the events are written; the transaction is still open
        "events.before-commit",
        "events.after-commit",  # the events are durable but not acknowledged
        "events.after-erasure",  # a user's rows are removed; the file is not rewritten yet
        "events.after-rewrite",  # the file is rewritten; the log does not record this yet
        "compaction.before-items",  # the new bundle's directory exists and is empty
        "compaction.before-index",  # the new bundle has models, items and vectors
        "compaction.after-index",  # the new bundle has both indexes
        "compaction.before-manifest",  # the new bundle has all files except the manifest
        "compaction.after-manifest",  # the new bundle is complete, under a temporary name
        "compaction.after-rename",  # the new bundle has its final name but is not in use
        "compaction.before-cleaning",  # the new bundle is in use; older bundles still exist
        "compaction.before-removal",  # only the manifest of an older bundle is removed
        "compaction.after-cleaning",
    }
)


def _parse(text: str | None) -> tuple[str | None, int]:
    """Return the failpoint and its count; (None, 0) if no failpoint is named.

    With a count of 3, the process is killed when it reaches the failpoint for the third time.

    Raises:
        InputError: the failpoint does not exist, or the count is not a whole number of at least 1.
    """
    if not text:
        return None, 0
    name, colon, count = text.partition(":")
    if name not in NAMES:
        raise InputError(f"{VARIABLE}: no failpoint {name!r}; there are {', '.join(sorted(NAMES))}")
    if colon and not (count.isascii() and count.isdecimal() and int(count) >= 1):
        raise InputError(f"{VARIABLE}: {count!r} is no count; write NAME:3 for the third time")
    return name, int(count) if colon else 1


_active, _times_left = _parse(os.environ.get(VARIABLE))
_lock = threading.Lock()


def failpoint(name: str) -> None:
    """Kill the process if the environment variable names this failpoint and its count is reached.

    Args:
        name: One of `NAMES`.
    """
    if _active is not None:
        _reach(name)


def _reach(name: str) -> None:
    global _times_left  # noqa: PLW0603 - one process, one failpoint
    assert name in NAMES, f"failpoint {name} is not registered"
    if name != _active:
        return
    with _lock:
        _times_left -= 1
        if _times_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
