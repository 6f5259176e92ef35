"""The state of one search, which the steps of the pipeline read and change."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64

from catalog.catalogue import Catalogue
from catalog.facets import FacetCounts
from search.channels.base import Allowed, Query
from search.config import MAX_DEPTH, EngineConfig
from search.identifiers.matching import NO_CODES, CodeMatch
from search.people.history import History
from search.people.live import LivePeople
from search.pipeline.rule_effects.active_rules import ActiveRules, RuleEffects
from search.ranking.candidates import Candidates, ChannelScores, scores_at
from search.ranking.weights import Weights
from search.recommending.learned import LearnedList
from search.request import MAX_OFFSET, MAX_PAGE_SIZE, SearchRequest
from search.result import Degradation, Hit, SearchResult
from search.rules import NO_RULES, NamedRules
from search.runtime.deadline import DeadlineBudget
from search.runtime.stage_timer import StageTimer
from search.snapshot import Snapshot
from search.understanding.interpretation import Interpretation

DEEPEST = MAX_OFFSET + MAX_PAGE_SIZE + 1  # number of candidates for the last possible page
RECOMMENDED = 500  # number of items that recommendations rank
EXPLORED = 100  # number of the first results from which exploration draws items


@dataclass(frozen=True)
class Depths:
    """The number of candidates of recall and of reranking."""

    recall: int  # candidates to recall
    rerank: int  # recalled candidates to rerank; 0: none
    rerank_limit: int  # maximum number of candidates to rerank, including pinned items

    @classmethod
    def of(cls, request: SearchRequest, config: EngineConfig, *, can_rerank: bool) -> "Depths":
        """Return the depths of a request. The engine's defaults replace depths that are not set."""
        recall, rerank, limit = request.recall_depth, request.rerank_depth, request.rerank_limit
        if request.recommending is not None:  # its ranker needs no query, and no cross-encoder
            return cls(RECOMMENDED, RECOMMENDED, MAX_DEPTH if limit is None else limit)
        if rerank is None:  # the scores of the reranker do not change an order that is asked for
            rerank = 0 if request.order_by else config.rerank_depth
        return cls(
            config.recall_depth if recall is None else recall,
            rerank if can_rerank else 0,
            MAX_DEPTH if limit is None else limit,
        )


@dataclass(frozen=True)
class RerankScores:
    """Scores of the first candidates: of all candidates to rerank, or fewer if time was short.

    Attributes:
        logits: The logits of the reranker.
        channel_scores: Each channel's scores, by channel name; NaN for items that the channel does
            not have.
    """

    logits: Float32[np.ndarray, " scored"]
    channel_scores: ChannelScores

    def __len__(self) -> int:
        return len(self.logits)

    def hits(self, catalogue: Catalogue, rows: Int32[np.ndarray, " candidates"]) -> list[Hit]:
        """Return hits of the scored candidates in the given order, without items."""
        return [
            Hit(
                item_id=catalogue.id(int(rows[position])),
                score=float(logit),
                channel_scores=scores_at(self.channel_scores, position),
                rerank_score=float(logit),
            )
            for position, logit in enumerate(self.logits.tolist())
        ]


NOT_RERANKED = RerankScores(np.zeros(0, np.float32), {})


@dataclass(frozen=True)
class RankedList:
    """The ranked list before rules are applied.

    Attributes:
        rows: Rows of the items: pinned items first, then the other items by rank.
        scores: The score of each rank; falling after the pinned items. Empty when browsing without
            rules, when only the items of the page need scores.
        candidates: For each rank, the position among the candidates; empty when browsing.
        recalled: Number of recalled items after the pinned items. The items after the recalled
            items are for deep pages; boosts and diversity do not move them.
        reranked: Number of reranked items after the pinned items.
    """

    rows: Int32[np.ndarray, " ranks"]
    scores: Float32[np.ndarray, " scores"] | Float64[np.ndarray, " scores"]
    candidates: Int64[np.ndarray, " candidates"]
    recalled: int
    reranked: int

    def first(self, count: int, pins: int) -> "RankedList":
        """Return the first `count` ranks, of which `pins` are pinned items."""
        return RankedList(
            self.rows[:count],
            self.scores[:count],
            self.candidates[:count],
            min(self.recalled, count - pins),
            min(self.reranked, count - pins),
        )


NOTHING = RankedList(np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(0, np.int64), 0, 0)


@dataclass
class SearchState:
    """The state of one search in the pipeline.

    Attributes:
        request: The request.
        interpretation: What the query was understood as; None when browsing. Set by `understand`.
        codes: The codes in the query. Set by `understand`.
        curated: The rules that a curation has for the query; None without such rules. Set by
            `understand`.
        snapshot: The items that are searched.
        config: Settings of the engine.
        weights: The weights of the channels' scores and of the recall score.
        depths: The number of candidates of recall and of reranking.
        budget: The deadline budget.
        timer: The stage timer.
        people: The events that the server has recorded; None: only those of the request.
        now: The time of the request, in microseconds since 1970.
        history: The history of the person; None if the request names no person and asks for no
            recommendations. Set by `meet_person`.
        degradations: Work that was left out so far, and why.
        allowed: Mask of the items that may be returned; None for all rows (only if no row is
            deleted). Set by `filter`.
        matched: Number of items that pass the filter and are not excluded; None without a filter.
        rules: The resolved rules; None without rules.
        query: The query in the form that channels use; None when browsing. Set by `recall`.
        learned: The candidates of the bundle's recommender, if it answers the request. Set by
            `recall`.
        candidates: The candidates, pinned items first; None when browsing. Set by `recall`.
        recalled_rows: Rows that recall found, without pinned items that recall did not find.
        exact: Number of candidates after the pinned items that have a code of the query. Set by
            `recall`.
        rerank_target: Number of candidates to rerank if there is time.
        scores: The reranker's scores of the first candidates. Set by `rerank`.
        ranking: The ranked list. Set by `rank` or, when browsing, by `recall`. `relevance` leaves
            out the items below the minimum relevance.
        signals: The signals of relevance of each rank, by name; empty when browsing. Set by
            `relevance`.
        relevance: The relevance of each rank; None when browsing, and if the bundle has no
            calibration. Set by `relevance`.
        relevant: Estimated number of relevant items; None like `relevance`.
        nothing_fits: Whether no candidate is relevant enough. Set by `relevance`.
        facets: The facet counts. Set by `facets`.
        order: Ranks without the pinned items, in the order that the request asks for; None if it
            asks for no order. Set by `sorting`.
        shown: The ranks of the results, best first, up to the first result after the page. Set by
            `rules`.
        effects: The effects of rules; None without rules.
        active_promotions: A number whose n-th bit says whether the n-th promotion may spend; None
            without promotions. Set by `promote`.
        promoted: The index of the promotion of each position, from 0, that a promotion has. Set by
            `promote`.
        exploring: Whether exploration drew the result for its position; None without exploration.
            Set by `explore`.
        propensities: The probability of each result at its position; None without exploration. Set
            by `explore`.
        result: The result. Set by `page`.
    """

    request: SearchRequest
    snapshot: Snapshot
    config: EngineConfig
    weights: Weights
    depths: Depths
    budget: DeadlineBudget
    timer: StageTimer
    people: LivePeople | None = None
    now: int = 0
    history: History | None = None
    degradations: list[Degradation] = field(default_factory=list)
    allowed: Allowed = None
    matched: int | None = None
    codes: CodeMatch = NO_CODES
    interpretation: Interpretation | None = None
    curated: NamedRules | None = None
    rules: ActiveRules | None = None
    query: Query | None = None
    learned: LearnedList | None = None
    candidates: Candidates | None = None
    recalled_rows: Int32[np.ndarray, " recalled"] = field(
        default_factory=lambda: np.zeros(0, np.int32)
    )
    exact: int = 0
    rerank_target: int = 0
    scores: RerankScores = NOT_RERANKED
    ranking: RankedList = NOTHING
    signals: Mapping[str, Float32[np.ndarray, " ranks"]] = field(default_factory=dict)
    relevance: Float32[np.ndarray, " ranks"] | None = None
    relevant: int | None = None
    nothing_fits: bool = False
    facets: tuple[FacetCounts, ...] = ()
    order: Int64[np.ndarray, " ordered"] | None = None
    shown: Int64[np.ndarray, " shown"] = field(default_factory=lambda: np.zeros(0, np.int64))
    effects: RuleEffects | None = None
    active_promotions: int | None = None
    promoted: Mapping[int, int] = field(default_factory=dict)
    exploring: Bool[np.ndarray, " shown"] | None = None
    propensities: Float64[np.ndarray, " shown"] | None = None
    result: SearchResult | None = None

    @property
    def pins(self) -> Int32[np.ndarray, " pins"]:
        """Rows of the pinned items."""
        return np.zeros(0, np.int32) if self.rules is None else self.rules.pins

    @property
    def listed(self) -> int:
        """The number of results to list: at least those up to the page, and one more.

        Exploration and promotions read the same items for every page, so that all pages are parts
        of one list.
        """
        listed, fixed = self.request.end, len(self.pins) + self.exact
        if self.request.exploration is not None:
            listed = max(listed, fixed + EXPLORED)
        if self.rules is not None and self.rules.promotions:
            listed = max(listed, fixed + self.depths.recall)
        return listed + 1

    @property
    def predicted(self) -> Float64[np.ndarray, " ranks"] | None:
        """How much people are likely to want the item of each rank, from 0 to 1; None: unknown.

        In a search, this is the relevance. In recommendations, it is relative to the best item that
        is not pinned. The scores of a ranker are logarithms of probabilities plus a constant, so
        their differences count. Of other scores, the shares of the best score count.
        """
        if self.relevance is not None:
            return self.relevance.astype(np.float64)
        scores = self.ranking.scores.astype(np.float64)
        others = scores[len(self.pins) :]
        if self.request.recommending is None or not len(others):
            return None
        if self.learned is not None and self.learned.ranked:
            return np.asarray(np.exp(np.minimum(scores - others.max(), 0.0)))
        return np.clip(scores / others.max(), 0.0, 1.0) if others.max() > 0 else None

    @property
    def rule_sources(self) -> tuple[NamedRules, ...]:
        """The rules of the request and then those of the curation, if they change anything."""
        sources = (NamedRules(self.request.rules), self.curated)
        return tuple(s for s in sources if s is not None and s.rules != NO_RULES)

    @property
    def max_per_group(self) -> int:
        """Maximum number of results with the same group_id; 0: no limit."""
        request = self.request
        return 0 if request.show_variants else request.max_per_group or self.config.max_per_group

    @property
    def in_stock_first(self) -> bool:
        """Whether items out of stock come last. An order of the request is not changed."""
        request = self.request
        return not (self.config.ignore_stock or request.ignore_stock or request.order_by)

    def fork(self) -> "SearchState":
        """Return a copy. Steps that run on the copy do not change this state."""
        return replace(self, timer=self.timer.fork(), degradations=list(self.degradations))
