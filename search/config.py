"""The engine's defaults for requests, and when the live catalogue compacts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from base.errors import InputError
from search.result import MAX_DEPTH, Channel

# `bench.hybrid`: on Home Depot's `dev`, 0.4 to 1 score alike, less scores lower.
LEXICAL_WEIGHT = 0.4
MAX_RECALL_WEIGHT = 100  # in practice, the recall score alone ranks
MAX_LEXICAL_WEIGHT = 10  # in practice, the lexical score alone ranks
ANSWER_SHARE = 0.15  # of the time left; a longer request meets more delays


@dataclass(frozen=True)
class EngineConfig:
    """Defaults of a request."""

    recall_depth: int = 200  # number of candidates that recall finds
    rerank_depth: int = 50  # number of the first candidates that are reranked
    # weight of the lexical score in recall; the best one counts as this much cosine, 0 as none
    lexical_weight: float = LEXICAL_WEIGHT
    # weight of the recall score beside the reranker's logit; 1 to 2 are best on Home Depot's `dev`
    recall_weight: float = 1.5
    numerics: Literal["auto", "float32", "bfloat16"] = "auto"  # inputs of matrix products
    cache_megabytes: int = 64  # memory for the vectors and logits of recent requests; 0 for none
    # time kept to write and send the answer; at least 15% of the time left until the deadline
    answer_milliseconds: int = 5

    def __post_init__(self) -> None:
        """Refuse depths that no request could ask for."""
        if self.cache_megabytes < 0:
            raise InputError(f"engine: cache_megabytes is {self.cache_megabytes}; give 0 or more")
        if self.answer_milliseconds < 0:
            raise InputError(
                f"engine: answer_milliseconds is {self.answer_milliseconds}; give 0 or more"
            )
        if not 0 <= self.lexical_weight <= MAX_LEXICAL_WEIGHT:
            raise InputError(
                f"engine: lexical_weight is {self.lexical_weight}; it must lie between 0 and "
                f"{MAX_LEXICAL_WEIGHT}"
            )
        if not 0 <= self.recall_weight <= MAX_RECALL_WEIGHT:
            raise InputError(
                f"engine: recall_weight is {self.recall_weight}; it must lie between 0 and "
                f"{MAX_RECALL_WEIGHT}"
            )
        for name, low in (("recall_depth", 1), ("rerank_depth", 0)):
            if not low <= getattr(self, name) <= MAX_DEPTH:
                raise InputError(
                    f"engine: {name} is {getattr(self, name)}; it must lie between {low} and "
                    f"{MAX_DEPTH}"
                )

    @property
    def weights(self) -> Mapping[str, float]:
        """What a score of 1 of each channel is worth in stage 1; see `recall`."""
        return {Channel.DENSE: 1.0, Channel.LEXICAL: self.lexical_weight}

    def with_default_requests(self) -> "EngineConfig":
        """The same, with the defaults of what a request does."""
        return EngineConfig(numerics=self.numerics, cache_megabytes=self.cache_megabytes)


@dataclass(frozen=True)
class LiveConfig:
    """When written items are built into a new bundle."""

    compact_share: float = 0.05  # compact at this share of added and dead rows in the bundle's rows
    compact_from: int = 2_000  # do not compact below this number of added and dead rows

    def __post_init__(self) -> None:
        """Refuse to compact without end."""
        if not self.compact_share > 0:
            raise InputError(f"live: compact_share is {self.compact_share}; give more than 0")
        if self.compact_from < 1:
            raise InputError(f"live: compact_from is {self.compact_from}; give 1 or more")
