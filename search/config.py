"""What the engine does with a request that does not say otherwise."""

from dataclasses import dataclass
from typing import Literal

from base.errors import InputError

MAX_DEPTH = 1_000  # candidates of recall and of reranking
LEXICAL_WEIGHT = 0.4  # `bench.recall`: on Home Depot's `dev`, 0.4 to 1 do alike, less does worse
MAX_RECALL_WEIGHT = 100  # stage 1 alone, practically
MAX_LEXICAL_WEIGHT = 10  # words alone, practically


@dataclass(frozen=True)
class EngineConfig:
    """What one request does when it does not say otherwise."""

    recall_depth: int = 200  # candidates that stage 1 recalls
    rerank_depth: int = 50  # of them, the first so many are reranked
    # what the best lexical score is worth in stage 1, in cosine; 0 leaves recall to the vectors
    lexical_weight: float = LEXICAL_WEIGHT
    # what stage 1's score adds to the reranker's logit; on Home Depot's `dev`, 1 to 2 do best
    recall_weight: float = 1.5
    numerics: Literal["auto", "float32", "bfloat16"] = "auto"  # inputs of matrix products
    cache_megabytes: int = 64  # memory for query vectors and texts of pairs; 0 remembers nothing
    # kept back of a deadline for what follows the engine (to write and to send the answer), or a
    # tenth of it where that is more
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

    def with_default_requests(self) -> "EngineConfig":
        """The same, with the defaults of what a request does."""
        return EngineConfig(numerics=self.numerics, cache_megabytes=self.cache_megabytes)
