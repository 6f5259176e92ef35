"""A model compiled for a few fixed shapes.

XLA compiles one program for each shape. Serving and bulk encoding therefore pad to a few fixed
(batch, length) shapes, which can all be compiled before the first request.
"""

import logging
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeAlias, runtime_checkable

import jax
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Int, Int64, Num

from base.latency import LatencyEstimate
from bert.batch import Tokens

logger = logging.getLogger(__name__)

# Lengths that serving pads rows to.
LENGTHS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
# Lengths that bulk encoding pads rows to. Compared with `LENGTHS`, they save an eighth of the
# tokens, but need more programs. Bulk encoding runs so long that the saved time exceeds the time of
# compiling these programs.
BULK_LENGTHS = (
    8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 36, 40, 48, 56, 64, 80, 96, 112, 128, 160,
    192, 256, 384, 512
)  # fmt: skip

# Fixed time of a call (dispatch, and reading the weights once), measured in tokens: computing this
# number of tokens takes the same time.
_CALL_TOKENS = 32
# Number of batches computed in parallel. While the threads of one batch wait for each other, the
# other batch computes.
_PARALLEL_BATCHES = 2


# A named tuple of arrays with one row per input of the model, such as `bert.batch.Tokens`. The
# second axis of its first array is the padded length.
Batch: TypeAlias = tuple[Any, ...]


@runtime_checkable
class Rows(Protocol):
    """Input rows of a model, such as `bert.tokens.Tokenised` or `bert.packing.PackedTexts`."""

    @property
    def lengths(self) -> Int64[np.ndarray, " rows"]:
        """Number of tokens (or of events) in each row."""

    def __len__(self) -> int: ...

    def pad(
        self, rows: Int[np.ndarray, " chosen"] | Sequence[int], length: int, batch: int
    ) -> Batch:
        """Put the chosen rows into a NumPy batch; the other rows of the batch are padding."""


@runtime_checkable
class Forward(Protocol):
    """A model that takes any number of rows, of any length."""

    def __call__(self, tokenised: Rows) -> Num[np.ndarray, "rows ..."]:
        """Return the model's result for every row, in order."""

    def seconds(self, lengths: Int64[np.ndarray, " rows"]) -> float:
        """Estimate the time to compute rows of these lengths; 0 without any measurement."""


class Programs:
    """The programs that a function is compiled to, one for each shape, and their latencies.

    Attributes:
        jitted: The function, as `jax.jit` returns it.
        compiled: Programs by (batch, length).
        latencies: Latency estimates of the programs, by (batch, length).
        padding: Returns a batch of padding of a size and length.
    """

    def __init__(
        self,
        fn: Callable[[Any, Any], Array],
        structure: Any,
        padding: Callable[[int, int], Batch],
    ) -> None:
        def call(leaves: list[Array], tokens: Batch) -> Array:
            return fn(jax.tree.unflatten(structure, leaves), tokens)

        self.padding = padding
        self.jitted = jax.jit(call)
        self.compiled: dict[tuple[int, int], Any] = {}
        self.latencies: defaultdict[tuple[int, int], LatencyEstimate] = defaultdict(LatencyEstimate)
        self._compiling: defaultdict[tuple[int, int], threading.Lock] = defaultdict(threading.Lock)

    def get(self, leaves: list[Array], batch: int, length: int) -> Any:
        """Return the program for a shape; compile it at the first call."""
        with self._compiling[batch, length]:
            if (batch, length) not in self.compiled:
                logger.debug("compiling: batch=%d length=%d", batch, length)
                lowered = self.jitted.lower(leaves, self.padding(batch, length))
                self.compiled[batch, length] = lowered.compile()
            return self.compiled[batch, length]


def token_padding(batch: int, length: int) -> Batch:
    """Return a batch of padding of `Tokens`."""
    ids = np.zeros((batch, length), np.int32)
    return Tokens(ids, np.zeros((batch, length), np.bool_), ids)


class BucketedForward:
    """A model that takes any number of rows, of any length, and runs in a few fixed shapes.

    A row is padded to the shortest of `lengths` that it fits. Without `mix_lengths`, the other rows
    of a call do not affect this length. They change the row's result only by rounding errors.

    Attributes:
        lengths: Lengths that rows are padded to, ascending.
        shapes: Every possible (batch, length).
        programs: The compiled programs; another forward may share them.
        compilations: Number of programs compiled so far, including those compiled by other forwards
            that share `programs`.
    """

    def __init__(
        self,
        fn: "Callable[[Any, Any], Array] | Programs",
        state: Any,
        *,
        max_length: int,
        lengths: Sequence[int] = LENGTHS,
        batch_tokens: int = 1024,
        small_batches: tuple[int, ...] = (1, 8),
        mix_lengths: bool = False,
        padding: Callable[[int, int], Batch] = token_padding,
    ) -> None:
        """Prepare, without compiling anything.

        Args:
            fn: A pure function `fn(state, tokens)`, which returns an array with the batch as its
                first axis. Alternatively, the `programs` of another forward whose state has the
                same structure and shapes.
            state: The model's parameters, a pytree; passed to `fn` on every call.
            max_length: Maximum tokens of a row. The model must have at least as many positions.
            lengths: Lengths to pad to. `max_length` replaces all lengths of `max_length` or more.
            batch_tokens: Tokens of a full batch, padding included.
            small_batches: Smaller batch sizes, in rows, for rows that do not fill a batch.
            mix_lengths: Put rows of several lengths into one batch, padded to the longest row.
                Nearly all batches are then full, but a row's padding depends on other rows.
            padding: Returns a batch of padding of a size and length.
        """
        leaves, structure = jax.tree.flatten(state)
        # Flatten the state once: flattening it in Python on every call takes longer.
        self._leaves = [jax.device_put(leaf) for leaf in leaves]

        self.programs = fn if isinstance(fn, Programs) else Programs(fn, structure, padding)
        self._mix_lengths = mix_lengths
        self.lengths = [length for length in lengths if length < max_length] + [max_length]
        self._batches = {}
        self._first = {}
        for length in self.lengths:
            full = max(1, batch_tokens // length)
            self._batches[length] = [size for size in sorted(small_batches) if size < full] + [full]
            self._first[length] = _first_batches(self._batches[length], length)
        self.shapes = [
            (batch, length) for length in self.lengths for batch in self._batches[length]
        ]

    @property
    def compilations(self) -> int:
        """Number of programs compiled so far."""
        return len(self.programs.compiled)

    def __call__(self, tokenised: Rows) -> Num[np.ndarray, "rows ..."]:
        """Compute the result of every row.

        Returns:
            The results of `fn`, in the order of the rows.

        Raises:
            ValueError: a row is longer than `max_length`.
        """

        def run(batch: tuple[Int64[np.ndarray, " chosen"], int, int]) -> np.ndarray:
            rows, size, length = batch
            return np.asarray(self.start(tokenised.pad(rows, length, size)))[: len(rows)]

        batches = list(self._batch(tokenised.lengths))
        results = None
        with ThreadPoolExecutor(_PARALLEL_BATCHES) as pool:
            for (rows, *_), values in zip(batches, pool.map(run, batches), strict=True):
                if results is None:
                    results = np.empty((len(tokenised), *values.shape[1:]), values.dtype)
                results[rows] = values
        return self._empty() if results is None else results

    def buckets(self, lengths: Int64[np.ndarray, " rows"]) -> Int64[np.ndarray, " rows"]:
        """Return the index in `lengths` of the length that each row is padded to.

        Raises:
            ValueError: a row is longer than the longest of `lengths`.
        """
        if len(lengths) and lengths.max() > self.lengths[-1]:
            row = int(lengths.argmax())
            raise ValueError(
                f"row {row} has {lengths[row]} tokens, more than max_length {self.lengths[-1]}"
            )
        return np.searchsorted(self.lengths, lengths).astype(np.int64)

    def batch_size(self, rows: int, length: int) -> int:
        """Return the size of the first batch in the fastest division of `rows` into batches."""
        return self._first[length][min(rows, self._batches[length][-1])]

    def rows_within(self, seconds: float, length: int) -> int:
        """Return the largest batch size that fits in `seconds`; if none fits, the smallest."""
        smallest, *larger = self._batches[length]
        return max(
            [
                smallest,
                *(
                    size
                    for size in larger
                    if self.programs.latencies[size, length].seconds <= seconds
                ),
            ]
        )

    def start(self, tokens: Batch) -> Array:
        """Start to compute one batch, whose shape is one of `shapes`."""
        batch, length = tokens[0].shape[:2]
        program = self.programs.get(self._leaves, batch, length)
        result: Array = program(self._leaves, tokens)
        return result

    def least_seconds(self, length: int) -> float:
        """Estimate the time to compute the smallest batch of a length; 0 before `warm_up`."""
        return self.programs.latencies[self._batches[length][0], length].seconds

    def seconds(self, lengths: Int64[np.ndarray, " rows"]) -> float:
        """Estimate the time to compute rows of these lengths; 0 before `warm_up`."""
        counts = np.bincount(self.buckets(lengths), minlength=len(self.lengths)).tolist()
        return sum(map(self.seconds_of, counts, self.lengths), 0.0)

    def seconds_of(self, rows: int, length: int) -> float:
        """Estimate the time to compute rows that are padded to one length; 0 before `warm_up`."""
        seconds = 0.0
        while rows > 0:
            batch = self.batch_size(rows, length)
            seconds += self.programs.latencies[batch, length].seconds
            rows -= batch
        return seconds

    def measured(self, shape: tuple[int, int], seconds: float) -> None:
        """Record the time that one batch of a shape took."""
        self.programs.latencies[shape].add(seconds)

    def update(self, state: Any) -> None:
        """Replace the parameters with others of the same shapes; nothing is compiled again."""
        self._leaves = [jax.device_put(leaf) for leaf in jax.tree.leaves(state)]

    def warm_up(self, before_each: Callable[[], object] = lambda: None) -> None:
        """Compile and time every shape that has no latency estimate yet.

        Args:
            before_each: Called before each shape, on several threads. An exception that it raises
                ends the work.
        """
        fresh = [shape for shape in self.shapes if not self.programs.latencies[shape].seconds]

        def prepare(shape: tuple[int, int]) -> None:
            before_each()
            batch = self.programs.padding(*shape)
            self.start(batch).block_until_ready()  # the first run is slower than later ones

        # Threads help: reading a compiled program and running it release the interpreter's lock.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(prepare, fresh))
        for shape in fresh:
            before_each()
            batch, start = self.programs.padding(*shape), time.perf_counter()
            self.start(batch).block_until_ready()
            self.measured(shape, time.perf_counter() - start)

    def _batch(
        self, lengths: Int64[np.ndarray, " rows"]
    ) -> Iterator[tuple[Int64[np.ndarray, " chosen"], int, int]]:
        """Divide the rows into batches; yield (row numbers, batch size, length)."""
        buckets = self.buckets(lengths)
        order = np.argsort(-buckets, kind="stable")
        longest_first = -buckets[order]
        start = 0
        while start < len(order):
            shortest = longest_first[start] if not self._mix_lengths else 0
            rows = order[start : np.searchsorted(longest_first, shortest, side="right")]
            length = self.lengths[buckets[order[start]]]
            size = self.batch_size(len(rows), length)
            yield rows[:size], size, length
            start += len(rows[:size])

    def _empty(self) -> np.ndarray:
        batch = self.programs.padding(1, self.lengths[0])
        result = jax.eval_shape(self.programs.jitted, self._leaves, batch)
        return np.empty((0, *result.shape[1:]), result.dtype)


def _first_batches(sizes: Sequence[int], length: int) -> list[int]:
    """Compute the result of `batch_size` for each number of rows up to the largest batch size.

    The time of a batch is assumed to be proportional to its tokens plus `_CALL_TOKENS`.
    """
    cost, first = [0], [0]  # indexed by number of rows: least cost, and size of the first batch
    for rows in range(1, sizes[-1] + 1):
        costs = {size: size * length + _CALL_TOKENS + cost[max(0, rows - size)] for size in sizes}
        first.append(max(sizes, key=lambda size: (-costs[size], size)))
        cost.append(costs[first[-1]])
    return first


def serving_state(model: nnx.Module, dtype: DTypeLike) -> Any:
    """Convert the kernels of a model's encoders to the input type of matrix products.

    Training keeps float32. Serving converts the kernels once. To convert them on every call would
    take as long as the rest of encoding a short query.
    """
    return nnx.from_flat_state(
        [
            (path, leaf.replace(leaf[...].astype(dtype)) if _is_encoder_kernel(path) else leaf)
            for path, leaf in nnx.to_flat_state(nnx.state(model))
        ]
    )


def _is_encoder_kernel(path: Sequence[Any]) -> bool:
    return "layers" in path and path[-1] == "kernel"
