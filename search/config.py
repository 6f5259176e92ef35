"""Default values for requests, and settings of the engine."""

from dataclasses import dataclass
from typing import Literal

from base.errors import InputError

MAX_DEPTH = 1_000  # largest number of candidates for recall or for reranking
# On Home Depot's `dev` split, recall is about the same for weights from 0.4 to 1 and lower for
# smaller weights (`bench.quality.recall`).
LEXICAL_WEIGHT = 0.4
MAX_RECALL_WEIGHT = 100  # at this weight, only the recall score decides the order in practice
MAX_LEXICAL_WEIGHT = 10  # at this weight, only the lexical score decides the recall order
ANSWER_SHARE = 0.15  # share of the time left that is reserved to write and send the answer


@dataclass(frozen=True)
class EngineConfig:
    """Default values for requests, and settings of the engine."""

    recall_depth: int = 200  # number of candidates that recall finds
    rerank_depth: int = 50  # number of best candidates that are reranked
    # weight of the lexical score in the recall score; the best lexical score is 1, so it adds this
    # number to the recall score
    lexical_weight: float = LEXICAL_WEIGHT
    # weight of the recall score, which is added to the reranker's logit; 1 to 2 are the best values
    # on Home Depot's `dev` split
    recall_weight: float = 1.5
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

    def with_default_requests(self) -> "EngineConfig":
        """Return a copy that keeps `numerics` and `cache_megabytes`; other fields get defaults."""
        return EngineConfig(numerics=self.numerics, cache_megabytes=self.cache_megabytes)
