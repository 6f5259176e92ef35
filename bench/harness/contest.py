"""Time contestants in turns on the same inputs, each in its own process.

With separate processes, the thread pools and allocators of one library cannot disturb another
library. Because contestants take turns, a change in the machine's speed affects all of them alike.
"""

import multiprocessing
import os
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import MappingProxyType
from typing import Any, TypeAlias
from unittest.mock import patch

import numpy as np

# The timed function of a contestant. It takes the task's arguments and returns the answer. It
# returns (seconds, answer) if only a part of the work is timed, or (seconds of each query, answer).
Work = Callable[..., Any]
# The setup function of a contestant. It runs once in the contestant's process, loads models, warms
# up, and returns the timed function.
Setup = Callable[..., Work]
# For each contestant by name: a module-level setup function and its arguments.
Setups: TypeAlias = Mapping[str, tuple[Setup, tuple[Any, ...]]]

_SETTLE_SECONDS = 0.3  # pause between turns, because thread pools spin for a while after work


@dataclass(frozen=True)
class Ratio:
    """One contestant's speed divided by another's: median, minimum and maximum over rounds."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f}× as fast [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True)
class Timed:
    """One contestant's times and answer.

    Attributes:
        seconds: The time of each round, or of each round and query, in seconds.
        answer: The answer of the last round.
    """

    seconds: np.ndarray
    answer: Any

    @property
    def median_seconds(self) -> float:
        """The median time of a round, in seconds."""
        return float(np.median(self._rounds))

    def percentile_ms(self, percent: float) -> float:
        """Return a percentile of the times of all queries of all rounds, in milliseconds."""
        return float(1e3 * np.percentile(self.seconds, percent))

    def faster_than(self, other: "Timed") -> Ratio:
        """Return this contestant's speed divided by another's, compared round by round."""
        ratios = other._rounds / self._rounds
        return Ratio(float(np.median(ratios)), float(ratios.min()), float(ratios.max()))

    @property
    def _rounds(self) -> np.ndarray:
        return self.seconds.reshape(len(self.seconds), -1).sum(axis=1)


def contest(
    setups: Setups,
    rounds: int,
    environments: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> dict[str, Timed]:
    """Time contestants in turns.

    Args:
        setups: A module-level setup function and its arguments, by contestant's name.
        rounds: Timed rounds per contestant; one untimed round precedes them.
        environments: Additional environment variables of the process, by contestant's name.
    """
    return dict(contests(setups, {"": ()}, rounds, environments))[""]


def contests(
    setups: Setups,
    tasks: Mapping[str, tuple[Any, ...]],
    rounds: int,
    environments: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> Iterator[tuple[str, dict[str, Timed]]]:
    """Time contestants on several tasks, one task after another; see `contest`.

    Args:
        setups: A module-level setup function and its arguments, by contestant's name.
        tasks: The arguments of the work, by task name.
        rounds: Timed rounds per contestant and task; one untimed round precedes them.
        environments: Additional environment variables of the process, by contestant's name.

    Yields:
        The name of a task, and the result of each contestant by name.
    """
    context = multiprocessing.get_context("spawn")
    children = {}
    for name, (setup, arguments) in setups.items():
        parent, child = context.Pipe()
        process = context.Process(target=_child, args=(child, setup, arguments), daemon=True)
        with patch.dict(os.environ, environments.get(name, {})):
            process.start()
        child.close()  # otherwise `_receive` would wait forever if the process died
        _receive(parent, name)  # wait, so that no contestant loads while another is timed
        children[name] = (parent, process)
    for task, arguments in tasks.items():
        seconds: dict[str, list[Any]] = {name: [] for name in setups}
        answers: dict[str, Any] = {}
        for turn in range(rounds + 1):
            for name, (pipe, _) in children.items():
                pipe.send(arguments)
                took, answers[name] = _receive(pipe, name)
                if turn:
                    seconds[name].append(took)
                time.sleep(_SETTLE_SECONDS)
        yield task, {name: Timed(np.array(seconds[name]), answers[name]) for name in setups}
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
