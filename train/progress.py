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

_LINES = 10  # number of plain lines for all elements

T = TypeVar("T")


def track(
    iterable: Iterable[T], description: str, total: int, *, console: Console | None = None
) -> Iterator[T]:
    """Yield the elements of `iterable`, and show how many of `total` are done.

    Args:
        iterable: The elements. An element is done when the caller asks for the next one.
        description: The work, in one or two words.
        total: Number of elements.
        console: The output, standard error by default. A terminal shows a bar. Another output (a
            file, a pipe, CI) gets a line for every tenth of the elements.
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
        # Print a line after each tenth, including the last.
        if done * _LINES // total > (done - 1) * _LINES // total:
            seconds = time.monotonic() - start
            console.print(
                f"{description}: {done:,} of {total:,} ({done / total:.0%}) in {seconds:.0f} s",
                highlight=False,
                soft_wrap=True,
            )
