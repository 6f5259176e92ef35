"""Default values for requests, and settings of the engine."""

import math
from dataclasses import dataclass
from typing import Literal

from base.errors import InputError
from search.ranking.weights import MAX_WEIGHT, parse_channel_weights
from search.understanding.interpretation import Understanding

MAX_DEPTH = 1_000  # largest number of candidates that recall finds
MAX_PER_GROUP = 100  # largest number of results with the same group_id
MAX_RERANK_ITEMS = 500  # largest number of items that one request reranks
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
    # maximum number of results with the same group_id, for requests that set none; 0: no limit
    max_per_group: int = 1
    ignore_stock: bool = False  # leave results that are out of stock where they rank
    # largest share of the positions of a list at which exploration shows uncertain items; 0 turns
    # exploration off, whatever requests ask for
    max_exploration: float = 0.2
    # data type of the inputs of matrix products
    numerics: Literal["auto", "float32", "bfloat16"] = "auto"
    cache_megabytes: int = 64  # MiB of memory for cached model results; 0 caches nothing
    # time reserved to write and send the answer; at least 15% of the time left is reserved
    answer_milliseconds: int = 5
    # language of queries whose request names none, such as "de"; empty: the languages of the items
    language: str = ""
    correct_spelling: bool = True  # correct mistyped words of queries
    join_and_split_words: bool = True  # search for "dish washer" as "dishwasher", and the reverse
    use_synonyms: bool = True  # search for the synonyms of synonyms.txt and of curations
    drop_stop_words: bool = True  # leave words such as "for" out of the lexical search
    # effect of limits of the price, such as "under 50"; "off": their words are searched for
    price_limits: Literal["filter", "demote", "off"] = "filter"
    # effect of exclusions, such as "without sugar"; "off": their words are searched for
    exclusions: Literal["filter", "demote", "off"] = "demote"
    recognise_values: bool = True  # report brands, categories and attribute values in queries
    # put items with a code of the query first, and mark results as guessed if no item has the code
    find_codes: bool = True
    match_sizes: bool = True  # prefer items that have the sizes of the query, such as "1/2 in"
    use_curated_rules: bool = True  # apply the rules that a curation has for a query

    def __post_init__(self) -> None:
        """Check that every value is within its limits.

        Raises:
            InputError: a value is out of its limits.
        """
        self._require("recall_depth", 1, MAX_DEPTH)
        self._require("rerank_depth", 0, MAX_RERANK_ITEMS)
        self._require("max_per_group", 0, MAX_PER_GROUP)
        self._require("recall_weight", 0, MAX_WEIGHT)
        self._require("min_relevance", 0, 1)
        self._require("max_exploration", 0, 1)
        for name in ("cache_megabytes", "answer_milliseconds"):
            self._require(name, 0)
        parse_channel_weights(self.channel_weights)

    def _require(self, name: str, low: int, high: int | None = None) -> None:
        value = getattr(self, name)
        if value is not None and not low <= value <= (math.inf if high is None else high):
            allowed = f"{low} or more" if high is None else f"{low} to {high:,}"
            raise InputError(f"engine: {name} is {value:,}; give {allowed}")

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
            codes=self.find_codes,
            sizes=self.match_sizes,
            curated_rules=self.use_curated_rules,
        )

    def with_default_requests(self) -> "EngineConfig":
        """Return a copy that keeps `numerics` and `cache_megabytes`; other fields get defaults."""
        return EngineConfig(numerics=self.numerics, cache_megabytes=self.cache_megabytes)
