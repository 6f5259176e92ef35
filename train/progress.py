"""Progress of long work: a bar on a terminal, plain lines otherwise."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_LINES = 10  # plain lines for one piece of work

T = TypeVar("T")


def track(
    iterable: Iterable[T], description: str, total: int, *, console: Console | None = None
) -> Iterator[T]:
    """Pass the elements of `iterable` on and show how many of `total` are done.

    Args:
        iterable: What is worked through; an element counts as done when the next is asked for.
        description: What is being done, in a word or two.
        total: How many elements there are.
        console: Where to show it; standard error by default. A bar where that is a terminal,
            a line about every tenth of the way where it is not (a file, a pipe, CI).
    """
    console = console or Console(stderr=True)
    show = _bar if console.is_terminal else _lines
    return show(iterable, description, total, console)


def _bar(iterable: Iterable[T], description: str, total: int, console: Console) -> Iterator[T]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield from progress.track(iterable, total=total, description=description)


def _lines(iterable: Iterable[T], description: str, total: int, console: Console) -> Iterator[T]:
    start = time.monotonic()
    for done, element in enumerate(iterable, start=1):
        yield element
        # A line whenever another tenth is full, the last one included.
        if done * _LINES // total > (done - 1) * _LINES // total:
            seconds = time.monotonic() - start
            console.print(
                f"{description}: {done:,} of {total:,} ({done / total:.0%}) in {seconds:.0f} s",
                highlight=False,
                soft_wrap=True,
            )
