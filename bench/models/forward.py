"""Compare the speed of forward passes and a training step with the processor's peak rate.

    python -m bench.models.forward
    python -m bench.models.forward --profile

The peak rate is the speed of one large matrix product with the same input type, measured in the
same run. The share of the peak rate counts only operations of dense layers on real tokens. Time
spent on padding, attention, GELU, softmax and norms lowers the share. With `--profile`, the program
prints the time of a forward pass by kind of operation instead (`bench/models/profiling.py`).
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
import tyro
from flax import nnx

from bench.harness import inputs
from bench.harness.machine import machine
from bench.harness.output import say
from bench.models import ours, profiling
from bench.models.training.ours import train_towers
from bert.batch import Tokens
from bert.compiled import serving_state
from bert.config import BertConfig
from bert.model import Bert
from bert.numerics import choose_numerics, product_rates
from bert.params import DEFAULT_PRETRAINED, load_bert, resolve_pretrained
from train.loop.huge_pages import restart_with_huge_pages

# Batch sizes and lengths in tokens.
SHAPES = ((1, 16), (8, 16), (64, 16), (42, 24), (85, 24), (32, 32), (64, 32), (32, 64), (16, 128))
# Shapes for --profile: a batch of bulk encoding, and a batch of packed rows of the reranker.
PROFILED = ((38, 20), (21, 48))
_REPEATS = 7
_STEPS = 6


def operations(config: BertConfig, tokens: int) -> int:
    """Count the floating-point operations of the dense layers in one forward pass."""
    layer = 4 * config.hidden_size**2 + 2 * config.hidden_size * config.intermediate_size
    return 2 * tokens * config.num_layers * layer


def seconds(call: Callable[[], Any]) -> float:
    """Return the median time of several calls, after one warm-up call."""
    times = []
    for _ in range(_REPEATS + 1):
        start = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


@dataclass(frozen=True)
class ForwardConfig:
    """Options of `python -m bench.models.forward`."""

    profile: bool = False  # print times by kind of operation, not shares of the peak rate


class Forward:
    """MiniLM's forward pass as in serving, compiled separately for each shape."""

    def __init__(self) -> None:
        """Load the pretrained model."""
        self.numerics = choose_numerics()
        bert = load_bert(resolve_pretrained(DEFAULT_PRETRAINED))
        self.config, graph = bert.config, nnx.graphdef(bert)
        self._state = serving_state(bert, self.numerics.input_dtype)

        def run(state: Any, tokens: Tokens) -> jax.Array:
            model: Bert = nnx.merge(graph, state)
            return model(tokens, dtype=self.numerics.input_dtype)

        self._run = jax.jit(run)

    def compiled(self, batch: int, length: int) -> tuple[Any, Callable[[], Any]]:
        """Return the compiled program for a batch without padding, and a function that runs it."""
        ids = np.full((batch, length), 2000, np.int32)
        tokens = Tokens(ids, np.ones_like(ids, np.bool_), np.zeros_like(ids))
        program = self._run.lower(self._state, tokens).compile()
        return program, partial(program, self._state, tokens)


def shares(forward: Forward) -> None:
    """Print the shares of the peak rate as a table."""
    # Take the maximum of several measurements, because other load can only lower a rate.
    rate = max(product_rates()[forward.numerics.dtype] for _ in range(_REPEATS))

    def row(work: str, duration: float, count: int) -> None:
        reached = count / duration
        say(f"| {work} | {duration * 1e3:.1f} | {reached / 1e9:.0f} | {reached / rate:.0%} |")

    say(f"{forward.numerics.dtype}, one large product at {rate / 1e9:.0f} GFLOP/s")
    say("| work | ms | GFLOP/s | share |\n| --- | --- | --- | --- |")
    for batch, length in SHAPES:
        taken = seconds(forward.compiled(batch, length)[1])
        row(
            f"forward, {batch} × {length} tokens", taken, operations(forward.config, batch * length)
        )
    pairs = inputs.judged(64 * (_STEPS + 1), relevant=True)
    step = train_towers(pairs, _STEPS)
    step()
    tokens_of_step = round(64 * ours.token_counts(pairs))
    # A step has a forward pass, and a backward pass with twice as many operations.
    count = 3 * operations(forward.config, tokens_of_step)
    row("training step, 64 pairs", step()[0] / _STEPS, count)


def profile(forward: Forward) -> None:
    """Print the time by kind of operation as a table."""
    config = forward.config
    columns = []
    for batch, length in PROFILED:
        program, call = forward.compiled(batch, length)
        taken, kinds = seconds(call), profiling.by_kind(program, call)
        # Attention multiplies queries by keys, and attention weights by values.
        small = 4 * batch * length**2 * config.hidden_size * config.num_layers
        counts = {profiling.DENSE: operations(config, batch * length), profiling.ATTENTION: small}
        total, cost = sum(kinds.values()), program.cost_analysis()
        cells = []
        for kind, spent in kinds.items():
            reached = f", {counts[kind] / spent / 1e9:.0f} GFLOP/s" if kind in counts else ""
            cells.append(f"{spent * 1e3:.2f} ms, {spent / total:.0%}{reached}")
        cells += [f"{total * 1e3:.1f} ms", f"{taken * 1e3:.1f} ms"]
        cells.append(f"{cost['flops'] / 1e9:.1f} GFLOP, {cost['bytes accessed'] / 1e6:.0f} MB")
        columns.append(cells)
    names = (*profiling.KINDS, "total", "a pass without the profiler", "XLA's cost analysis")
    say("| | " + " | ".join(f"{batch} × {length} tokens" for batch, length in PROFILED) + " |")
    say("| --- |" + " --- |" * len(PROFILED))
    for name, *cells in zip(names, *columns, strict=True):
        say("| " + " | ".join((name, *cells)) + " |")


def main(config: ForwardConfig) -> None:
    """Print the machine and a table."""
    say(str(machine()))
    (profile if config.profile else shares)(Forward())


if __name__ == "__main__":
    restart_with_huge_pages()  # training uses huge pages, too
    main(tyro.cli(ForwardConfig, prog="python -m bench.models.forward"))
