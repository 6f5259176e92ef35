"""The time of a compiled program by kind of operation, from a trace of JAX's profiler.

The trace names each operation that XLA runs. The kind of an operation follows from its line in the
text of the compiled program, and from the computation that the line calls.
"""

import re
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
from jax.profiler import ProfileData, ProfileOptions

PASSES = 20  # traced passes; the median time of each operation is used

DENSE = "dense products"
ATTENTION = "attention: products and softmax"
# Kinds of operations, each with a pattern for the program's text. An operation has the kind of the
# first pattern that matches. XLA fuses the products and softmax of attention into one operation if
# possible. A norm consists of several operations; some of these also compute residual sums.
_KINDS = (
    (ATTENTION, r" dot\(.*lhs_batch_dims=\{\d| exponential\("),
    (DENSE, r" dot\("),
    ("attention: heads before tokens and back", r" transpose\("),
    ("GELU", r" erf\("),
    ("norms and residual sums", r"norm____(scale|bias)| rsqrt\(| reduce\(| subtract\("),
)
REST = "rest: biases, masks, embeddings, pooling"
KINDS = (*(kind for kind, _ in _KINDS), REST)


def by_kind(program: Any, call: Callable[[], Any]) -> dict[str, float]:
    """Return seconds of one pass by kind of operation; `call` runs the compiled program once."""
    kinds = dict(_classified(program.as_text()))
    jax.block_until_ready(call())
    options = ProfileOptions()
    options.python_tracer_level = 0  # tracing Python's calls would slow down the program
    with tempfile.TemporaryDirectory() as directory:
        with jax.profiler.trace(directory, profiler_options=options):
            for _ in range(PASSES):
                jax.block_until_ready(call())
        (file,) = Path(directory).rglob("*.xplane.pb")
        times = _durations(ProfileData.from_file(str(file)))
    seconds = dict.fromkeys(KINDS, 0.0)
    for operation, taken in times.items():
        # The quotient is the number of runs per pass: one for most operations, more in loops.
        seconds[kinds[operation]] += statistics.median(taken) * len(taken) / PASSES
    return seconds


def _classified(text: str) -> Iterator[tuple[str, str]]:
    """Yield the operations of a program's text, each with its kind."""
    bodies = {
        match[1]: match[0]
        for match in re.finditer(r"^%?(\S+) \([^\n]*\{\n.*?^\}", text, re.M | re.S)
    }
    for line in text.splitlines():
        if match := re.match(r"\s+(?:ROOT )?%(\S+) = ", line):
            called = re.search(r"calls=%([^\s,]+)", line)
            definition = line + (bodies[called[1]] if called else "")
            kinds = (kind for kind, pattern in _KINDS if re.search(pattern, definition))
            yield match[1], next(kinds, REST)


def _durations(profile: ProfileData) -> dict[str, list[float]]:
    """Return the seconds of each run of each XLA operation."""
    durations: dict[str, list[float]] = defaultdict(list)
    for plane in profile.planes:
        for line in plane.lines:
            for event in line.events:
                if any(name == "hlo_op" for name, _ in event.stats):
                    durations[event.name].append(event.duration_ns / 1e9)
    return durations
