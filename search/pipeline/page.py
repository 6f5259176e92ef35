"""One search under way: which items it may find, what it found, and the page cut out of that."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32

from catalog.facets import Facet, FacetCounts
from catalog.filters import Filter
from search import validation
from search.channels.base import Allowed, Query
from search.channels.fusion import Candidates
from search.config import EngineConfig
from search.pipeline.rerank import NOT_SCORED, Reranking, Scored
from search.pipeline.rules import Joined, Ruling
from search.result import MAX_DEPTH, MAX_OFFSET, MAX_PAGE_SIZE, Degradation, Hit, SearchResult
from search.rules import NO_RULES, RuleReport, Rules
from search.runtime.deadline import Clock
from search.signals import rerank_order
from search.snapshot import Snapshot

DEEPEST = MAX_OFFSET + MAX_PAGE_SIZE + 1  # candidates that the last page there is needs


@dataclass(frozen=True)
class Depths:
    """How many candidates each stage has."""

    recall: int
    rerank: int  # 0 for none
    rerank_most: int  # that are reranked at most, what is pinned included

    @classmethod
    def of(
        cls,
        config: EngineConfig,
        recall: int | None,
        rerank: int | None,
        rerank_most: int | None,
        *,
        reranks: bool,
    ) -> "Depths":
        """What a request asks for, or the default where it is None.

        Raises:
            RequestError: a depth is out of its limits.
        """
        recall = validation.depth("recall_depth", recall, config.recall_depth, low=1)
        rerank = validation.depth("rerank_depth", rerank, config.rerank_depth, low=0)
        most = validation.depth("rerank_most", rerank_most, MAX_DEPTH, low=0)
        return cls(recall, rerank if reranks else 0, most)


@dataclass(frozen=True)
class Wanted:
    """What a search is to answer: the arguments of `Engine.search`, checked, with its defaults."""

    query: str
    offset: int  # hits before the page
    end: int  # and those with the page
    depths: Depths
    facets: tuple[Facet, ...]
    max_per_group: int


@dataclass(frozen=True)
class Choice:
    """A search before anything is recalled.

    Attributes:
        wanted: What it is to answer.
        snapshot: What it searches.
        clock: Its time.
        config: What scores weigh.
        filtered: Whether there is a filter.
        allowed: The items that it may find: those that pass the filter and are not excluded.
        ruling: Its rules in force; None without any.
    """

    wanted: Wanted
    snapshot: Snapshot
    clock: Clock
    config: EngineConfig
    filtered: bool
    allowed: Allowed
    ruling: Ruling | None

    @classmethod
    def of(
        cls,
        wanted: Wanted,
        snapshot: Snapshot,
        clock: Clock,
        config: EngineConfig,
        filter: Filter | None,
        rules: Rules,
    ) -> "Choice":
        """Filter, and bring rules into force; `checks` has let both through."""
        passed = snapshot.selection.allowed(filter, clock)
        allowed, ruling = snapshot.catalogue.alive if passed is None else passed, None
        if rules != NO_RULES:
            most = wanted.max_per_group
            ruling = Ruling.of(
                rules, snapshot.catalogue, snapshot.recall.vectors, passed, most, clock
            )
            allowed = ruling.allowed
        return cls(wanted, snapshot, clock, config, passed is not None, allowed, ruling)

    def browse(self) -> SearchResult:
        """The page of all that it may find, by popularity."""
        wanted = self.wanted
        return self.snapshot.selection.browse(
            self.snapshot.catalogue.all_alive if self.allowed is None else self.allowed,
            wanted.offset,
            wanted.end,
            wanted.facets,
            wanted.max_per_group,
            self.clock,
            self.ruling,
        )

    def recall(self, vector: Float32[np.ndarray, " dim"]) -> "Found":
        """Recall candidates for the query that has this vector, enough for the page."""
        wanted, recall, ruling = self.wanted, self.snapshot.recall, self.ruling
        query = Query(wanted.query, vector)
        with self.clock.stage("recall", 0):
            found = self._enough(query)
        self.clock.found(len(found), found.plan)
        depth = min(wanted.depths.rerank, wanted.depths.recall, len(found))
        candidates, joined = found, None
        if ruling is not None:
            joined = ruling.joined(
                found,
                recall.scores(query, ruling.pins, self.config.weights),
                recall.cosines(vector, ruling.pins),
                wanted.depths.recall,
                depth,
            )
            candidates, depth = joined.candidates, joined.reranked
        matched = self.snapshot.selection.matches(self.allowed) if self.filtered else None
        return Found(
            self, candidates, min(depth, wanted.depths.rerank_most), found.rows, matched, joined
        )

    def _enough(self, query: Query) -> Candidates:
        """Candidates for the page and one more, which tells whether there is a next page.

        All there are where these are fewer. Recalled to the depth asked for, followed by the
        nearest others for a page behind it, and by still others only where large groups, of which
        few may be shown, or rules make it necessary. Pages beyond the depth all recall the same and
        rerank the same head, so no item is on two of them.
        """
        wanted, recall, allowed = self.wanted, self.snapshot.recall, self.allowed
        depth = wanted.depths.recall
        found = recall.find(query, depth, self.config.weights, allowed=allowed)
        matches = self.snapshot.selection.matches(allowed)
        reached = depth if wanted.end < depth else DEEPEST
        for deeper in (reached, DEEPEST, matches):
            few = not self._suffices(found.rows)
            if len(found) < min(deeper, matches) and (deeper == reached or few):
                if deeper == matches and allowed is None:  # a scan: no index is made for so many
                    allowed = self.snapshot.catalogue.all_alive
                found = recall.extended(found, query, deeper, allowed)
        return found

    def _suffices(self, rows: Int32[np.ndarray, " found"]) -> bool:
        """Whether candidates fill the page and one place more."""
        end, most = self.wanted.end, self.wanted.max_per_group
        if self.ruling is not None:
            return self.ruling.enough(rows, end)
        return len(self.snapshot.selection.shown(rows, most, end + 1)) > end


@dataclass(frozen=True)
class Found:
    """A search that has its candidates.

    Attributes:
        choice: What it was before.
        candidates: What is pinned, and what was recalled.
        depth: How many of them are to be reranked, with time enough.
    """

    choice: Choice
    candidates: Candidates
    depth: int
    _recalled: Int32[np.ndarray, " recalled"]
    _matched: int | None
    _joined: Joined | None

    def provisional(self) -> SearchResult:
        """The page in the order of stage 1, with nothing counted."""
        return self._result(NOT_SCORED, ())

    def scored(self, reranking: Reranking) -> Scored:
        """The reranker's scores of the first candidates: of all that are to be, or those in time.

        Raises:
            DeadlineExceededError: the deadline passed.
        """
        choice, head, first = self.choice, self.candidates, slice(self.depth)
        query, clock, source = choice.wanted.query, choice.clock, choice.snapshot.signals
        return reranking.score(
            query, head.rows[first], head.cosines[first], clock, source, self.later
        )

    def answer(self, scored: Scored) -> SearchResult:
        """The page when the first candidates are scored, all that were to be or those in time."""
        choice = self.choice
        if len(scored[0]) < self.depth:
            some = Degradation.RERANK_SHORTENED
            choice.clock.leave_out(some if len(scored[0]) else Degradation.RERANK_SKIPPED)
        recalled = self._recalled[: choice.wanted.depths.recall]
        counts = choice.snapshot.selection.count(
            choice.wanted.facets, choice.allowed, recalled, choice.clock
        )
        return self._result(scored, counts)

    @property
    def later(self) -> tuple[str, ...]:
        """The stages that reranking has to leave time for."""
        page: tuple[str, ...] = ("page",) if self._joined is None else ("rules", "page")
        all_of_them = (*page, "facets")
        if not self.choice.wanted.facets or self.choice.clock.left(*all_of_them) <= 0:
            return page  # time that is not enough is kept for nothing
        return all_of_them

    def _result(self, scored: Scored, counts: tuple[FacetCounts, ...]) -> SearchResult:
        hits, has_more, reports = self._page(scored)
        clock = self.choice.clock
        return SearchResult(
            hits,
            tuple(clock.stages),
            len(self._recalled),
            len(scored[0]),
            has_more,
            self._matched,
            counts,
            tuple(clock.left_out),
            self.depth,
            reports,
        )

    def _page(self, scored: Scored) -> tuple[tuple[Hit, ...], bool, tuple[RuleReport, ...]]:
        """The hits of the page, whether others follow, and what each rule did."""
        wanted, snapshot, clock = self.choice.wanted, self.choice.snapshot, self.choice.clock
        found, (scores, lexical) = self.candidates, scored
        depth, end = len(scores), wanted.end
        both = scores + np.float32(self.choice.config.recall_weight) * found.scores[:depth]
        arranged = None if self._joined is None else self._joined.arranged(both, end, clock)
        with clock.step("page"):
            if arranged is None:
                order, final = rerank_order(both, found.scores[depth:])
                ranked = np.concatenate([order, np.arange(depth, len(found))])
                stay = snapshot.selection.shown(found.rows[ranked], wanted.max_per_group, end + 1)
            else:
                ranked, stay, final = arranged.ranked, arranged.places, arranged.scores
            hits = []
            for place in stay[wanted.offset : end].tolist():
                at = int(ranked[place])
                item = snapshot.catalogue.item(int(found.rows[at]))
                hits.append(
                    Hit(
                        item_id=item.item_id,
                        score=float(final[place]),
                        dense_score=float(found.cosines[at]),
                        recall_score=float(found.scores[at]),
                        rerank_score=float(scores[at]) if at < depth else None,
                        lexical_score=float(lexical[at]) if at < depth else None,
                        channels=found.channels(at),
                        item=item,
                    )
                )
            if arranged is None:
                return tuple(hits), len(stay) > end, ()
            return arranged.explained(hits, wanted.offset), len(stay) > end, arranged.reports
