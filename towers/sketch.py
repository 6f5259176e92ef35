"""A sketch of all item vectors, a bit a dimension: what may be near a query, whatever the filter.

A vector is centred, cut to the 256 dimensions that vary most, and rotated at random; the signs of
its coordinates are kept, with one number that makes the estimate of an inner product unbiased
(RaBitQ: Gao and Long, 2024, arXiv 2405.12497). An estimate is off by a few hundredths of a cosine;
how far is measured when a sketch is made, so that whoever compares the items above a bound with the
full vectors knows what bound misses next to none. It takes no partitions, so a filter that goes
with or against the query costs it nothing.
"""

from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Int64, UInt32

from base.errors import InputError
from towers.vectors import Vectors

SKETCH_FILE = "sketch.npz"
SKETCH_FROM = 20_000  # items; fewer are compared with a query as they are
# A query's coordinates are read as odd multiples of a step, up to 7 in size: three bits each. For
# normal coordinates this step, in standard deviations, loses least.
_PLANES = 3
_STEP = 0.293
_BLOCK = 64  # items of which the best estimate is known; the others are looked at if it is good
_BITS = 32  # of a word
_MOST_BITS = 256  # of an item; of more dimensions those are kept that vary most
_CHUNK = 20_000  # vectors at a time that become codes
_SAMPLE = 20_000  # items that centre and deviation are measured on
_SEED = 0


@dataclass(frozen=True)
class Estimates:
    """Estimated cosines of a query with the items that pass a filter.

    Attributes:
        values: Of items, block by block in columns; minus infinity where an item does not pass.
        best: Of each column, the best.
    """

    values: Float32[np.ndarray, "block columns"]
    best: Float32[np.ndarray, " columns"]

    def bound(self, count: int) -> float:
        """What at least so many items reach, or all that pass; not many more do."""
        columns = len(self.best)
        if count > columns:
            return float("-inf")
        return float(np.partition(self.best, columns - count)[columns - count])

    def rows(self, low: float, below: float = float("inf")) -> Int64[np.ndarray, " rows"]:
        """Items whose estimate is `low` or more, and less than `below`, in row order."""
        low = max(low, float(np.finfo(np.float32).min))  # what does not pass has less than that
        columns = np.flatnonzero(self.best >= low)
        values = self.values[:, columns]
        block, at = np.nonzero((values >= low) & (values < below))
        return block * len(self.best) + columns[at]


class Sketch:
    """The codes of all items, ready to be compared with queries."""

    def __init__(
        self,
        codes: UInt32[np.ndarray, "words padded"],
        factors: Float32[np.ndarray, " padded"],
        centre: Float32[np.ndarray, " dim"],
        rotation: Float32[np.ndarray, "dim bits"],
        deviation: float,
    ) -> None:
        """Take what `sketch` made.

        Args:
            codes: Signs of the items' coordinates, a bit each; items padded to whole blocks.
            factors: What a sum of signed coordinates is multiplied by.
            centre: What was taken from the vectors first.
            rotation: How they were turned then.
            deviation: Standard deviation of an estimate from the cosine.
        """
        self.deviation = deviation
        self._codes, self._factors = jnp.asarray(codes), jnp.asarray(factors)
        self._centre, self._rotation = centre, rotation

    def estimates(
        self, query: Float32[np.ndarray, " dim"], allowed: Bool[np.ndarray, " items"]
    ) -> Estimates:
        """Estimated cosines of a query's unit vector with the items that pass a filter."""
        turned = query @ self._rotation
        step = _STEP * float(np.sqrt(np.mean(turned**2)))
        top = 2**_PLANES - 1
        levels = np.clip(np.floor((turned / max(step, 1e-30) + top + 1) / 2), 0, top)
        planes = _words(levels.astype(np.uint8)[None] >> np.arange(_PLANES)[:, None] & 1)
        padded = np.zeros(self._codes.shape[1], bool)
        padded[: len(allowed)] = allowed
        found = _estimates(
            self._codes,
            self._factors,
            planes,
            np.float32(step),
            np.float32(top * self._rotation.shape[1]),
            np.float32(query @ self._centre),
            padded,
        )
        values = np.asarray(found).reshape(_BLOCK, -1)
        return Estimates(values, values.max(axis=0))

    def warm_up(self, items: int) -> None:
        """Compile the comparison."""
        self.estimates(np.ones(len(self._centre), np.float32), np.ones(items, bool))

    def save(self, directory: Path) -> None:
        """Write the sketch beside the vectors."""
        np.savez(
            directory / SKETCH_FILE,
            codes=np.asarray(self._codes),
            factors=np.asarray(self._factors),
            centre=self._centre,
            rotation=self._rotation,
            deviation=np.float64(self.deviation),
        )

    @classmethod
    def open(cls, directory: Path) -> "Sketch":
        """Read what `save` wrote.

        Raises:
            InputError: the file is damaged.
        """
        path = directory / SKETCH_FILE
        try:
            with np.load(path, allow_pickle=False) as file:
                values = {name: file[name] for name in file.files}
            return cls(**{**values, "deviation": float(values["deviation"])})
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise InputError(f"{path} cannot be read: {error}") from error


def sketch(vectors: Vectors, queries: Float32[np.ndarray, "queries dim"]) -> Sketch:
    """Make the sketch of some vectors, which are read once, a few at a time.

    Args:
        vectors: Unit vectors of all items, a block or more.
        queries: Unit vectors of some queries, which the deviation of estimates is measured on.
    """
    items, dim = vectors.shape
    bits = min(-(-dim // _BITS) * _BITS, _MOST_BITS)
    sample = np.asarray(vectors[:: max(1, items // _SAMPLE)])
    centre = sample.mean(axis=0)
    square = np.random.default_rng(_SEED).normal(size=(bits, bits))
    turn = np.linalg.qr(square)[0]
    if dim > bits:
        deviations = sample - centre
        turn = np.linalg.eigh(deviations.T @ deviations)[1][:, -bits:] @ turn
    rotation = np.ascontiguousarray(turn[:dim].astype(np.float32))
    padded = -(-items // _BLOCK) * _BLOCK
    codes = np.zeros((bits // _BITS, padded), np.uint32)
    factors = np.zeros(padded, np.float32)
    for start in range(0, items, _CHUNK):
        turned = (vectors[start : start + _CHUNK] - centre) @ rotation
        part = slice(start, start + len(turned))
        codes[:, part] = _words(turned >= 0).T
        total = np.abs(turned).sum(axis=1)
        factors[part] = np.sum(turned**2, axis=1) / np.maximum(total, 1e-30)
    made = Sketch(codes, factors, centre, rotation, 0.0)
    return Sketch(codes, factors, centre, rotation, _deviation(made, vectors, queries))


def _deviation(
    made: Sketch,
    vectors: Vectors,
    queries: Float32[np.ndarray, "queries dim"],
) -> float:
    """How far estimates are off: the root of the mean square, over a sample."""
    items = len(vectors)
    rows = np.arange(0, items, max(1, items // _SAMPLE))
    allowed = np.zeros(items, bool)
    allowed[rows] = True
    errors = [
        np.mean((made.estimates(query, allowed).values.ravel()[rows] - vectors[rows] @ query) ** 2)
        for query in queries[:20]
    ]
    return float(np.sqrt(np.mean(errors)))


def open_sketch(
    directory: Path,
    vectors: Vectors,
    queries: Float32[np.ndarray, "queries dim"],
) -> Sketch | None:
    """The sketch beside an index; None of so few items that all that pass a filter are compared.

    An index of an earlier version has none, and gets one here.
    """
    if len(vectors) < SKETCH_FROM:
        return None
    if (directory / SKETCH_FILE).is_file():
        return Sketch.open(directory)
    return sketch(vectors, queries)


def _words(bits: np.ndarray) -> UInt32[np.ndarray, "rows words"]:
    """Rows of zeros and ones as rows of 32-bit words."""
    return np.packbits(bits.astype(bool), axis=1, bitorder="little").view("<u4")


@jax.jit
def _estimates(
    codes: UInt32[Array, "words items"],
    factors: Float[Array, " items"],
    planes: UInt32[Array, "planes words"],
    step: Float[Array, ""],
    most: Float[Array, ""],
    offset: Float[Array, ""],
    allowed: Bool[Array, " items"],
) -> Float[Array, " items"]:
    # One loop over the items, for XLA to fuse: bits that differ, the planes weighted by 1, 2, 4.
    differ = jnp.zeros((), jnp.uint32)
    for plane in reversed(planes):
        differ = differ + differ
        for word in range(codes.shape[0]):
            differ = differ + jax.lax.population_count(codes[word] ^ plane[word])
    total = most - 2 * differ.astype(jnp.int32).astype(jnp.float32)
    return jnp.where(allowed, offset + step * factors * total, -jnp.inf)
