"""What the cosines between items of a bundle mean: usual ones, and those of substitutes."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from base.errors import InputError
from base.untrusted.small_files import read_object
from towers.vectors import Vectors

SIMILARITY_FILE = "similarity.json"
_PAIRS = 20_000  # number of random pairs of items whose cosines are measured
# Two items are substitutes if they are more alike than this share of random pairs.
_SUBSTITUTES = 0.999


@dataclass(frozen=True)
class Similarity:
    """Cosines of a bundle's items.

    Models differ in the range of their cosines, so both values are measured on the bundle's items.

    Attributes:
        usual: The median cosine of two random items.
        substitutes: The cosine that one of 1,000 random pairs exceeds.
    """

    usual: float
    substitutes: float

    @classmethod
    def measure(cls, vectors: Vectors, seed: int = 0) -> "Similarity":
        """Measure the cosines of random pairs of items."""
        if len(vectors) < 2:
            return cls(0.0, 1.0)
        random = np.random.default_rng(seed)
        first = random.integers(len(vectors), size=_PAIRS)
        second = (first + random.integers(1, len(vectors), size=_PAIRS)) % len(vectors)
        cosines = np.einsum("pd,pd->p", vectors.take(first, axis=0), vectors.take(second, axis=0))
        usual, substitutes = np.quantile(cosines, (0.5, _SUBSTITUTES)).tolist()
        return cls(min(usual, 0.99), substitutes)

    def scaled(self, cosines: Float32[np.ndarray, " items"]) -> Float32[np.ndarray, " items"]:
        """Return cosines on a scale on which a usual cosine is 0 and equal items have 1."""
        scaled: Float32[np.ndarray, " items"]
        scaled = (cosines - np.float32(self.usual)) / np.float32(1 - self.usual)
        return np.asarray(np.maximum(scaled, np.float32(0)))

    def write(self, directory: Path) -> None:
        """Write the values as JSON."""
        (directory / SIMILARITY_FILE).write_text(json.dumps(asdict(self)), "utf-8")

    @classmethod
    def read(cls, directory: Path) -> "Similarity":
        """Read what `write` wrote.

        Raises:
            InputError: the file is damaged.
        """
        path = directory / SIMILARITY_FILE
        values = read_object(path)
        try:
            read = cls(float(values["usual"]), float(values["substitutes"]))
            if not (-1 <= read.usual < 1 and -1 <= read.substitutes <= 1.01):
                raise ValueError("a cosine is out of range")
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path} is invalid: {error}; train again") from error
        return read
