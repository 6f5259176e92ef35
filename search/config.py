"""Default values for requests, and settings of the engine."""

from dataclasses import dataclass
from typing import Literal

from base.errors import InputError
from search.weights import MAX_WEIGHT, parse_channel_weights

MAX_DEPTH = 1_000  # largest number of candidates for recall or for reranking
ANSWER_SHARE = 0.15  # share of the time left that is reserved to write and send the answer


@dataclass(frozen=True)
class EngineConfig:
    """Default values for requests, and settings of the engine."""

    recall_depth: int = 200  # number of candidates that recall finds
    rerank_depth: int = 50  # number of best candidates that are reranked
    # weights of the channels' scores in the recall score, such as "dense=1,lexical=0.4"; 0 turns a
    # channel off; a channel without a weight here has the weight that training chose
    channel_weights: str = ""
    # weight of the recall score, which is added to the reranker's logit; None: the weight that
    # training chose
    recall_weight: float | None = None
    # minimum relevance of a result, from 0 to 1, for requests that set none; 0 leaves out nothing
    min_relevance: float = 0.0
    # data type of the inputs of matrix products
    numerics: Literal["auto", "float32", "bfloat16"] = "auto"
    cache_megabytes: int = 64  # MiB of memory for cached model results; 0 caches nothing
    # time reserved to write and send the answer; at least 15% of the time left is reserved
    answer_milliseconds: int = 5

    def __post_init__(self) -> None:
        """Refuse values out of their limits."""
        if self.cache_megabytes < 0:
            raise InputError(f"engine: cache_megabytes is {self.cache_megabytes}; give 0 or more")
        if self.answer_milliseconds < 0:
            raise InputError(
                f"engine: answer_milliseconds is {self.answer_milliseconds}; give 0 or more"
            )
        parse_channel_weights(self.channel_weights)
        if self.recall_weight is not None and not 0 <= self.recall_weight <= MAX_WEIGHT:
            raise InputError(
                f"engine: recall_weight is {self.recall_weight}; it must lie between 0 and "
                f"{MAX_WEIGHT}"
            )
        if not 0 <= self.min_relevance <= 1:
            raise InputError(
                f"engine: min_relevance is {self.min_relevance}; it must lie between 0 and 1"
            )
        for name, low in (("recall_depth", 1), ("rerank_depth", 0)):
            if not low <= getattr(self, name) <= MAX_DEPTH:
                raise InputError(
                    f"engine: {name} is {getattr(self, name)}; it must lie between {low} and "
                    f"{MAX_DEPTH}"
                )

    def with_default_requests(self) -> "EngineConfig":
        """Return a copy that keeps `numerics` and `cache_megabytes`; other fields get defaults."""
        return EngineConfig(numerics=self.numerics, cache_megabytes=self.cache_megabytes)
