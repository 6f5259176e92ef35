"""Default values for requests, and settings of the engine."""

from dataclasses import dataclass
from typing import Literal

from base.errors import InputError
from search.understanding.interpretation import Understanding
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
    # data type of the inputs of matrix products
    numerics: Literal["auto", "float32", "bfloat16"] = "auto"
    cache_megabytes: int = 64  # MiB of memory for cached model results; 0 caches nothing
    # time reserved to write and send the answer; at least 15% of the time left is reserved
    answer_milliseconds: int = 5
    language: str = ""  # language of queries whose request names none, such as "de"; "": English
    correct_spelling: bool = True  # correct mistyped words of queries
    join_and_split_words: bool = True  # search for "dish washer" as "dishwasher", and the reverse
    use_synonyms: bool = True  # search for the synonyms of the dataset's synonyms.txt
    drop_stop_words: bool = True  # leave words such as "for" out of the lexical search
    # effect of limits of the price, such as "under 50"; "off": their words are searched for
    price_limits: Literal["filter", "demote", "off"] = "filter"
    # effect of exclusions, such as "without sugar"; "off": their words are searched for
    exclusions: Literal["filter", "demote", "off"] = "demote"
    recognise_values: bool = True  # report brands, categories and attribute values in queries

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
        for name, low in (("recall_depth", 1), ("rerank_depth", 0)):
            if not low <= getattr(self, name) <= MAX_DEPTH:
                raise InputError(
                    f"engine: {name} is {getattr(self, name)}; it must lie between {low} and "
                    f"{MAX_DEPTH}"
                )

    @property
    def understanding(self) -> Understanding:
        """The kinds of understanding that the settings have on."""
        return Understanding(
            spelling=self.correct_spelling,
            compounds=self.join_and_split_words,
            synonyms=self.use_synonyms,
            stop_words=self.drop_stop_words,
            limits=self.price_limits != "off",
            exclusions=self.exclusions != "off",
            values=self.recognise_values,
        )

    def with_default_requests(self) -> "EngineConfig":
        """Return a copy that keeps `numerics` and `cache_megabytes`; other fields get defaults."""
        return EngineConfig(numerics=self.numerics, cache_megabytes=self.cache_megabytes)
