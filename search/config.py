"""The engine's defaults for requests, and when the live catalogue compacts."""

from dataclasses import dataclass
from typing import Literal

from base.errors import InputError

MAX_DEPTH = 1_000  # candidates of recall and of reranking
# On Home Depot's `dev`, weights from 0.4 to 1 score alike and lower ones worse (`bench.recall`).
LEXICAL_WEIGHT = 0.4
MAX_RECALL_WEIGHT = 100  # at this weight the recall score alone decides the order in practice
MAX_LEXICAL_WEIGHT = 10  # at this weight the lexical score alone decides it in practice
ANSWER_SHARE = 0.15  # share of the time left that is kept for the answer


@dataclass(frozen=True)
class EngineConfig:
    """Defaults of a request."""

    recall_depth: int = 200  # number of candidates that recall finds
    rerank_depth: int = 50  # number of the first candidates that are reranked
    # weight of the lexical score in recall: the best lexical score counts as this much cosine
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

    def with_default_requests(self) -> "EngineConfig":
        """Return this configuration with the default values of all request settings."""
        return EngineConfig(numerics=self.numerics, cache_megabytes=self.cache_megabytes)
