"""The engine: one request through both stages, and every part of it on its own.

Offline evaluation and the online service call the same methods. They are synchronous and can be
called from several threads; `share` then joins the model work of concurrent calls.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int32

from bert.numerics import Numerics, choose_numerics
from catalog.catalogue import Catalogue
from catalog.facets import Facet, FacetCounts
from catalog.filters import Filter
from catalog.schema import Item
from catalog.store import ItemStore
from catalog.text import item_text
from search import bundle, checks, golden
from search.cache import CacheReport, VectorCache
from search.clock import Clock, Costs, Remembered
from search.config import EngineConfig
from search.models import Models
from search.ranking import SignalSource, rerank_order
from search.recall import Allowed, Candidates
from search.records import (
    MAX_OFFSET,
    MAX_PAGE_SIZE,
    Channel,
    Degradation,
    Hit,
    NotSupportedError,
    SearchResult,
    UnknownItemsError,
)
from search.rules import NO_RULES, RuleReport, Rules
from search.ruling import Joined, Ruling
from search.scoring import NOT_SCORED, Scored, Stage2
from search.view import View

DEEPEST = MAX_OFFSET + MAX_PAGE_SIZE + 1  # candidates that the last page there is needs


class Engine:
    """A loaded bundle, and the state of its items.

    Attributes:
        directory: Where the bundle lies.
        manifest: Of the bundle.
        models: Its models.
        dim: Width of query and item vectors.
        view: The items that the next request searches.
        config: Defaults of a request.
    """

    def __init__(
        self,
        directory: Path,
        manifest: bundle.Manifest,
        config: EngineConfig,
        models: Models | None = None,
    ) -> None:
        """Open the parts of a bundle that is known to be sound; see `load`."""
        self.config = config
        self.directory = directory
        self.manifest = manifest
        numerics = choose_numerics(config.numerics)
        if models is None or not models.are_of(manifest, numerics):
            models = Models(directory, manifest, numerics)
        self.models = models
        self.dim = models.encoder.dim
        self.view = View.open(directory, manifest)
        half = config.cache_megabytes * 2**20 // 2
        self._caches = {"queries": VectorCache(half), "pairs": VectorCache(half)}
        self._stage2 = Stage2(models.pairs, self._caches["pairs"])
        self._costs = Costs()

    @classmethod
    def load(
        cls,
        directory: Path,
        config: EngineConfig = EngineConfig(),
        *,
        warm: bool = False,
        models: Models | None = None,
    ) -> "Engine":
        """Verify a bundle, open it and replay its golden queries.

        Args:
            directory: The bundle.
            config: Defaults of its requests.
            warm: Whether to compile all that serving can meet, as `warm_up` does, beforehand.
            models: Those of another bundle, used again if this one has the very same.

        Raises:
            BundleError: the bundle is damaged, or answers its golden queries otherwise than when
                it was built.
        """
        manifest = bundle.verify(directory)
        # What a bundle answered when it was built, it answered with the defaults.
        engine = cls(directory, manifest, config.with_default_requests(), models)
        if warm:
            engine.warm_up()
        exact = {engine.numerics.dtype, manifest.numerics} == {"float32"}
        golden.replay(engine, directory / bundle.GOLDEN, both_float32=exact)
        engine.config = config
        return engine

    @property
    def bundle_id(self) -> str:
        """Which bundle this is."""
        return self.manifest.bundle_id

    @property
    def store(self) -> ItemStore:
        """The items of the bundle, without what was written since."""
        return self.view.catalogue.base

    @property
    def numerics(self) -> Numerics:
        """Input type of matrix products, and why."""
        return self.models.numerics

    @property
    def has_reranker(self) -> bool:
        """Whether the bundle has a second stage."""
        return self._stage2.exists

    def warm_up(self) -> None:
        """Compile every shape that serving can meet."""
        self.models.warm_up()
        self.view.warm_up(DEEPEST)

    def share(self) -> None:
        """From now on, join the model work of calls that run at the same time."""
        self.models.share()

    def close(self) -> None:
        """End what `share` began; calls under way are finished first."""
        self.models.close()

    def cache_reports(self) -> dict[str, CacheReport]:
        """How full the engine's memory of model results is, and how often it was of use."""
        return {name: cache.report() for name, cache in self._caches.items()}

    @property
    def compilations(self) -> int:
        """Model programs compiled so far."""
        return self.models.compilations

    def search(
        self,
        query: str,
        *,
        limit: int = 10,
        offset: int = 0,
        recall_depth: int | None = None,
        rerank_depth: int | None = None,
        rerank_most: int | None = None,
        filter: Filter | None = None,
        facets: Sequence[Facet] = (),
        max_per_group: int = 0,
        rules: Rules = NO_RULES,
        deadline: float | None = None,
        on_recalled: Callable[[SearchResult], None] | None = None,
    ) -> SearchResult:
        """Both stages: recall candidates, rerank the first of them, cut out one page.

        There are as many hits as asked for wherever the catalogue has them: items that pass the
        filter, of each group no more than `max_per_group`.

        Args:
            query: What the user typed. Empty with a filter: browse what passes it by popularity
                (number of ratings, then rating, then row), without models.
            limit: Most hits of the page.
            offset: Hits before the page.
            recall_depth: Candidates of stage 1, the default when None; raised to reach the page.
            rerank_depth: Candidates that are reranked, the default when None; 0 for none.
            rerank_most: Most that are reranked, what is pinned included: as many as for the pages
                before, where these were short of time; None for any number.
            filter: What items have to pass to be candidates.
            facets: What to count. Recalled candidates are the first `recall_depth` on every page.
            max_per_group: Most hits with the same group_id on all pages together; 0 for any number.
            rules: What a merchandiser changes; see `rules` for what, and in which order.
            deadline: On the clock of `time.monotonic()`, in seconds. Where it is too near, fewer
                candidates are reranked or none, and then nothing is counted; `left_out` says so.
            on_recalled: Takes the page in stage 1's order, without facets, before it is reranked;
                not called where nothing is to be reranked.

        Raises:
            RequestError: an argument is out of its limits.
            DeadlineExceededError: the deadline passed.
        """
        query = checks.search_query(query, filter)
        checks.page(limit, offset)
        checks.selection(filter, facets, max_per_group)
        checks.rules(rules)
        recall_depth = checks.depth("recall_depth", recall_depth, self.config.recall_depth, low=1)
        clock, view = self._clock(deadline), self.view
        if rerank_depth and not self.has_reranker:
            clock.leave_out(Degradation.RERANK_UNAVAILABLE)
        rerank_depth = checks.depth("rerank_depth", rerank_depth, self.config.rerank_depth, low=0)
        passed = view.selection.allowed(filter, clock)
        end = offset + limit
        allowed, ruling = view.catalogue.alive if passed is None else passed, None
        if rules != NO_RULES:
            vectors = view.recall.vectors
            ruling = Ruling.of(rules, view.catalogue, vectors, passed, max_per_group, clock)
            allowed = ruling.allowed
        if not query and allowed is not None:
            browsed = view.selection.browse(
                allowed, offset, end, facets, max_per_group, clock, ruling
            )
            return self._still_there(browsed, view)
        # One more than the page shows tells whether there is a next one. Pages beyond the usual
        # depth all recall the same and rerank the same head, so no item is on two of them.
        reached = recall_depth if end < recall_depth else DEEPEST
        vector = self._encoded(query, clock)
        with clock.stage("recall", 0):
            found = self._enough(
                view, query, vector, recall_depth, reached, end, max_per_group, allowed, ruling
            )
        clock.found(len(found), found.plan)
        recalled = found.rows
        depth = min(rerank_depth, recall_depth, len(recalled)) if self.has_reranker else 0
        joined = None
        if ruling is not None:
            joined = ruling.joined(
                found,
                view.recall.scores(query, vector, ruling.pins, self.config.lexical_weight),
                view.recall.cosines(vector, ruling.pins),
                recall_depth,
                depth,
            )
            found, depth = joined.candidates, joined.reranked
        rows, cosines = found.rows, found.cosines
        depth = min(depth, rerank_most) if rerank_most is not None else depth
        matched = None if passed is None else view.selection.matches(allowed)

        def answer(scored: Scored, counts: tuple[FacetCounts, ...] = ()) -> SearchResult:
            hits, has_more, reports = self._page(
                view, found, joined, scored, offset, end, max_per_group, clock
            )
            result = SearchResult(
                hits,
                tuple(clock.stages),
                len(recalled),
                len(scored[0]),
                has_more,
                matched,
                counts,
                tuple(clock.left_out),
                depth,
                reports,
            )
            return self._still_there(result, view)

        if depth and on_recalled is not None:
            on_recalled(answer(NOT_SCORED))
        last: tuple[str, ...] = ("page",) if joined is None else ("rules", "page")
        later: tuple[str, ...] = (*last, "facets")
        if not facets or clock.left(*later) <= 0:  # time that is not enough is kept for nothing
            later = last
        scored = self._stage2.score(
            query, rows[:depth], cosines[:depth], clock, view.signals, later
        )
        if len(scored[0]) < depth:
            some = Degradation.RERANK_SHORTENED
            clock.leave_out(some if len(scored[0]) else Degradation.RERANK_SKIPPED)
        counts = view.selection.count(facets, allowed, recalled[:recall_depth], clock)
        result = answer(scored, counts)
        clock.check()
        return result

    def retrieve(
        self,
        query: str | Float32[np.ndarray, " dim"],
        *,
        limit: int = 100,
        channels: Collection[Channel] = tuple(Channel),
        filter: Filter | None = None,
        deadline: float | None = None,
    ) -> SearchResult:
        """Stage 1 alone: what a query recalls, or the items nearest to a query's vector.

        Args:
            query: What the user typed, or a vector.
            limit: Most hits; the lexical channel alone may find fewer.
            channels: Which channels recall for a text; a vector has the dense one alone.
            filter: What hits have to pass.
            deadline: On the clock of `time.monotonic()`, in seconds.

        Raises:
            RequestError: an argument is out of its limits.
            DeadlineExceededError: the deadline passed.
        """
        checks.retrieve_limit(limit)
        checks.selection(filter)
        query = checks.query(query) if isinstance(query, str) else checks.vector(query, self.dim)
        clock, view = self._clock(deadline), self.view
        passed = view.selection.allowed(filter, clock)
        allowed = view.catalogue.alive if passed is None else passed
        if isinstance(query, str):
            vector, weight = self._encoded(query, clock), self.config.lexical_weight
            with clock.stage("recall", 0):
                found = view.recall.find(query, vector, limit, weight, channels, allowed)
        else:
            with clock.stage("recall", 0):
                found = view.recall.nearest(query, limit, allowed)
        clock.found(len(found), found.plan)
        hits = tuple(
            Hit(
                view.catalogue.id(row),
                float(found.scores[place]),
                stage1_score=float(found.cosines[place]),
                channels=found.channels(place),
            )
            for place, row in enumerate(found.rows.tolist())
        )
        matches = view.selection.matches(allowed)
        result = SearchResult(
            hits,
            tuple(clock.stages),
            len(found),
            0,
            len(found) < matches,
            None if passed is None else matches,
        )
        return self._still_there(result, view)

    def rerank(
        self, query: str, items: Sequence[str | Item], *, deadline: float | None = None
    ) -> SearchResult:
        """Stage 2 alone: score every item given, by id or inline, best first.

        Inline items have no lexical score, for they are in no index.

        Raises:
            RequestError: an argument is out of its limits.
            UnknownItemsError: an id is not in the catalogue.
            NotSupportedError: the bundle has no reranker.
            DeadlineExceededError: the deadline passed.
        """
        query = checks.query(query)
        checks.candidates(items)
        if not self.has_reranker:
            raise NotSupportedError("this bundle has no reranker; build one with judgments")
        clock, view = self._clock(deadline, whole=True), self.view
        ids = [item for item in items if isinstance(item, str)]
        inline = [item for item in items if not isinstance(item, str)]
        rows = _rows(view, ids)
        with clock.stage("encode", len(items)) as remembered:
            vector = self._query_vector(query, remembered)
            inline_vectors = self.models.encoder.items([item_text(item) for item in inline])
        hits = []
        # What is in the catalogue has a place in its indexes; inline items bring their own store.
        described = Catalogue.of(ItemStore.of(inline))
        inline_source = SignalSource(described, None, view.signals.as_of)
        inline_rows = np.arange(len(inline), dtype=np.int32)
        for source, chosen, cosines in (
            (view.signals, rows, view.recall.cosines(vector, rows)),
            (inline_source, inline_rows, inline_vectors @ vector),
        ):
            scores, lexical = self._stage2.score(query, chosen, cosines, clock, source)
            hits += [
                Hit(
                    item_id=source.catalogue.id(row),
                    score=float(scores[at]),
                    stage1_score=float(cosines[at]),
                    rerank_score=float(scores[at]),
                    lexical_score=None if np.isnan(lexical[at]) else float(lexical[at]),
                )
                for at, row in enumerate(chosen.tolist())
            ]
        hits.sort(key=lambda hit: -hit.score)
        count = len(hits)
        result = SearchResult(tuple(hits), tuple(clock.stages), 0, count, to_rerank=count)
        return self._still_there(result, view)

    def similar(
        self,
        item_id: str,
        *,
        limit: int = 10,
        filter: Filter | None = None,
        variants: bool = True,
        deadline: float | None = None,
    ) -> SearchResult:
        """The items nearest to one of the catalogue by their vectors, and never that one itself.

        Args:
            item_id: The item.
            limit: Most hits.
            filter: What hits have to pass.
            variants: Whether hits may have the item's group_id.
            deadline: On the clock of `time.monotonic()`, in seconds.

        Raises:
            RequestError: an argument is out of its limits.
            UnknownItemsError: the id is not in the catalogue.
            DeadlineExceededError: the deadline passed.
        """
        checks.similar(item_id, limit)
        checks.selection(filter)
        clock, view = self._clock(deadline, whole=True), self.view
        [row] = _rows(view, [item_id]).tolist()
        passed = view.selection.allowed(filter, clock)
        allowed = view.selection.without(row, passed, variants=variants)
        with clock.stage("recall", 0):
            found = view.recall.nearest(view.recall.vector(row), limit, allowed)
        clock.found(len(found), found.plan)
        items = [view.catalogue.item(row) for row in found.rows.tolist()]
        cosines = found.cosines.tolist()
        hits = tuple(
            Hit(item.item_id, cosine, stage1_score=cosine, item=item)
            for item, cosine in zip(items, cosines, strict=True)
        )
        result = SearchResult(hits, tuple(clock.stages), len(found), 0)
        return self._still_there(result, view)

    def stage1_scores(self, query: str, item_ids: Sequence[str]) -> Float32[np.ndarray, " items"]:
        """Cosines of a query with items of the catalogue.

        Raises:
            RequestError: the query is out of its limits.
            UnknownItemsError: an id is not in the catalogue.
        """
        query, view = checks.query(query), self.view
        return view.recall.cosines(self._query_vector(query), _rows(view, item_ids))

    def embed_queries(
        self, texts: Sequence[str], *, deadline: float | None = None
    ) -> Float32[np.ndarray, "texts dim"]:
        """Unit vectors of queries."""
        queries = checks.texts("texts", texts)
        self._clock(deadline).check()
        return self.models.encoder.queries(queries)

    def embed_items(
        self, items: Sequence[Item], *, deadline: float | None = None
    ) -> Float32[np.ndarray, "items dim"]:
        """Unit vectors of items, which need not be in the catalogue."""
        checks.items("items", items)
        self._clock(deadline).check()
        return self.models.encoder.items([item_text(item) for item in items])

    def _enough(
        self,
        view: View,
        query: str,
        vector: Float32[np.ndarray, " dim"],
        depth: int,
        reached: int,
        end: int,
        max_per_group: int,
        allowed: Allowed,
        ruling: Ruling | None,
    ) -> Candidates:
        """Candidates for a page up to `end` and one more, all there are where these are fewer.

        Recalled to `depth`, followed by the nearest others up to `reached`, and by still others
        only where large groups, of which few may be shown, or rules make it necessary.
        """
        weight = self.config.lexical_weight
        found = view.recall.find(query, vector, depth, weight, allowed=allowed)
        matches = view.selection.matches(allowed)
        for deeper in (reached, DEEPEST, matches):
            if ruling is None:
                few = len(view.selection.shown(found.rows, max_per_group, end + 1)) <= end
            else:
                few = not ruling.enough(found.rows, end)
            if len(found) < min(deeper, matches) and (deeper == reached or few):
                if deeper == matches and allowed is None:  # a scan: no index is made for so many
                    allowed = view.catalogue.all_alive
                found = view.recall.extended(found, vector, deeper, allowed)
        return found

    def _page(
        self,
        view: View,
        found: Candidates,
        joined: Joined | None,
        scored: Scored,
        offset: int,
        end: int,
        max_per_group: int,
        clock: Clock,
    ) -> tuple[tuple[Hit, ...], bool, tuple[RuleReport, ...]]:
        """The page of candidates, whether another one follows, and what each rule did."""
        scores, lexical = scored
        depth = len(scores)
        both = scores + np.float32(self.config.stage1_weight) * found.scores[:depth]
        arranged = None if joined is None else joined.arranged(both, end, clock)
        with clock.step("page"):
            if arranged is None:
                order, final = rerank_order(both, found.scores[depth:])
                ranked = np.concatenate([order, np.arange(depth, len(found))])
                stay = view.selection.shown(found.rows[ranked], max_per_group, end + 1)
            else:
                ranked, stay, final = arranged.ranked, arranged.places, arranged.scores
            hits = []
            for place in stay[offset:end].tolist():
                at = int(ranked[place])
                item = view.catalogue.item(int(found.rows[at]))
                hits.append(
                    Hit(
                        item_id=item.item_id,
                        score=float(final[place]),
                        stage1_score=float(found.cosines[at]),
                        rerank_score=float(scores[at]) if at < depth else None,
                        lexical_score=float(lexical[at]) if at < depth else None,
                        channels=found.channels(at),
                        item=item,
                    )
                )
            if arranged is None:
                return tuple(hits), len(stay) > end, ()
            return arranged.explained(hits, offset), len(stay) > end, arranged.reports

    def _clock(self, deadline: float | None, *, whole: bool = False) -> Clock:
        return Clock(deadline, self._costs, self.config.answer_milliseconds / 1000, whole=whole)

    def _encoded(self, query: str, clock: Clock) -> Float32[np.ndarray, " dim"]:
        with clock.stage("encode", 0) as remembered:
            return self._query_vector(query, remembered)

    def _query_vector(
        self, query: str, remembered: Remembered | None = None
    ) -> Float32[np.ndarray, " dim"]:
        vectors, known = self._caches["queries"].rows(
            [query], lambda _: self.models.encoder.queries([query]), self.dim
        )
        if remembered is not None:
            remembered(known)
        vector: Float32[np.ndarray, " dim"] = vectors[0]
        return vector

    def _still_there(self, result: SearchResult, view: View) -> SearchResult:
        """The same without items that were deleted while the request was under way."""
        now = self.view
        if now is view:
            return result
        hits = tuple(hit for hit in result.hits if not _gone(hit, view, now))
        return result if len(hits) == len(result.hits) else replace(result, hits=hits)


def _gone(hit: Hit, view: View, now: View) -> bool:
    """Whether an item of one view's catalogue is deleted in another."""
    return view.catalogue.row(hit.item_id) >= 0 > now.catalogue.row(hit.item_id)


def _rows(view: View, item_ids: Sequence[str]) -> Int32[np.ndarray, " items"]:
    rows = view.catalogue.rows(item_ids)
    if (rows < 0).any():
        unknown = [i for i, row in zip(item_ids, rows, strict=True) if row < 0]
        raise UnknownItemsError(tuple(unknown))
    return rows
