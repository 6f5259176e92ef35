"""Contestants in processes of their own, timed in turns on the same inputs.

A process each keeps the thread pools and allocators of one library from disturbing another's; turns
keep a machine that slows down or speeds up from favouring any of them.
"""

import multiprocessing
import os
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import MappingProxyType
from typing import Any, TypeAlias
from unittest.mock import patch

import numpy as np

# Does the work once and returns its answer; it is given a task where there are several. It may give
# the seconds that count, as (seconds, answer), where not all that it does counts.
Work = Callable[..., Any]
# Makes the work in its own process: loads models, warms up.
Setup = Callable[..., Work]
# By contestant's name, a module-level function and its arguments.
Setups: TypeAlias = Mapping[str, tuple[Setup, tuple[Any, ...]]]

_SETTLE_SECONDS = 0.3  # between turns: thread pools spin for a while after their work


@dataclass(frozen=True)
class Ratio:
    """How many times as fast as another a contestant was: median, least and most over rounds."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f}× [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True)
class Timed:
    """What one contestant did.

    Attributes:
        seconds: Of each round.
        answer: Of the last round.
    """

    seconds: Sequence[float]
    answer: Any

    def faster_than(self, other: "Timed") -> Ratio:
        """This contestant's speed over another's, round by round."""
        ratios = np.array(other.seconds) / np.array(self.seconds)
        return Ratio(float(np.median(ratios)), float(ratios.min()), float(ratios.max()))


def contest(
    setups: Setups,
    rounds: int,
    environments: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> dict[str, Timed]:
    """Let contestants do their work in turns.

    Args:
        setups: By name, a module-level function and its arguments.
        rounds: Times that each does its work, after one that does not count.
        environments: By name, variables that its process begins with beside all others.
    """
    return dict(contests(setups, {"": ()}, rounds, environments))[""]


def contests(
    setups: Setups,
    tasks: Mapping[str, tuple[Any, ...]],
    rounds: int,
    environments: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> Iterator[tuple[str, dict[str, Timed]]]:
    """Let contestants do several tasks, each in turns; task by task, as `contest` does.

    Args:
        setups: By name, a module-level function and its arguments.
        tasks: By name, what the work is called with.
        rounds: Times that each does each task, after one that does not count.
        environments: By name, variables that its process begins with beside all others.
    """
    context = multiprocessing.get_context("spawn")
    children = {}
    for name, (setup, arguments) in setups.items():
        ours, theirs = context.Pipe()
        process = context.Process(target=_child, args=(theirs, setup, arguments), daemon=True)
        with patch.dict(os.environ, environments.get(name, {})):
            process.start()
        theirs.close()  # so that a process that dies ends the wait for it
        _receive(ours, name)  # set up, one after the other: nobody loads while another is timed
        children[name] = (ours, process)
    for task, arguments in tasks.items():
        seconds: dict[str, list[float]] = {name: [] for name in setups}
        answers: dict[str, Any] = {}
        for turn in range(rounds + 1):
            for name, (pipe, _) in children.items():
                pipe.send(arguments)
                took, answers[name] = _receive(pipe, name)
                if turn:
                    seconds[name].append(took)
                time.sleep(_SETTLE_SECONDS)
        yield task, {name: Timed(seconds[name], answers[name]) for name in setups}
    for pipe, process in children.values():
        pipe.send(None)
        process.join()


def _child(pipe: Connection, setup: Setup, arguments: tuple[Any, ...]) -> None:
    try:
        work = setup(*arguments)
        pipe.send(None)
        while (task := pipe.recv()) is not None:
            start = time.perf_counter()
            answer = work(*task)
            seconds = time.perf_counter() - start
            if isinstance(answer, tuple):
                seconds, answer = answer
            pipe.send((seconds, answer))
    except Exception:
        pipe.send(RuntimeError(traceback.format_exc()))


def _receive(pipe: Connection, name: str) -> Any:
    try:
        message = pipe.recv()
    except EOFError:
        raise RuntimeError(f"{name}: its process died") from None
    if isinstance(message, Exception):
        raise RuntimeError(f"{name} failed") from message
    return message
