"""Fixed shapes for XLA, and the cache of compiled programs.

XLA compiles a program for every shape. Serving and bulk encoding therefore pad to a few fixed
(batch, length) shapes, which can all be compiled before the first request.
"""

import hashlib
import logging
import os
import platform
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import jax
import numpy as np
from flax import nnx
from jax.experimental.compilation_cache import compilation_cache
from jax.typing import DTypeLike
from jaxtyping import Array, Int, Int64, Num

from base.latency import LatencyEstimate
from bert.batch import PackedRows, Tokens
from bert.numerics import cpu_flags

logger = logging.getLogger(__name__)

LENGTHS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
# Bulk work runs long enough to pay for more programs: they save an eighth of the tokens.
BULK_LENGTHS = (
    8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 36, 40, 48, 56, 64, 80, 96, 112, 128, 160,
    192, 256, 384, 512
)  # fmt: skip

# JAX's own events, by what they say of a program.
_CACHE_EVENTS = {
    "/jax/compilation_cache/cache_hits": "read",
    "/jax/compilation_cache/cache_misses": "compiled",
}
_counted: Counter[str] = Counter()  # programs, by the same words

# What a call costs beside its tokens, in tokens: dispatch, and reading the weights once.
_CALL_TOKENS = 32
# Batches computed at once: each fills the pauses that the other's threads make to wait for theirs.
_AT_ONCE = 2


Batch: TypeAlias = Tokens | PackedRows


@runtime_checkable
class Rows(Protocol):
    """What a model is to be run over: `bert.tokens.Tokenised`, or `bert.packing.PackedTexts`."""

    @property
    def lengths(self) -> Int64[np.ndarray, " rows"]:
        """How many tokens each row has."""

    def __len__(self) -> int: ...

    def pad(
        self, rows: Int[np.ndarray, " chosen"] | Sequence[int], length: int, batch: int
    ) -> Batch:
        """A NumPy batch of the chosen rows; the batch's other rows are all padding."""


@runtime_checkable
class Forward(Protocol):
    """A model over rows of any length and number."""

    def __call__(self, tokenised: Rows) -> Num[np.ndarray, "rows ..."]:
        """The model's result for every row, in their order."""

    def seconds(self, lengths: Int64[np.ndarray, " rows"]) -> float:
        """What rows of those lengths are expected to take from now on; 0 before any was run."""


class Programs:
    """A function compiled for shapes, each when it is first needed, and what each takes."""

    def __init__(self, fn: Callable[[Any, Any], Array], structure: Any, texts: int | None) -> None:
        def call(leaves: list[Array], tokens: Batch) -> Array:
            return fn(jax.tree.unflatten(structure, leaves), tokens)

        self._texts = texts
        self.jitted = jax.jit(call)
        self.compiled: dict[tuple[int, int], Any] = {}
        self.latencies: defaultdict[tuple[int, int], LatencyEstimate] = defaultdict(LatencyEstimate)
        self._compiling: defaultdict[tuple[int, int], threading.Lock] = defaultdict(threading.Lock)

    def get(self, leaves: list[Array], batch: int, length: int) -> Any:
        """The program for a shape."""
        with self._compiling[batch, length]:
            if (batch, length) not in self.compiled:
                logger.debug("compiling for %d rows of %d tokens", batch, length)
                lowered = self.jitted.lower(leaves, self.padding(batch, length))
                self.compiled[batch, length] = lowered.compile()
            return self.compiled[batch, length]

    def padding(self, batch: int, length: int) -> Batch:
        """A batch without any text."""
        ids = np.zeros((batch, length), np.int32)
        if self._texts is None:
            return Tokens(ids, np.zeros((batch, length), np.bool_), ids)
        return PackedRows(ids, ids - 1, ids, ids, np.zeros((batch, self._texts), np.int32))


class BucketedForward:
    """Runs a model over rows of any length and number, in a few fixed shapes.

    A row goes to the shortest length that holds it. Unless lengths are mixed, for bulk work, its
    length depends on the row alone, and what shares its batch changes its result by rounding only.

    Attributes:
        lengths: lengths that rows are padded to, rising.
        shapes: every (batch, length) there can be.
        programs: what is compiled; another forward may share it.
        compilations: programs compiled so far, whoever needed them.
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
        texts: int | None = None,
    ) -> None:
        """Prepare, without compiling anything.

        Args:
            fn: `fn(state, tokens)` to an array with the batch as its leading axis; pure. Or the
                programs of another forward whose state has the same structure and shapes.
            state: the model's parameters, a pytree; passed to `fn` on every call.
            max_length: the most tokens of a row; the model has at least as many positions.
            lengths: lengths to pad to; those from `max_length` on are left out, and it is added.
            batch_tokens: tokens of a full batch.
            small_batches: batch sizes, in rows, for what is left after full batches.
            mix_lengths: rows of several lengths may share a batch, padded to the longest, so that
                nearly all batches are full ones. How long a row is padded then depends on others.
            texts: rows are those of `PackedTexts`, of so many texts at most.
        """
        leaves, structure = jax.tree.flatten(state)
        # A list of leaves: flattening a model's state in Python on every call costs more.
        self._leaves = [jax.device_put(leaf) for leaf in leaves]

        self.programs = fn if isinstance(fn, Programs) else Programs(fn, structure, texts)
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
        """Programs compiled so far."""
        return len(self.programs.compiled)

    def __call__(self, tokenised: Rows) -> Num[np.ndarray, "rows ..."]:
        """Run every row.

        Returns:
            What `fn` returned, in the order of the input.

        Raises:
            ValueError: a row is longer than `max_length`.
        """

        def run(cut: tuple[Int64[np.ndarray, " chosen"], int, int]) -> np.ndarray:
            rows, batch, length = cut
            return np.asarray(self.start(tokenised.pad(rows, length, batch)))[: len(rows)]

        cuts = list(self._cut(tokenised.lengths))
        results = None
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for (rows, *_), found in zip(cuts, pool.map(run, cuts), strict=True):
                if results is None:
                    results = np.empty((len(tokenised), *found.shape[1:]), found.dtype)
                results[rows] = found
        return self._nothing() if results is None else results

    def buckets(self, lengths: Int64[np.ndarray, " rows"]) -> Int64[np.ndarray, " rows"]:
        """Which of `lengths`, by number, each row is padded to.

        Raises:
            ValueError: a row is longer than the longest.
        """
        if len(lengths) and lengths.max() > self.lengths[-1]:
            row = int(lengths.argmax())
            raise ValueError(
                f"row {row} has {lengths[row]} tokens, more than max_length {self.lengths[-1]}"
            )
        return np.searchsorted(self.lengths, lengths).astype(np.int64)

    def batch_size(self, rows: int, length: int) -> int:
        """The first of the batches of that length that cost least for so many rows."""
        return self._first[length][min(rows, self._batches[length][-1])]

    def rows_within(self, seconds: float, length: int) -> int:
        """Rows of the largest batch of a length that takes no longer; else of the smallest."""
        smallest, *larger = self._batches[length]
        return max(
            [
                smallest,
                *(b for b in larger if self.programs.latencies[b, length].seconds <= seconds),
            ]
        )

    def start(self, tokens: Batch) -> Array:
        """Start computing one batch, of one of `shapes`."""
        batch, length = tokens.ids.shape
        program = self.programs.get(self._leaves, batch, length)
        result: Array = program(self._leaves, tokens)
        return result

    def least_seconds(self, length: int) -> float:
        """What the smallest batch of a length is expected to take; 0 before `warm_up`."""
        return self.programs.latencies[self._batches[length][0], length].seconds

    def seconds(self, lengths: Int64[np.ndarray, " rows"]) -> float:
        """What rows of those lengths are expected to take; 0 before `warm_up`."""
        counts = np.bincount(self.buckets(lengths), minlength=len(self.lengths)).tolist()
        return sum(map(self.seconds_of, counts, self.lengths), 0.0)

    def seconds_of(self, rows: int, length: int) -> float:
        """What so many rows, padded to a length, are expected to take; 0 before `warm_up`."""
        seconds = 0.0
        while rows > 0:
            batch = self.batch_size(rows, length)
            seconds += self.programs.latencies[batch, length].seconds
            rows -= batch
        return seconds

    def measured(self, shape: tuple[int, int], seconds: float) -> None:
        """Take note of what one batch of a shape took."""
        self.programs.latencies[shape].add(seconds)

    def update(self, state: Any) -> None:
        """Run on other parameters of the same shapes from now on; nothing is compiled again."""
        self._leaves = [jax.device_put(leaf) for leaf in jax.tree.leaves(state)]

    def warm_up(self) -> None:
        """Compile every shape, run it once, and learn what it takes: those that are not ready."""
        fresh = [shape for shape in self.shapes if not self.programs.latencies[shape].seconds]

        def ready(shape: tuple[int, int]) -> None:
            batch = self.programs.padding(*shape)
            self.start(batch).block_until_ready()  # builds what later runs use

        # Reading a compiled program and running it release the lock of the interpreter; tracing it
        # does not.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(ready, fresh))
        for shape in fresh:
            batch, begun = self.programs.padding(*shape), time.perf_counter()
            self.start(batch).block_until_ready()
            self.measured(shape, time.perf_counter() - begun)

    def _cut(
        self, lengths: Int64[np.ndarray, " rows"]
    ) -> Iterator[tuple[Int64[np.ndarray, " chosen"], int, int]]:
        """Cut the rows into batches: (row numbers, batch size, length)."""
        buckets = self.buckets(lengths)
        order = np.argsort(-buckets, kind="stable")
        longest_first = -buckets[order]
        at = 0
        while at < len(order):
            shared = longest_first[at] if not self._mix_lengths else 0
            rows = order[at : np.searchsorted(longest_first, shared, side="right")]
            length = self.lengths[buckets[order[at]]]
            batch = self.batch_size(len(rows), length)
            yield rows[:batch], batch, length
            at += len(rows[:batch])

    def _nothing(self) -> np.ndarray:
        batch = self.programs.padding(1, self.lengths[0])
        result = jax.eval_shape(self.programs.jitted, self._leaves, batch)
        return np.empty((0, *result.shape[1:]), result.dtype)


def _first_batches(sizes: Sequence[int], length: int) -> list[int]:
    """For each number of rows up to the largest size, the first of the batches that cost least."""
    least, first = [0], [0]
    for rows in range(1, sizes[-1] + 1):
        costs = {size: size * length + _CALL_TOKENS + least[max(0, rows - size)] for size in sizes}
        first.append(max(sizes, key=lambda size: (-costs[size], size)))
        least.append(costs[first[-1]])
    return first


def serving_state(model: nnx.Module, dtype: DTypeLike) -> Any:
    """A model's parameters with the kernels of its encoders in the type that products read.

    Training keeps float32. Serving would convert them on every call otherwise, which takes as long
    as the rest of encoding one short query.
    """
    return nnx.from_flat_state(
        [
            (path, leaf.replace(leaf[...].astype(dtype)) if _is_encoder_kernel(path) else leaf)
            for path, leaf in nnx.to_flat_state(nnx.state(model))
        ]
    )


def enable_compilation_cache(
    directory: Path | None, *, flags: Callable[[], frozenset[str]] = cpu_flags
) -> None:
    """Keep compiled programs in a directory, for this process and later ones.

    Args:
        directory: created when needed; None switches the cache off. Programs lie in a folder of
            their processor and jaxlib: a disk that several machines share, or an image that moves
            to another one, never hands out code for instructions that the processor lacks.
        flags: Reads the processor's features.
    """
    if directory is not None:
        directory = directory / _machine(flags())
        directory.mkdir(parents=True, exist_ok=True)
    if not _counted:
        jax.monitoring.register_event_listener(_count)
        _counted.update(read=0, compiled=0)
    settings = {
        "jax_compilation_cache_dir": None if directory is None else str(directory),
        # Small programs take longer to compile than to read, too.
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": 0,
        # XLA's own caches would put the directory's path into every key: a cache that was moved or
        # is mounted elsewhere would be of no use.
        "jax_persistent_cache_enable_xla_caches": "none",
    }
    for name, value in settings.items():
        jax.config.update(name, value)
    # JAX decides at the first compilation whether it has a cache; it may have decided by now.
    compilation_cache.reset_cache()


def cached_programs() -> Mapping[str, int]:
    """Programs of this process that were "read" from the cache, and "compiled" for lack of them.

    Empty before `enable_compilation_cache`; without a directory, nothing is counted.
    """
    return dict(_counted)


def _count(event: str, **_: Any) -> None:
    if event in _CACHE_EVENTS:
        _counted[_CACHE_EVENTS[event]] += 1


def _machine(flags: frozenset[str]) -> str:
    """Names what compiled programs depend on beside what JAX's own keys hold."""
    facts = [platform.machine(), version("jaxlib"), *sorted(flags)]
    return hashlib.sha256(" ".join(facts).encode()).hexdigest()[:16]


def _is_encoder_kernel(path: Sequence[Any]) -> bool:
    return "layers" in path and path[-1] == "kernel"
