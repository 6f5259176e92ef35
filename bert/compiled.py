"""Fixed shapes for XLA, and the cache of compiled programs.

XLA compiles a program for every shape. Serving and bulk encoding therefore pad to a few fixed
(batch, length) shapes, which can all be compiled before the first request.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental.compilation_cache import compilation_cache
from jaxtyping import Array, Float, Int64, Num

from bert.model import Tokens
from bert.tokens import Framed

logger = logging.getLogger(__name__)

LENGTHS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)

# What a call costs beside its tokens, in tokens: dispatch, and reading the weights once.
_CALL_TOKENS = 32
# Batches handed to XLA and not yet fetched: the next is padded while the last is computed.
_IN_FLIGHT = 3


class BucketedForward:
    """Runs a model over rows of any length and number, in a few fixed shapes.

    A row goes to the shortest length that holds it, so its length depends on the row alone; what
    shares its batch changes its result by rounding only.

    Attributes:
        shapes: every (batch, length) there can be.
        compilations: programs compiled so far.
    """

    def __init__(
        self,
        fn: Callable[..., Array],
        state: Any,
        *,
        max_length: int,
        batch_tokens: int = 2048,
        small_batches: tuple[int, ...] = (1, 8),
    ) -> None:
        """Prepare, without compiling anything.

        Args:
            fn: `fn(state, tokens, *extras)` to an array with the batch as its leading axis; pure.
            state: the model's parameters, a pytree; passed to `fn` on every call.
            max_length: the most tokens of a row; the model has at least as many positions.
            batch_tokens: tokens of a full batch.
            small_batches: batch sizes, in rows, for what is left after full batches.
        """
        leaves, structure = jax.tree.flatten(state)
        # A list of leaves: flattening a model's state in Python on every call costs more.
        self._leaves = [jax.device_put(leaf) for leaf in leaves]

        def call(leaves: list[Array], tokens: Tokens, *extras: Array) -> Array:
            return fn(jax.tree.unflatten(structure, leaves), tokens, *extras)

        self._jitted = jax.jit(call)
        self._programs: dict[tuple[Any, ...], Any] = {}
        self._lengths = [length for length in LENGTHS if length < max_length] + [max_length]
        self._batches = {}
        for length in self._lengths:
            full = max(1, batch_tokens // length)
            self._batches[length] = [size for size in sorted(small_batches) if size < full] + [full]
        self.shapes = [
            (batch, length) for length in self._lengths for batch in self._batches[length]
        ]

    @property
    def compilations(self) -> int:
        """Programs compiled so far."""
        return len(self._programs)

    def __call__(
        self, framed: Framed, *extras: Num[np.ndarray, "rows ..."]
    ) -> Num[np.ndarray, "rows ..."]:
        """Run every row.

        Args:
            framed: the rows.
            *extras: further inputs, passed on as float32; a row of each for every row of `framed`.

        Returns:
            What `fn` returned, in the order of the input.

        Raises:
            ValueError: a row is longer than `max_length`, or an extra has another number of rows.
        """
        if any(len(extra) != len(framed) for extra in extras):
            raise ValueError(
                f"extras of {[len(extra) for extra in extras]} rows, not {len(framed)}"
            )
        extras = tuple(np.asarray(extra, np.float32) for extra in extras)
        results = None
        running: deque[tuple[Int64[np.ndarray, " chosen"], Array]] = deque()
        for rows, batch, length in self._cut(framed.lengths):
            tokens = framed.pad(rows, length, batch)
            running.append((rows, self._run(tokens, [_pad(x[rows], batch) for x in extras])))
            if results is None:
                result = running[0][1]
                results = np.empty((len(framed), *result.shape[1:]), result.dtype)
            if len(running) == _IN_FLIGHT:
                _fetch(running, results)
        if results is None:
            return self._nothing(extras)
        while running:
            _fetch(running, results)
        return results

    def update(self, state: Any) -> None:
        """Run on other parameters of the same shapes from now on; nothing is compiled again."""
        self._leaves = [jax.device_put(leaf) for leaf in jax.tree.leaves(state)]

    def warm_up(self, *extra_shapes: tuple[int, ...]) -> None:
        """Compile every shape.

        Args:
            *extra_shapes: the shape of each extra input, without its leading axis.
        """
        for batch, length in self.shapes:
            self._program(batch, length, extra_shapes)

    def _cut(
        self, lengths: Int64[np.ndarray, " rows"]
    ) -> Iterator[tuple[Int64[np.ndarray, " chosen"], int, int]]:
        """Cut the rows into batches: (row numbers, batch size, length)."""
        if len(lengths) and lengths.max() > self._lengths[-1]:
            row = int(lengths.argmax())
            raise ValueError(
                f"row {row} has {lengths[row]} tokens, more than max_length {self._lengths[-1]}"
            )
        buckets = np.searchsorted(self._lengths, lengths)
        order = np.argsort(buckets, kind="stable")
        starts = np.searchsorted(buckets[order], np.arange(len(self._lengths) + 1))
        for bucket, length in enumerate(self._lengths):
            rows = order[starts[bucket] : starts[bucket + 1]]
            while len(rows):
                batch = _batch_size(len(rows), length, self._batches[length])
                yield rows[:batch], batch, length
                rows = rows[batch:]

    def _run(self, tokens: Tokens, extras: list[Float[np.ndarray, "batch ..."]]) -> Array:
        batch, length = tokens.ids.shape
        program = self._program(batch, length, tuple(extra.shape[1:] for extra in extras))
        result: Array = program(self._leaves, tokens, *extras)
        return result

    def _program(self, batch: int, length: int, extra_shapes: tuple[tuple[int, ...], ...]) -> Any:
        key = (batch, length, extra_shapes)
        if key not in self._programs:
            logger.debug("compiling for %d rows of %d tokens", batch, length)
            inputs = _inputs(batch, length, extra_shapes)
            self._programs[key] = self._jitted.lower(self._leaves, *inputs).compile()
        return self._programs[key]

    def _nothing(self, extras: tuple[Float[np.ndarray, "rows ..."], ...]) -> np.ndarray:
        inputs = _inputs(1, self._lengths[0], tuple(extra.shape[1:] for extra in extras))
        result = jax.eval_shape(self._jitted, self._leaves, *inputs)
        return np.empty((0, *result.shape[1:]), result.dtype)


def enable_compilation_cache(directory: Path | None) -> None:
    """Keep compiled programs in a directory, for this process and later ones.

    Args:
        directory: created when needed; None switches the cache off.
    """
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
    settings = {
        "jax_compilation_cache_dir": None if directory is None else str(directory),
        # Small programs take longer to compile than to read, too.
        "jax_persistent_cache_min_compile_time_secs": 0.1,
        "jax_persistent_cache_min_entry_size_bytes": 0,
        # XLA's own caches would put the directory's path into every key: a cache that was moved or
        # is mounted elsewhere would be of no use.
        "jax_persistent_cache_enable_xla_caches": "none",
    }
    for name, value in settings.items():
        jax.config.update(name, value)  # type: ignore[no-untyped-call]
    # JAX decides at the first compilation whether it has a cache; it may have decided by now.
    compilation_cache.reset_cache()


def _batch_size(rows: int, length: int, sizes: list[int]) -> int:
    """The size that costs least for each of the rows it takes."""
    return min(sizes, key=lambda size: (size * length + _CALL_TOKENS) / min(size, rows))


def _inputs(batch: int, length: int, extra_shapes: tuple[tuple[int, ...], ...]) -> list[Any]:
    ids = np.zeros((batch, length), np.int32)
    extras = [np.zeros((batch, *shape), np.float32) for shape in extra_shapes]
    return [Tokens(ids, np.zeros((batch, length), np.bool_), ids), *extras]


def _pad(rows: Float[np.ndarray, "rows ..."], batch: int) -> Float[np.ndarray, "batch ..."]:
    padded = np.zeros((batch, *rows.shape[1:]), np.float32)
    padded[: len(rows)] = rows
    return padded


def _fetch(running: deque[tuple[Any, Array]], results: np.ndarray) -> None:
    rows, result = running.popleft()
    results[rows] = np.asarray(result)[: len(rows)]
