"""How near the model comes to the processor's own rate: forward passes and a training step.

    python -m bench.forward

The rate to compare with is that of one large dense product in the same numerics, measured here and
now. Operations counted are those of the model's dense products on real tokens alone, so padding,
attention, GELU, softmax and norms all lower the share.
"""

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from flax import nnx

from bench import inputs, ours
from bert.batch import Tokens
from bert.compiled import serving_state
from bert.config import BertConfig
from bert.model import Bert
from bert.numerics import choose_numerics, product_rates
from bert.params import DEFAULT_PRETRAINED, load_bert, resolve_pretrained
from train.huge_pages import restart_with_huge_pages

SHAPES = ((1, 16), (8, 16), (64, 16), (42, 24), (85, 24), (32, 32), (64, 32), (32, 64), (16, 128))
_REPEATS = 7
_STEPS = 6


def operations(config: BertConfig, tokens: int) -> int:
    """Floating-point operations of the dense products of one forward pass."""
    layer = 4 * config.hidden_size**2 + 2 * config.hidden_size * config.intermediate_size
    return 2 * tokens * config.num_layers * layer


def seconds(call: Callable[[], Any]) -> float:
    """Median over repeats, after a call that does not count."""
    taken = []
    for _ in range(_REPEATS + 1):
        start = time.perf_counter()
        jax.block_until_ready(call())
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


def main() -> None:
    """Print a table."""
    numerics = choose_numerics()
    rate = product_rates()[numerics.dtype]
    bert = load_bert(resolve_pretrained(DEFAULT_PRETRAINED))
    graph, state = nnx.graphdef(bert), serving_state(bert, numerics.input_dtype)

    def run(state: Any, tokens: Tokens) -> jax.Array:
        model: Bert = nnx.merge(graph, state)
        return model(tokens, dtype=numerics.input_dtype)

    def row(work: str, taken: float, done: int) -> None:
        reached = done / taken
        cells = (work, f"{taken * 1e3:.1f}", f"{reached / 1e9:.0f}", f"{reached / rate:.0%}")
        sys.stdout.write("| " + " | ".join(cells) + " |\n")

    sys.stdout.write(f"{numerics.dtype}: {numerics.why}\n")
    sys.stdout.write("| work | ms | GFLOP/s | share |\n| --- | --- | --- | --- |\n")
    for batch, length in SHAPES:
        ids = np.full((batch, length), 2000, np.int32)
        tokens = Tokens(ids, np.ones_like(ids, np.bool_), np.zeros_like(ids))
        program = jax.jit(run).lower(state, tokens).compile()
        taken = seconds(partial(program, state, tokens))
        row(f"forward, {batch} × {length} tokens", taken, operations(bert.config, batch * length))
    pairs = inputs.judged(64 * (_STEPS + 1), relevant=True)
    step = ours.train_towers(pairs, _STEPS)
    step()
    tokens_of_step = round(64 * ours.token_counts(pairs))
    done = 3 * operations(bert.config, tokens_of_step)  # forward, and two products backward
    row("training step, 64 pairs", step()[0] / _STEPS, done)


if __name__ == "__main__":
    restart_with_huge_pages()  # as `python -m train` does
    main()
