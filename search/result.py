"""What the engine answers: hits, stage reports, and what was left out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from jaxtyping import Float32

from catalog.facets import FacetCounts
from catalog.items import Item
from search.rules import Adjustment, RuleReport


@dataclass(frozen=True)
class Hit:
    """One ranked item.

    Attributes:
        item_id: The item's id.
        score: What the list is ordered by; it falls along the list, but for diversity and pins.
        dense_score: Cosine of the query and item vectors, in [-1, 1]; None without a query.
        recall_score: What recall ordered the item by: the weighted sum of the scores of all
            channels; None without a query.
        rerank_score: The reranker's logit; None for an item that was not reranked.
        lexical_score: Lexical score over the best one any item has for the query, in [0, 1];
            None for an item that was not reranked or is in no index.
        channels: The channels that recalled the item, and the rank from 1 that each gave it.
        item: The item as it was searched; None where only its id is answered.
        base_score: The score without what boosts added; None without rules.
        adjustments: What rules did to it, in the order in which they work.
    """

    item_id: str
    score: float
    dense_score: float | None = None
    recall_score: float | None = None
    rerank_score: float | None = None
    lexical_score: float | None = None
    channels: Mapping[str, int] = field(default_factory=dict)
    item: Item | None = None
    base_score: float | None = None
    adjustments: tuple[Adjustment, ...] = ()


@dataclass(frozen=True)
class StageReport:
    """What one stage did.

    Attributes:
        name: Which stage.
        candidates: How many candidates left it.
        seconds: Its wall time, what it waited for other calls' model work included.
        cached: How many of its model results were remembered from earlier calls.
        plan: How a recall with a filter found its candidates (see `filtered.Plan`); else "".
    """

    name: str
    candidates: int
    seconds: float
    cached: int = 0
    plan: str = ""


class Degradation(StrEnum):
    """What was left out of an answer, and why."""

    RERANK_SHORTENED = "rerank shortened"  # fewer candidates were reranked, for lack of time
    RERANK_SKIPPED = "rerank skipped"  # none was, for lack of time
    RERANK_UNAVAILABLE = "rerank unavailable"  # it was asked for, and the bundle has no reranker
    FACETS_SKIPPED = "facets skipped"  # nothing was counted, for lack of time


@dataclass(frozen=True)
class SearchResult:
    """A ranked list and an account of how it came about.

    Attributes:
        hits: The results of the page, best first.
        stages: One report per stage that ran, in order.
        recalled: How many candidates recall found.
        reranked: How many candidates the reranker scored.
        has_more: Whether results follow after this page.
        matched: Items that pass the filter; None without one.
        facets: What the facets counted, in the order asked for.
        degradations: What was left out.
        rerank_target: Candidates that the reranker would score if there were time enough.
        rules: What each rule did, in the order in which they work.
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


@dataclass(frozen=True)
class Embeddings:
    """Vectors, and an account of how they came about.

    Attributes:
        vectors: One unit vector per input, in their order.
        stages: One report per stage that ran, in order.
    """

    vectors: Float32[np.ndarray, "inputs dim"]
    stages: tuple[StageReport, ...]


@dataclass(frozen=True)
class Lookup:
    """Items by id, and an account of it.

    Attributes:
        items: Those found, in the order in which their ids were given.
        missing: The ids that the catalogue does not have, in the order in which they were given.
        stages: One report per stage that ran, in order.
    """

    items: tuple[Item, ...]
    missing: tuple[str, ...]
    stages: tuple[StageReport, ...]


Answer: TypeAlias = SearchResult | Embeddings | Lookup  # what the engine gives for a request
