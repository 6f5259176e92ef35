"""The state of one search: what each step of the pipeline reads and sets."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64

from catalog.catalogue import Catalogue
from catalog.facets import FacetCounts
from search.channels.base import Allowed
from search.channels.fusion import Candidates
from search.config import MAX_DEPTH, EngineConfig
from search.pipeline.active_rules import ActiveRules, RuleEffects
from search.request import MAX_OFFSET, MAX_PAGE_SIZE, SearchRequest
from search.result import Degradation, Hit, SearchResult
from search.runtime.deadline import DeadlineBudget
from search.runtime.stage_timer import StageTimer
from search.snapshot import Snapshot

DEEPEST = MAX_OFFSET + MAX_PAGE_SIZE + 1  # candidates that the last possible page needs


@dataclass(frozen=True)
class Depths:
    """How many candidates each stage has."""

    recall: int
    rerank: int  # 0: none
    rerank_limit: int  # most candidates to rerank, pinned ones included

    @classmethod
    def of(cls, request: SearchRequest, config: EngineConfig, *, can_rerank: bool) -> "Depths":
        """Return what a request asks for, with the defaults of the engine."""
        recall, rerank, limit = request.recall_depth, request.rerank_depth, request.rerank_limit
        if rerank is None:
            rerank = config.rerank_depth
        return cls(
            config.recall_depth if recall is None else recall,
            rerank if can_rerank else 0,
            MAX_DEPTH if limit is None else limit,
        )


@dataclass(frozen=True)
class RerankScores:
    """What the reranker says of the first candidates: of all it should score, or those in time.

    Attributes:
        logits: The logits of the reranker.
        lexical: The lexical scores; NaN for items that are in no index.
    """

    logits: Float32[np.ndarray, " scored"]
    lexical: Float32[np.ndarray, " scored"]

    def __len__(self) -> int:
        return len(self.logits)

    def hits(
        self,
        catalogue: Catalogue,
        rows: Int32[np.ndarray, " candidates"],
        dense_scores: Float32[np.ndarray, " candidates"],
    ) -> list[Hit]:
        """Return the scored candidates in the order given, by id alone."""
        return [
            Hit(
                item_id=catalogue.id(int(rows[position])),
                score=float(logit),
                dense_score=float(dense_scores[position]),
                rerank_score=float(logit),
                lexical_score=None if np.isnan(lexical) else float(lexical),
            )
            for position, (logit, lexical) in enumerate(
                zip(self.logits.tolist(), self.lexical.tolist(), strict=True)
            )
        ]


NOT_RERANKED = RerankScores(np.zeros(0, np.float32), np.zeros(0, np.float32))


@dataclass(frozen=True)
class Ranking:
    """The ranked list before rules work on it.

    Attributes:
        rows: Rows of the items; pinned items come first, the others are ranked behind them.
        scores: Their scores; those of items that are not pinned fall.
        candidates: By rank, the position among the candidates; empty when nothing was recalled.
        recalled: How many of the items behind the pinned ones were recalled. What follows is there
            for deep pages, and stays there.
        reranked: How many of the items behind the pinned ones were reranked.
    """

    rows: Int32[np.ndarray, " ranks"]
    scores: Float32[np.ndarray, " ranks"] | Float64[np.ndarray, " ranks"]
    candidates: Int64[np.ndarray, " candidates"]
    recalled: int
    reranked: int


NOTHING = Ranking(np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(0, np.int64), 0, 0)


@dataclass
class SearchState:
    """One search on its way through the pipeline.

    Attributes:
        request: What the caller asks for.
        snapshot: The items that are searched.
        config: Settings of the engine.
        weights: By channel, the weight of its scores in the recall score.
        depths: How many candidates each stage has.
        budget: How much time there is.
        timer: What each stage took.
        degradations: What was left out so far, and why.
        allowed: The items that may be found; None: all rows, which are alive. Set by `filter`.
        matched: How many items pass the filter and are not excluded; None without a filter.
        rules: The rules in force; None without any.
        candidates: What recall found, with pinned items first; None when browsing. Set by `recall`.
        recalled_rows: What recall found, without pinned items that it did not find.
        rerank_target: How many of the candidates to rerank if there is time.
        scores: What the reranker says of the first candidates. Set by `rerank`.
        facets: What the facets count. Set by `facets`.
        ranking: The ranked list. Set by `rules`; by `recall` when browsing.
        shown: The ranks that remain, best first: those up to the page and one more. Set by `rules`.
        effects: What rules did; None without any.
        result: The answer. Set by `page`.
    """

    request: SearchRequest
    snapshot: Snapshot
    config: EngineConfig
    weights: Mapping[str, float]
    depths: Depths
    budget: DeadlineBudget
    timer: StageTimer
    degradations: list[Degradation] = field(default_factory=list)
    allowed: Allowed = None
    matched: int | None = None
    rules: ActiveRules | None = None
    candidates: Candidates | None = None
    recalled_rows: Int32[np.ndarray, " recalled"] = field(
        default_factory=lambda: np.zeros(0, np.int32)
    )
    rerank_target: int = 0
    scores: RerankScores = NOT_RERANKED
    facets: tuple[FacetCounts, ...] = ()
    ranking: Ranking = NOTHING
    shown: Int64[np.ndarray, " shown"] = field(default_factory=lambda: np.zeros(0, np.int64))
    effects: RuleEffects | None = None
    result: SearchResult | None = None

    @property
    def pins(self) -> Int32[np.ndarray, " pins"]:
        """Rows of the pinned items."""
        return np.zeros(0, np.int32) if self.rules is None else self.rules.pins

    def fork(self) -> "SearchState":
        """Return a state whose further steps leave this one as it is."""
        return replace(self, timer=self.timer.fork(), degradations=list(self.degradations))
