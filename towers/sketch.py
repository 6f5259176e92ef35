"""A sketch of all item vectors with one bit per dimension, to estimate cosines under any filter.

The build centres each vector, reduces it to the 256 dimensions that vary most, and rotates it at
random. The sketch keeps the sign of each coordinate. It also keeps one factor per item, which makes
the estimate of an inner product unbiased (RaBitQ: Gao and Long, 2024, arXiv 2405.12497).

Estimates differ from cosines by a few hundredths. The build measures this deviation. A search uses
the deviation to choose a lower bound that almost all nearest items reach. It then compares the full
vectors of only the items above the bound. A sketch has no partitions, so its recall does not depend
on which items pass the filter.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Int64, UInt32

from base.errors import InputError
from base.untrusted.arrays import read_arrays
from towers.vectors import Vectors

SKETCH_FILE = "sketch.npz"
# Minimum number of items for a sketch. With fewer items, a search compares all items.
SKETCH_FROM = 20_000
# A query's coordinates are rounded to odd multiples of a step, from -7 to 7, which take three bits.
# The step is given in standard deviations of the coordinates. This value of the step has the least
# error for coordinates with a normal distribution.
_PLANES = 3
_STEP = 0.293
_BLOCK = 64  # items in a block; a search reads only blocks whose best estimate is high enough
_BITS = 32  # bits of a word
_MOST_BITS = 256  # maximum bits of an item, one for each dimension that is kept
_CHUNK = 20_000  # vectors encoded at a time
_SAMPLE = 20_000  # items in the sample on which the centre and the deviation are measured
_SEED = 0


@dataclass(frozen=True)
class Estimates:
    """Estimated cosines of a query with the items that pass a filter.

    Attributes:
        values: Estimates, one block of items per column; minus infinity for items that do not pass.
        best: Highest estimate of each column.
    """

    values: Float32[np.ndarray, "block columns"]
    best: Float32[np.ndarray, " columns"]

    def bound(self, count: int) -> float:
        """Return a lower bound that at least `count` estimates reach, but not many more.

        The bound is minus infinity if there are fewer than `count` blocks.
        """
        columns = len(self.best)
        if count > columns:
            return float("-inf")
        return float(np.partition(self.best, columns - count)[columns - count])

    def rows(self, low: float, below: float = float("inf")) -> Int64[np.ndarray, " rows"]:
        """Return the rows with an estimate of at least `low` and less than `below`, ascending."""
        low = max(low, float(np.finfo(np.float32).min))  # excludes items that do not pass
        columns = np.flatnonzero(self.best >= low)
        values = self.values[:, columns]
        block, column = np.nonzero((values >= low) & (values < below))
        return block * len(self.best) + columns[column]


class Sketch:
    """The codes of all items, which are compared with queries."""

    def __init__(
        self,
        codes: UInt32[np.ndarray, "words padded"],
        factors: Float32[np.ndarray, " padded"],
        centre: Float32[np.ndarray, " dim"],
        rotation: Float32[np.ndarray, "dim bits"],
        deviation: float,
    ) -> None:
        """Wrap the arrays that `sketch` computes.

        Args:
            codes: Signs of the items' coordinates, one bit each; items are padded to whole blocks.
            factors: For each item, the factor that turns a sum of signed coordinates into an
                estimate.
            centre: Mean of the item vectors, which is subtracted before the rotation.
            rotation: Matrix that reduces and rotates the centred vectors.
            deviation: Root mean square error of the estimates.
        """
        self.deviation = deviation
        self._codes, self._factors = jnp.asarray(codes), jnp.asarray(factors)
        self._centre, self._rotation = centre, rotation

    def estimates(
        self, query: Float32[np.ndarray, " dim"], allowed: Bool[np.ndarray, " items"]
    ) -> Estimates:
        """Estimate the cosines of a query's unit vector with the items that pass a filter."""
        turned = query @ self._rotation
        step = _STEP * float(np.sqrt(np.mean(turned**2)))
        top = 2**_PLANES - 1
        levels = np.clip(np.floor((turned / max(step, 1e-30) + top + 1) / 2), 0, top)
        planes = _words(levels.astype(np.uint8)[None] >> np.arange(_PLANES)[:, None] & 1)
        padded = np.zeros(self._codes.shape[1], bool)
        padded[: len(allowed)] = allowed
        estimates = _estimates(
            self._codes,
            self._factors,
            planes,
            np.float32(step),
            np.float32(top * self._rotation.shape[1]),
            np.float32(query @ self._centre),
            padded,
        )
        values = np.asarray(estimates).reshape(_BLOCK, -1)
        return Estimates(values, values.max(axis=0))

    def warm_up(self, items: int) -> None:
        """Compile the comparison of a query with the codes."""
        self.estimates(np.ones(len(self._centre), np.float32), np.ones(items, bool))

    def save(self, directory: Path) -> None:
        """Write the sketch to the directory of the vectors."""
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
        """Read a sketch that `save` wrote.

        Raises:
            InputError: the file is damaged.
        """
        path = directory / SKETCH_FILE
        try:
            values: dict[str, Any] = dict(read_arrays(path))
            return cls(**{**values, "deviation": float(values["deviation"])})
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise InputError(f"{path} cannot be read: {error}") from error


def sketch(vectors: Vectors, queries: Float32[np.ndarray, "queries dim"]) -> Sketch:
    """Build the sketch of all items, reading their vectors in chunks.

    Args:
        vectors: Unit vectors of all items; at least `_BLOCK` items.
        queries: Unit vectors of sample queries, on which the deviation is measured.
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
    unmeasured = Sketch(codes, factors, centre, rotation, 0.0)
    return Sketch(codes, factors, centre, rotation, _deviation(unmeasured, vectors, queries))


def _deviation(
    unmeasured: Sketch,
    vectors: Vectors,
    queries: Float32[np.ndarray, "queries dim"],
) -> float:
    """Return the root mean square error of estimates, over a sample of items and queries."""
    items = len(vectors)
    rows = np.arange(0, items, max(1, items // _SAMPLE))
    allowed = np.zeros(items, bool)
    allowed[rows] = True
    errors = [
        np.mean(
            (unmeasured.estimates(query, allowed).values.ravel()[rows] - vectors[rows] @ query) ** 2
        )
        for query in queries[:20]
    ]
    return float(np.sqrt(np.mean(errors)))


def open_sketch(
    directory: Path,
    vectors: Vectors,
    queries: Float32[np.ndarray, "queries dim"],
) -> Sketch | None:
    """Open the sketch in the directory of an index; None for fewer than `SKETCH_FROM` items.

    An index of an earlier version has no sketch file. In this case, build its sketch in memory.
    """
    if len(vectors) < SKETCH_FROM:
        return None
    if (directory / SKETCH_FILE).is_file():
        return Sketch.open(directory)
    return sketch(vectors, queries)


def _words(bits: np.ndarray) -> UInt32[np.ndarray, "rows words"]:
    """Pack rows of zeros and ones into rows of 32-bit words."""
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
    # Count the bits that differ between each item's code and the query's bit planes. The planes
    # have the weights 1, 2 and 4. XLA fuses this code into one loop over the items.
    differ = jnp.zeros((), jnp.uint32)
    for plane in reversed(planes):
        differ = differ + differ
        for word in range(codes.shape[0]):
            differ = differ + jax.lax.population_count(codes[word] ^ plane[word])
    total = most - 2 * differ.astype(jnp.int32).astype(jnp.float32)
    return jnp.where(allowed, offset + step * factors * total, -jnp.inf)
