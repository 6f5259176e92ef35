"""The calibration of relevance, as a bundle stores it. This module needs no NumPy."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

COSINE = "cosine"  # cosine of the vectors of query and item
LEXICAL_SCORE = "lexical_score"  # score of the lexical channel, from 0 to 1
LOGIT = "logit"  # logit of the reranker; NaN for an item that was not reranked
# Share of the query's words that items of the catalogue have, weighted by inverse document
# frequency; the same for all items.
KNOWN_WORDS = "known_words"
# How plausible it is that items have the last word of the query that is no number, size or code: 1
# if they have it, less for a typing error, else 0; the same for all items. In many languages, the
# last word names the thing, and other words describe it.
LAST_WORD = "last_word"
SIGNALS = (COSINE, LEXICAL_SCORE, KNOWN_WORDS, LAST_WORD, LOGIT)


@dataclass(frozen=True)
class LogisticModel:
    """A logistic regression: 1 / (1 + exp(-(intercept + sum of weight * signal))).

    Attributes:
        intercept: The intercept.
        weights: The weight of each signal, by name; never negative, so that a higher signal never
            means a lower probability.

    Raises:
        ValueError, TypeError, AttributeError: a value is out of its limits, or no number.
    """

    intercept: float
    weights: Mapping[str, float]

    def __post_init__(self) -> None:
        """Refuse values out of their limits."""
        if unknown := self.weights.keys() - set(SIGNALS):
            raise ValueError(f"calibration has the signals {', '.join(sorted(unknown))}")
        weights = self.weights.values()
        if not (math.isfinite(self.intercept) and all(0 <= w < math.inf for w in weights)):
            raise ValueError(f"calibration has {self.intercept} and {dict(self.weights)}")


@dataclass(frozen=True)
class StageModel:
    """The models of lists in recall order, or of reranked lists.

    Attributes:
        fits: The probability that any item fits the query, from the signals of the first item.
        relevant: The probability that an item is relevant if any item fits.
        threshold: Nothing fits a query with a lower probability of `fits`.

    Raises:
        ValueError, TypeError: a value is out of its limits, or no number.
    """

    fits: LogisticModel
    relevant: LogisticModel
    threshold: float

    def __post_init__(self) -> None:
        """Refuse values out of their limits."""
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"calibration has the threshold {self.threshold}")

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "StageModel":
        """Make the models of the values that `dataclasses.asdict` returns."""
        fits, relevant = LogisticModel(**values["fits"]), LogisticModel(**values["relevant"])
        return cls(fits, relevant, values["threshold"])


@dataclass(frozen=True)
class Calibration:
    """How a bundle turns scores into relevance.

    Attributes:
        recalled: The models of lists in recall order.
        reranked: The models of reranked lists; None if the bundle has no reranker.
    """

    recalled: StageModel
    reranked: StageModel | None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Calibration":
        """Make a calibration of the values that `dataclasses.asdict` returns.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: a value has the wrong form.
        """
        reranked = values["reranked"]
        return cls(StageModel.of(values["recalled"]), reranked and StageModel.of(reranked))
