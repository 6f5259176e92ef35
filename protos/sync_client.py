"""Derive the threaded client `shortlist/client` from the asyncio client `shortlist/aio`.

`python protos/generate.py` writes the result, and `python protos/generate.py --check` compares it
with the committed files.
"""

import re
from collections.abc import Sequence

HEADER = (
    "# Generated from the asyncio client by `python protos/generate.py`: change shortlist/aio.\n"
)

# Parts of docstrings of the module `aio` that RULES cannot translate: (asyncio text, threads text).
# Each asyncio text must occur exactly once.
OTHER_CLIENT = "`shortlist.aio` has the same client for asyncio.\n"
TEXTS = (
    (
        'The Python client for asyncio: `async with AsyncClient("127.0.0.1:50051") as client`.\n',
        'The Python client: `with Client("127.0.0.1:50051") as client: client.search("lamp")`.\n',
    ),
    ("`shortlist.client` has the same client for threads.\n", OTHER_CLIENT),
    (
        """for one event loop.

    Create the client inside the running event loop. Use it with `async with`, or await `close()`.
    Cancelling a task cancels the call that the task awaits.
""",
        """shared by all threads.

    The client is thread-safe; one client per process is enough. Use it with `with`, or call
    `close()`.
""",
    ),
)

# Patterns and their replacements, applied in this order to code and docstrings alike.
RULES = (
    (r"\basync (def|for|with)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\bAwaitable\[(\w+)\]", r"\1"),
    (r"(?m)^ *Awaitable,\n", ""),  # the import of Awaitable
    (r"\bAsync(Client|Connection|PeopleCalls|Iterable|Iterator)\b", r"\1"),
    (r"\bfrom shortlist\.aio\b", "from shortlist.client"),
    (r"\b__a(enter|exit)__\b", r"__\1__"),
    (r"\baiter\(", "iter("),
    (r"\bgrpc\.aio\.", "grpc."),
    (r"\bclose\(grace=None\)", "close()"),  # threaded channels have no `grace`
    (r"\bread_token_async\b", "read_token"),
    (r"\bimport asyncio\b", "import time"),
    (r"\basyncio\.sleep\b", "time.sleep"),
)

# Asyncio code that no rule has translated. Only OTHER_CLIENT may still match this pattern.
_ASYNC = re.compile(
    r"async|await|\baio\b|\ba(iter|next)\b|__a(enter|exit|iter|next)__", re.IGNORECASE
)


class UnknownAsyncCodeError(Exception):
    """The asyncio client contains code that no rule translates."""


def sync_source(source: str, texts: Sequence[tuple[str, str]] = ()) -> str:
    """Return the unformatted source of a threaded module for the source of an asyncio module.

    The result may import a name twice; `generate.py` lets ruff remove the second import.

    Args:
        source: The source of the asyncio module.
        texts: `TEXTS` for the module with the client.

    Raises:
        UnknownAsyncCodeError: An asyncio text of `texts` does not occur exactly once, or asyncio
            code remains.
    """
    for asyncio_text, threads_text in texts:
        if source.count(asyncio_text) != 1:
            raise UnknownAsyncCodeError(f"must occur exactly once:\n{asyncio_text}")
        source = source.replace(asyncio_text, threads_text)
    for pattern, replacement in RULES:
        source = re.sub(pattern, replacement, source)
    for number, line in enumerate(source.replace(OTHER_CLIENT, "\n").splitlines(), start=1):
        if _ASYNC.search(line):
            raise UnknownAsyncCodeError(f"no rule for line {number}: {line.strip()}")
    return HEADER + source
