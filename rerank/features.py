"""Numeric features that the reranker is fused with: pure functions of a `Signals` record."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32

from base.errors import InputError
from catalog.item_text import normalise_query

STATISTICS_FILE = "features.json"
_WORD = re.compile(r"\w+")
# Standardised values beyond this many standard deviations say "extreme", not how extreme.
_CLIP = 5.0


@dataclass(frozen=True)
class Signals:
    """What is known of the candidates of one query, one value a candidate; NaN where unknown."""

    cosine: Float32[np.ndarray, "candidates"]  # of query and item vector
    lexical: Float32[np.ndarray, "candidates"]  # BM25 over the best BM25 of the whole catalogue
    overlap: Float32[np.ndarray, "candidates"]  # share of the query's words in the title
    price: Float32[np.ndarray, "candidates"]  # currency units
    rating: Float32[np.ndarray, "candidates"]  # 0 to 5
    rating_count: Float32[np.ndarray, "candidates"]  # ratings
    age: Float32[np.ndarray, "candidates"]  # days from release to the bundle's day
    in_stock: Float32[np.ndarray, "candidates"]  # 0 or 1


# Amounts without an upper end enter as log(1 + x).
_LOGARITHMIC = frozenset({"price", "rating_count", "age"})
FEATURES = tuple(field.name for field in fields(Signals))


def feature_matrix(signals: Signals) -> Float32[np.ndarray, "candidates features"]:
    """One column a feature, in the order of `FEATURES`; NaN where unknown."""
    columns = []
    for name in FEATURES:
        values = getattr(signals, name)
        columns.append(np.log1p(np.maximum(values, 0)) if name in _LOGARITHMIC else values)
    return np.stack(columns, axis=1).astype(np.float32)


def title_overlap(query: str, titles: Sequence[str]) -> Float32[np.ndarray, "titles"]:
    """Share of the query's distinct words that stand in each title; NaN for a query of signs."""
    words = _words(query)
    if not words:
        return np.full(len(titles), np.nan, np.float32)
    shares = (len(words & _words(title)) / len(words) for title in titles)
    return np.fromiter(shares, np.float32, len(titles))


@dataclass(frozen=True)
class FeatureStatistics:
    """How features were distributed in training.

    Attributes:
        names: The features, in the order of the matrix's columns.
        mean: Mean of each feature's known values.
        scale: Standard deviation of each.
        trained: False where a feature was absent or constant: it has taught the model nothing and
            counts as missing for ever after.
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    trained: tuple[bool, ...]

    @classmethod
    def of(cls, matrix: Float32[np.ndarray, "rows features"]) -> "FeatureStatistics":
        """Statistics of training's feature matrix."""
        mean, scale, trained = [], [], []
        for column in matrix.T.astype(np.float64):
            known = column[~np.isnan(column)]
            varies = len(known) > 1 and float(known.std()) > 1e-6 * (1 + abs(float(known.mean())))
            mean.append(float(known.mean()) if varies else 0.0)
            scale.append(float(known.std()) if varies else 1.0)
            trained.append(varies)
        return cls(FEATURES, tuple(mean), tuple(scale), tuple(trained))

    def standardise(
        self, matrix: Float32[np.ndarray, "rows features"]
    ) -> Float32[np.ndarray, "rows inputs"]:
        """The network's inputs: each feature as (x - mean) / scale, 0 where missing, clipped.

        Behind them, in the same order, stands 1 for each feature that is missing and 0 elsewhere.
        """
        missing: Bool[np.ndarray, "rows features"] = np.isnan(matrix) | ~np.array(self.trained)
        scaled = (matrix - np.array(self.mean, np.float32)) / np.array(self.scale, np.float32)
        values = np.where(missing, 0.0, np.clip(scaled, -_CLIP, _CLIP))
        return np.concatenate([values, missing], axis=1).astype(np.float32)

    def write(self, directory: Path) -> None:
        """Write `features.json` to an existing directory."""
        (directory / STATISTICS_FILE).write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, directory: Path) -> "FeatureStatistics":
        """Read what `write` wrote.

        Raises:
            InputError: the file is missing, damaged, or of other features than this version's.
        """
        path = directory / STATISTICS_FILE
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            found = cls(
                **{name: tuple(values[name]) for name in ("names", "mean", "scale")},
                trained=tuple(values["trained"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} cannot be read: {error}") from error
        if found.names != FEATURES:
            raise InputError(
                f"{path} is of the features {', '.join(found.names)}; this version computes "
                f"{', '.join(FEATURES)}: train the reranker again"
            )
        return found


def _words(text: str) -> set[str]:
    return set(_WORD.findall(normalise_query(text)))
