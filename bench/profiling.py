"""The time of a compiled program by kind of operation, from a trace of JAX's profiler.

The trace names each operation that XLA runs. The kind of an operation follows from the text of the
compiled program: from the operation itself and from the computation that it calls.
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

PASSES = 20  # traced passes; the median time of an operation counts

DENSE = "dense products"
ATTENTION = "attention: products and softmax"
# The first whose pattern is found; XLA makes one operation of attention's two products and its
# softmax where it can, and norms are several, with residual sums among them.
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
    options.python_tracer_level = 0  # Python's own calls would slow down what is measured
    with tempfile.TemporaryDirectory() as directory:
        with jax.profiler.trace(directory, profiler_options=options):
            for _ in range(PASSES):
                jax.block_until_ready(call())
        (file,) = Path(directory).rglob("*.xplane.pb")
        times = _durations(ProfileData.from_file(str(file)))
    seconds = dict.fromkeys(KINDS, 0.0)
    for operation, taken in times.items():
        # Nearly always once a pass; the quotient is right for those in a loop too.
        seconds[kinds[operation]] += statistics.median(taken) * len(taken) / PASSES
    return seconds


def _classified(text: str) -> Iterator[tuple[str, str]]:
    """Yield the operations of a program's text, each with its kind."""
    bodies = {
        found[1]: found[0]
        for found in re.finditer(r"^%?(\S+) \([^\n]*\{\n.*?^\}", text, re.M | re.S)
    }
    for line in text.splitlines():
        if found := re.match(r"\s+(?:ROOT )?%(\S+) = ", line):
            called = re.search(r"calls=%([^\s,]+)", line)
            whole = line + (bodies[called[1]] if called else "")
            fits = (kind for kind, pattern in _KINDS if re.search(pattern, whole))
            yield found[1], next(fits, REST)


def _durations(profile: ProfileData) -> dict[str, list[float]]:
    """Return the seconds of each run of each XLA operation."""
    found: dict[str, list[float]] = defaultdict(list)
    for plane in profile.planes:
        for line in plane.lines:
            for event in line.events:
                if any(name == "hlo_op" for name, _ in event.stats):
                    found[event.name].append(event.duration_ns / 1e9)
    return found
