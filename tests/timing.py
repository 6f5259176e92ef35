"""A clock that tests advance, and waits for other threads, processes and tasks."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

SOON = 30.0  # timeout in seconds; only a hang takes longer


class Clock:
    """A clock that only the test advances.

    Attributes:
        seconds: The time.
    """

    def __init__(self, seconds: float = 1_000.0) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds


def eventually(holds: Callable[[], Any], seconds: float = SOON) -> Any:
    """Call a function until its result is true, and return this result."""
    end = time.monotonic() + seconds
    while not (result := holds()):
        assert time.monotonic() < end, f"not true within {seconds:g} s"
        time.sleep(0.005)  # polls, because files, processes and metrics send no event
    return result


async def turn() -> None:
    """Let every task that can run do so, up to its next wait."""
    await asyncio.sleep(0)  # asyncio has no other way to give up a turn
