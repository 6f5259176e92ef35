"""Results of the engine: hits, reports of stages, and degradations (omitted work)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from jaxtyping import Float32

from behaviour.profile import Profile
from catalog.facets import FacetCounts
from catalog.items import Item
from lexical.highlights import Highlight
from lexical.suggestions import Kind
from search.people.reasons import Reason, Signal
from search.rules import Adjustment, RuleReport
from search.understanding.interpretation import Interpretation


@dataclass(frozen=True)
class Hit:
    """One ranked item.

    Attributes:
        item_id: The item's id.
        score: The final score. It sorts the list; after that, diversity and pins move items.
        channel_scores: The item's score in each channel that scored the item, by channel name:
            "dense" is the cosine of the query and item vectors, in [-1, 1], and "lexical" is the
            item's BM25 divided by the best BM25 of any item, in [0, 1]. Empty when browsing.
        channel_ranks: The item's rank (from 1) in each channel that recalled the item, by channel
            name.
        recall_score: The weighted sum of the channels' scores of the item, lower by a constant for
            demoted items; None when browsing and for a `RerankRequest`.
        rerank_score: The reranker's logit; None for an item that was not reranked.
        item: The item at the time of the search; None if only ids are returned.
        base_score: The score without boosts; None without rules.
        adjustments: The effects of rules on the item, in the order of `search.rules`.
        signals: The signals from which the relevance is estimated, by name (see
            `search.relevance`), without a logit if the item was not reranked; empty when browsing.
        relevance: The estimated probability that the item is relevant, in [0, 1]; None when
            browsing, and if the bundle has no calibration.
        variant_count: Number of further relevant items with the same group_id that are left out.
        highlights: The words of the item that match the query; empty if the request asks for none.
        guessed: Whether the result is a guess: the query has a code that no item has, or no item
            fits. Pinned items and items with a code of the query are no guesses.
        reasons: Why the item was recommended, the strongest reason first; empty for a search.
        promotion_id: The id of the promotion that moved the item up; "" for other items.
        exploring: Whether exploration drew the item for its position.
        propensity: The probability that exploration shows the item at its position; None without
            exploration.
    """

    item_id: str
    score: float
    channel_scores: Mapping[str, float] = field(default_factory=dict)
    channel_ranks: Mapping[str, int] = field(default_factory=dict)
    recall_score: float | None = None
    rerank_score: float | None = None
    item: Item | None = None
    base_score: float | None = None
    adjustments: tuple[Adjustment, ...] = ()
    signals: Mapping[str, float] = field(default_factory=dict)
    relevance: float | None = None
    variant_count: int = 0
    highlights: tuple[Highlight, ...] = ()
    guessed: bool = False
    reasons: tuple[Reason, ...] = ()
    promotion_id: str = ""
    exploring: bool = False
    propensity: float | None = None


@dataclass(frozen=True)
class StageReport:
    """The report of one stage of a request.

    Attributes:
        name: The name of the stage.
        candidates: The amount of work: candidates, or what `stage_report.proto` says for the stage.
        seconds: Wall time of the stage, including waits for the model work of other calls.
        cached: Number of model results that came from the cache.
        plan: How recall searched within a filter (see `filtered.Plan`); "" otherwise.
    """

    name: str
    candidates: int
    seconds: float
    cached: int = 0
    plan: str = ""


class Degradation(StrEnum):
    """Work that was left out of an answer, and why."""

    RERANK_SHORTENED = "rerank shortened"  # fewer candidates were reranked, for lack of time
    RERANK_SKIPPED = "rerank skipped"  # no candidate was reranked, for lack of time
    RERANK_UNAVAILABLE = "rerank unavailable"  # requested, but the bundle has no reranker
    FACETS_SKIPPED = "facets skipped"  # facets were not counted, for lack of time
    USER_SKIPPED = "user skipped"  # the user tower did not read the history, for lack of time


@dataclass(frozen=True)
class SearchResult:
    """One page of a ranked list, and how the engine produced the list.

    Attributes:
        hits: The results of the page, best first.
        stages: One report per stage that ran, in order.
        recalled: How many candidates recall found.
        reranked: How many candidates the reranker scored.
        has_more: Whether there are results after this page.
        matched: Number of items that pass the filter and are not excluded; None without a filter.
        facets: The counts of the facets, in the order of the request.
        degradations: Work that was left out.
        rerank_target: Number of candidates that the reranker scores if there is enough time.
        rules: The effect of each rule, in the order of `search.rules`.
        interpretation: What the query was understood as; None without a query.
        relevant: Estimated number of relevant items among the recalled candidates; None when
            browsing, and if the bundle has no calibration.
        nothing_fits: Whether no candidate is relevant enough, so that all results are guesses.
        signals: The signals about people that the order of the results is based on.
        missing: The signals that the request asks for and that are not known.
        active_promotions: A number whose n-th bit says whether the n-th promotion may spend; None
            without promotions.
    """

    hits: tuple[Hit, ...]
    stages: tuple[StageReport, ...]
    recalled: int
    reranked: int
    has_more: bool = False
    matched: int | None = None
    facets: tuple[FacetCounts, ...] = ()
    degradations: tuple[Degradation, ...] = ()
    rerank_target: int = 0
    rules: tuple[RuleReport, ...] = ()
    interpretation: Interpretation | None = None
    relevant: int | None = None
    nothing_fits: bool = False
    signals: tuple[Signal, ...] = ()
    missing: tuple[Signal, ...] = ()
    active_promotions: int | None = None


@dataclass(frozen=True)
class Embeddings:
    """Vectors, and the reports of the stages that computed them.

    Attributes:
        vectors: One unit vector per input, in the order of the inputs.
        stages: One report per stage that ran, in order.
    """

    vectors: Float32[np.ndarray, "inputs dim"]
    stages: tuple[StageReport, ...]


@dataclass(frozen=True)
class Lookup:
    """Items found by id, and the reports of the stages.

    Attributes:
        items: The items found, in the order of the given ids.
        missing: The ids that the catalogue does not have, in the given order.
        stages: One report per stage that ran, in order.
    """

    items: tuple[Item, ...]
    missing: tuple[str, ...]
    stages: tuple[StageReport, ...]


@dataclass(frozen=True)
class ItemList:
    """A page of the items of the catalogue, and the reports of the stages.

    Attributes:
        items: The items, in the order of their ids.
        more: Whether there are items after this page.
        total: The number of all items.
        stages: One report per stage that ran, in order.
    """

    items: tuple[Item, ...]
    more: bool
    total: int
    stages: tuple[StageReport, ...]


@dataclass(frozen=True)
class SuggestedText:
    """A suggestion for what a shopper has typed.

    Attributes:
        text: The text to show, and to search for.
        kind: What the text is.
        score: How often shoppers and items use the text.
        category: The category path, for suggestions of categories; "" otherwise.
        brand: The brand, for suggestions of brands; "" otherwise.
        item_id: The id of an item with all words of the text, for suggestions from titles; ""
            otherwise.
        matched: The start and end of each part of `text` that was typed, in code points.
    """

    text: str
    kind: Kind
    score: float
    category: str = ""
    brand: str = ""
    item_id: str = ""
    matched: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Suggestions:
    """Suggestions, best first, and the reports of the stages.

    Attributes:
        suggestions: The suggestions.
        corrected_prefix: The prefix that the suggestions complete, if the typed prefix was
            corrected; "" otherwise.
        stages: One report per stage that ran, in order.
    """

    suggestions: tuple[SuggestedText, ...]
    corrected_prefix: str
    stages: tuple[StageReport, ...]


@dataclass(frozen=True)
class PersonProfile:
    """What is believed of a person, and the reports of the stages.

    Attributes:
        believed: What is believed.
        stages: One report per stage that ran, in order.
    """

    believed: Profile
    stages: tuple[StageReport, ...]


@dataclass(frozen=True)
class Question:
    """An item that a new person can like or not.

    Attributes:
        item: The item.
        information: What the answer adds to the answers before it, in bits.
    """

    item: Item
    information: float


@dataclass(frozen=True)
class Questions:
    """Preference questions, and the reports of the stages.

    Attributes:
        questions: The questions, the most informative first.
        stages: One report per stage that ran, in order.
    """

    questions: tuple[Question, ...]
    stages: tuple[StageReport, ...]


# Any result of the engine.
Answer: TypeAlias = (
    SearchResult | Embeddings | Lookup | ItemList | Suggestions | PersonProfile | Questions
)
