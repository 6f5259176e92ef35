"""The features that the reranker reads besides the text, in one table: `BLOCKS`.

A feature is one number for each candidate. Its row in the table says where the raw value comes
from, how the value is transformed, and what a missing value means. A reranker is stored with the
names of its features, so an old reranker works after rows are added to the table.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from itertools import chain
from pathlib import Path
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float32, Int32

from base.errors import InputError
from base.untrusted.small_files import read_object
from catalog.catalogue import Catalogue
from catalog.fields import number_of
from catalog.item_text import normalise_query

STATISTICS_FILE = "features.json"
_WORD = re.compile(r"\w+")
# Standardised values are clipped to this many standard deviations.
_CLIP = 5.0


@dataclass(frozen=True)
class FeatureInputs:
    """The candidates of one query, and the data that their features are computed from.

    Attributes:
        query: The query.
        rows: Catalogue row of each candidate.
        catalogue: The items.
        channel_scores: Scores of the candidates by the name of the recall channel; NaN if unknown.
        as_of: The day on which the ages of items are computed; None makes all ages missing.
    """

    query: str
    rows: Int32[np.ndarray, " candidates"]
    catalogue: Catalogue
    channel_scores: Mapping[str, Float32[np.ndarray, " candidates"]]
    as_of: date | None


Values: TypeAlias = Float32[np.ndarray, " candidates"]
Source: TypeAlias = Callable[[FeatureInputs], Values]
Transform: TypeAlias = Callable[[Values], Values]


# Sources. Each source gives one raw value for each candidate, or NaN if the value is missing.


def channel(name: str) -> Source:
    """Read the score of a recall channel; the score is missing if the bundle lacks the channel."""

    def scores(inputs: FeatureInputs) -> Values:
        of_channel = inputs.channel_scores.get(name)
        return unknown(len(inputs.rows)) if of_channel is None else of_channel

    return scores


def column(name: str) -> Source:
    """Read a numeric column of the catalogue; boolean columns give 0 or 1."""
    return lambda inputs: inputs.catalogue.numbers(name, inputs.rows)


def days_since(name: str) -> Source:
    """Count the days from a date column to `FeatureInputs.as_of`; a later date gives 0."""

    def days(inputs: FeatureInputs) -> Values:
        if inputs.as_of is None:
            return unknown(len(inputs.rows))
        today = np.float32(number_of(inputs.as_of))
        return np.maximum(today - column(name)(inputs), np.float32(0))

    return days


def query_words_in(name: str) -> Source:
    """Compute the share of the query's words that a text column contains; see `word_overlap`."""

    def overlap(inputs: FeatureInputs) -> Values:
        texts = inputs.catalogue.texts(name, inputs.rows)
        return word_overlap(inputs.query, [text or "" for text in texts])

    return overlap


# Transforms of raw values to a range that a network can read.


def as_is(values: Values) -> Values:
    """Return the values unchanged; for values with a limited range."""
    return values


def log1p(values: Values) -> Values:
    """Compute log(1 + x), for amounts without an upper limit; x below 0 counts as 0."""
    logarithms: Values = np.log1p(np.maximum(values, 0))
    return logarithms


@dataclass(frozen=True)
class Feature:
    """One row of the table."""

    name: str  # stored with rerankers: never change the source or transform of this name
    unit: str  # unit of the raw value
    source: Source  # computes the raw value
    transform: Transform  # turns the raw value into the feature
    missing: str  # what a missing value (NaN) means


# The table, in blocks. The features of a block describe the same subject. To add a feature, add a
# row. To change a feature, add a row with a new name, because bundles refer to features by name.
# fmt: off
BLOCKS: Mapping[str, tuple[Feature, ...]] = {
    #       name            unit              source                   transform  missing means
    "query and item": (
        Feature("cosine",       "-1 to 1",        channel("dense"),        as_is, "no vector"),
        Feature("lexical",      "share of best",  channel("lexical"),      as_is, "not indexed"),
        Feature("overlap",      "share of words", query_words_in("title"), as_is, "no query words"),
    ),
    "item": (
        Feature("price",        "currency units", column("price"),         log1p, "no price"),
        Feature("rating",       "0 to 5 stars",   column("rating"),        as_is, "no rating"),
        Feature("rating_count", "ratings",        column("rating_count"),  log1p, "no count"),
        Feature("age",          "days",           days_since("released"),  log1p, "no date known"),
        Feature("in_stock",     "0 or 1",         column("in_stock"),      as_is, "stock unknown"),
    ),
}
# fmt: on
FEATURES = tuple(chain.from_iterable(BLOCKS.values()))
FEATURE_NAMES = tuple(feature.name for feature in FEATURES)


def feature_matrix(inputs: FeatureInputs) -> Float32[np.ndarray, "candidates features"]:
    """Compute every feature of the table, one column each in the order of `FEATURES`."""
    columns = [feature.transform(feature.source(inputs)) for feature in FEATURES]
    return np.stack(columns, axis=1).astype(np.float32)


def word_overlap(query: str, texts: Sequence[str]) -> Float32[np.ndarray, " texts"]:
    """Return the share of the query's distinct words that are in each text; NaN without words."""
    words = _words(query)
    if not words:
        return unknown(len(texts))
    shares = (len(words & _words(text)) / len(words) for text in texts)
    return np.fromiter(shares, np.float32, len(texts))


def unknown(count: int) -> Float32[np.ndarray, " count"]:
    """Return an array of missing values (NaN)."""
    return np.full(count, np.nan, np.float32)


@dataclass(frozen=True)
class FeatureStatistics:
    """The features of one reranker, and their distribution in its training data.

    Attributes:
        names: Names of the features, in the order of the reranker's inputs.
        mean: Mean of each feature's known values.
        scale: Standard deviation of each feature's known values.
        trained: False for a feature that was missing or constant in the training data. The reranker
            learned nothing from this feature, so its values always count as missing.
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    trained: tuple[bool, ...]

    @classmethod
    def of(cls, matrix: Float32[np.ndarray, "rows features"]) -> "FeatureStatistics":
        """Compute the statistics of the training data's `feature_matrix`."""
        mean, scale, trained = [], [], []
        for values in matrix.T.astype(np.float64):
            known = values[~np.isnan(values)]
            varies = len(known) > 1 and float(known.std()) > 1e-6 * (1 + abs(float(known.mean())))
            mean.append(float(known.mean()) if varies else 0.0)
            scale.append(float(known.std()) if varies else 1.0)
            trained.append(varies)
        return cls(FEATURE_NAMES, tuple(mean), tuple(scale), tuple(trained))

    def standardise(
        self, matrix: Float32[np.ndarray, "rows features"]
    ) -> Float32[np.ndarray, "rows inputs"]:
        """Turn a `feature_matrix` into the network's inputs.

        The first inputs are the reranker's features, selected by name: (x - mean) / scale, clipped,
        or 0 for a missing value. The other inputs are the missing indicators of these features, in
        the same order: 1 for a missing value, otherwise 0.
        """
        matrix = matrix[:, [FEATURE_NAMES.index(name) for name in self.names]]
        missing: Bool[np.ndarray, "rows features"] = np.isnan(matrix) | ~np.array(
            self.trained, bool
        )
        scaled = (matrix - np.array(self.mean, np.float32)) / np.array(self.scale, np.float32)
        values = np.where(missing, 0.0, np.clip(scaled, -_CLIP, _CLIP))
        return np.concatenate([values, missing], axis=1).astype(np.float32)

    def write(self, directory: Path) -> None:
        """Write `features.json` to an existing directory."""
        (directory / STATISTICS_FILE).write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, directory: Path) -> "FeatureStatistics":
        """Read `features.json`.

        Raises:
            InputError: the file is missing or damaged, or names a feature that is not in the table.
        """
        path = directory / STATISTICS_FILE
        try:
            content = read_object(path)
            fields = {name: tuple(content[name]) for name in ("names", "mean", "scale", "trained")}
            statistics = cls(**fields)
            if len({len(values) for values in fields.values()}) > 1:
                raise ValueError("its lists differ in length")
            if len(set(statistics.names)) < len(statistics.names):
                raise ValueError("it repeats a feature")
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} cannot be read: {error}") from error
        if missing := [name for name in statistics.names if name not in FEATURE_NAMES]:
            raise InputError(
                f"{path} names features that this version cannot compute: {', '.join(missing)}; "
                "use the version that trained the reranker, or train the reranker again"
            )
        return statistics


def _words(text: str) -> set[str]:
    return set(_WORD.findall(normalise_query(text)))
