"""The engine: one request through both stages, and every part of it on its own.

Offline evaluation and the online service call the same methods. They are synchronous and can be
called from several threads; `share` then joins the model work of concurrent calls.
"""

from collections.abc import Collection, Sequence
from datetime import date
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int32

from bert.numerics import Numerics, choose_numerics
from bert.tokens import Tokenizer
from catalog.facets import Facet
from catalog.filters import Filter
from catalog.schema import Item
from catalog.store import ItemStore
from catalog.text import item_text
from lexical.index import LexicalIndex
from search import bundle, checks, golden
from search.batching import Batcher
from search.cache import CacheReport, VectorCache
from search.clock import Clock, Remembered
from search.config import EngineConfig
from search.ranking import SignalSource, rerank_order
from search.recall import Allowed, Candidates, Recall
from search.records import (
    MAX_OFFSET,
    MAX_PAGE_SIZE,
    Channel,
    Hit,
    NotSupportedError,
    SearchResult,
    UnknownItemsError,
)
from search.scoring import Stage2
from search.selection import Selection
from towers.encode import TowerEncoder
from towers.index import open_index, open_vectors
from towers.saving import load_towers

DEEPEST = MAX_OFFSET + MAX_PAGE_SIZE + 1  # candidates that the last page there is needs


class Engine:
    """A loaded bundle.

    Attributes:
        store: The catalogue.
        bundle_id: Which bundle this is.
        numerics: Input type of matrix products, and why.
        dim: Width of query and item vectors.
        config: Defaults of a request.
    """

    def __init__(self, directory: Path, manifest: bundle.Manifest, config: EngineConfig) -> None:
        """Open the parts of a bundle that is known to be sound; see `load`."""
        self.config = config
        self.bundle_id = manifest.bundle_id
        self.numerics: Numerics = choose_numerics(config.numerics)
        self.store = ItemStore.read(directory / bundle.ITEMS)
        tokenizer = Tokenizer.from_directory(directory / bundle.TOKENIZER)
        self._encoder = TowerEncoder(
            load_towers(directory / bundle.TOWERS), tokenizer, self.numerics
        )
        self.dim = self._encoder.dim
        index = directory / bundle.INDEX
        lexical = LexicalIndex.open(directory / bundle.LEXICAL)
        self._recall = Recall(open_index(index), open_vectors(index), lexical)
        self._as_of = date.fromisoformat(manifest.as_of) if manifest.as_of else None
        self._signals = SignalSource(self.store, lexical, self._as_of)
        self._selection = Selection(self.store)
        half = config.cache_megabytes * 2**20 // 2
        self._caches = {"queries": VectorCache(half), "pairs": VectorCache(half)}
        self._stage2 = Stage2.open(
            directory / bundle.RERANK,
            tokenizer,
            self.numerics,
            self._signals,
            self._caches["pairs"],
        )
        self._batcher: Batcher | None = None

    @classmethod
    def load(
        cls, directory: Path, config: EngineConfig = EngineConfig(), *, warm: bool = False
    ) -> "Engine":
        """Verify a bundle, open it and replay its golden queries.

        Args:
            directory: The bundle.
            config: Defaults of its requests.
            warm: Whether to compile all that serving can meet, as `warm_up` does, beforehand.

        Raises:
            BundleError: the bundle is damaged, or answers its golden queries otherwise than when
                it was built.
        """
        manifest = bundle.verify(directory)
        # What a bundle answered when it was built, it answered with the defaults.
        engine = cls(directory, manifest, config.with_default_requests())
        if warm:
            engine.warm_up()
        exact = {engine.numerics.dtype, manifest.numerics} == {"float32"}
        golden.replay(engine, directory / bundle.GOLDEN, both_float32=exact)
        engine.config = config
        return engine

    @property
    def has_reranker(self) -> bool:
        """Whether the bundle has a second stage."""
        return self._stage2.exists

    def warm_up(self) -> None:
        """Compile every shape that serving can meet."""
        self._encoder.warm_up()
        self._recall.warm_up(DEEPEST)
        self._selection.warm_up()
        self._stage2.warm_up()

    def share(self) -> None:
        """From now on, join the model work of calls that run at the same time."""
        self._batcher = Batcher()
        # A query's vector is what every search begins with, and quick to have.
        urgent, patient = self._batcher.shared(priority=0), self._batcher.shared(priority=1)
        self._encoder.route(queries=urgent, items=patient)
        self._stage2.route(patient)

    def close(self) -> None:
        """End what `share` began; calls under way are finished first."""
        if self._batcher is not None:
            self._batcher.close()

    def cache_reports(self) -> dict[str, CacheReport]:
        """How full the engine's memory of model results is, and how often it was of use."""
        return {name: cache.report() for name, cache in self._caches.items()}

    @property
    def compilations(self) -> int:
        """Model programs compiled so far."""
        return self._encoder.compilations + self._stage2.compilations

    def search(
        self,
        query: str,
        *,
        limit: int = 10,
        offset: int = 0,
        recall_depth: int | None = None,
        rerank_depth: int | None = None,
        filter: Filter | None = None,
        facets: Sequence[Facet] = (),
        max_per_group: int = 0,
        deadline: float | None = None,
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
            filter: What items have to pass to be candidates.
            facets: What to count. Recalled candidates are the first `recall_depth` on every page.
            max_per_group: Most hits with the same group_id on all pages together; 0 for any number.
            deadline: On the clock of `time.monotonic()`, in seconds.

        Raises:
            RequestError: an argument is out of its limits.
            DeadlineExceededError: the deadline passed.
        """
        query = checks.search_query(query, filter)
        checks.page(limit, offset)
        checks.selection(filter, facets, max_per_group)
        recall_depth = checks.depth("recall_depth", recall_depth, self.config.recall_depth, low=1)
        rerank_depth = checks.depth("rerank_depth", rerank_depth, self.config.rerank_depth, low=0)
        clock = Clock(deadline)
        allowed = self._selection.allowed(filter, clock)
        end = offset + limit
        if not query and allowed is not None:
            return self._selection.browse(allowed, offset, end, facets, max_per_group, clock)
        # One more than the page shows tells whether there is a next one. Pages beyond the usual
        # depth all recall the same and rerank the same head, so no item is on two of them.
        reached = recall_depth if end < recall_depth else DEEPEST
        vector = self._encoded(query, clock)
        with clock.stage("recall", 0):
            found = self._enough(query, vector, recall_depth, reached, end, max_per_group, allowed)
        clock.found(len(found), found.plan)
        rows, cosines = found.rows, found.cosines
        depth = min(rerank_depth, recall_depth, len(rows)) if self.has_reranker else 0
        scores, lexical = self._stage2.score(query, rows[:depth], cosines[:depth], clock)
        both = scores + np.float32(self.config.stage1_weight) * found.scores[:depth]
        order, final = rerank_order(both, found.scores[depth:])
        ranked = np.concatenate([order, np.arange(depth, len(rows))])
        stay = self._selection.shown(rows[ranked], max_per_group, end + 1)
        hits = []
        for place in stay[offset:end].tolist():
            at = int(ranked[place])
            hits.append(
                Hit(
                    item_id=self.store.ids[rows[at]],
                    score=float(final[place]),
                    stage1_score=float(cosines[at]),
                    rerank_score=float(scores[at]) if at < depth else None,
                    lexical_score=float(lexical[at]) if at < depth else None,
                    channels=found.channels(at),
                )
            )
        counts = self._selection.count(facets, allowed, rows[:recall_depth], clock)
        matched = None if allowed is None else self._selection.matches(allowed)
        return SearchResult(
            tuple(hits), tuple(clock.stages), len(rows), depth, len(stay) > end, matched, counts
        )

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
        clock = Clock(deadline)
        allowed = self._selection.allowed(filter, clock)
        if isinstance(query, str):
            vector, weight = self._encoded(query, clock), self.config.lexical_weight
            with clock.stage("recall", 0):
                found = self._recall.find(query, vector, limit, weight, channels, allowed)
        else:
            with clock.stage("recall", 0):
                found = self._recall.nearest(query, limit, allowed)
        clock.found(len(found), found.plan)
        hits = tuple(
            Hit(
                self.store.ids[row],
                float(found.scores[place]),
                stage1_score=float(found.cosines[place]),
                channels=found.channels(place),
            )
            for place, row in enumerate(found.rows.tolist())
        )
        more = len(found) < self._selection.matches(allowed)
        matched = None if allowed is None else self._selection.matches(allowed)
        return SearchResult(hits, tuple(clock.stages), len(found), 0, more, matched)

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
        clock = Clock(deadline)
        ids = [item for item in items if isinstance(item, str)]
        inline = [item for item in items if not isinstance(item, str)]
        rows = self._rows(ids)
        with clock.stage("encode", len(items)) as remembered:
            vector = self._query_vector(query, remembered)
            inline_vectors = self._encoder.items([item_text(item) for item in inline])
        hits = []
        # What is in the catalogue has a place in its indexes; inline items bring their own store.
        inline_source = SignalSource(ItemStore.of(inline), None, self._as_of)
        inline_rows = np.arange(len(inline), dtype=np.int32)
        for source, chosen, cosines in (
            (self._signals, rows, self._recall.cosines(vector, rows)),
            (inline_source, inline_rows, inline_vectors @ vector),
        ):
            scores, lexical = self._stage2.score(query, chosen, cosines, clock, source)
            hits += [
                Hit(
                    item_id=source.store.ids[row],
                    score=float(scores[at]),
                    stage1_score=float(cosines[at]),
                    rerank_score=float(scores[at]),
                    lexical_score=None if np.isnan(lexical[at]) else float(lexical[at]),
                )
                for at, row in enumerate(chosen)
            ]
        hits.sort(key=lambda hit: -hit.score)
        return SearchResult(tuple(hits), tuple(clock.stages), 0, len(hits))

    def stage1_scores(self, query: str, item_ids: Sequence[str]) -> Float32[np.ndarray, " items"]:
        """Cosines of a query with items of the catalogue.

        Raises:
            RequestError: the query is out of its limits.
            UnknownItemsError: an id is not in the catalogue.
        """
        query = checks.query(query)
        return self._recall.cosines(self._query_vector(query), self._rows(item_ids))

    def embed_queries(
        self, texts: Sequence[str], *, deadline: float | None = None
    ) -> Float32[np.ndarray, "texts dim"]:
        """Unit vectors of queries."""
        queries = checks.texts("texts", texts)
        Clock(deadline).check()
        return self._encoder.queries(queries)

    def embed_items(
        self, items: Sequence[Item], *, deadline: float | None = None
    ) -> Float32[np.ndarray, "items dim"]:
        """Unit vectors of items, which need not be in the catalogue."""
        checks.items("items", items)
        Clock(deadline).check()
        return self._encoder.items([item_text(item) for item in items])

    def _enough(
        self,
        query: str,
        vector: Float32[np.ndarray, " dim"],
        depth: int,
        reached: int,
        end: int,
        max_per_group: int,
        allowed: Allowed,
    ) -> Candidates:
        """Candidates for a page up to `end` and one more, all there are where these are fewer.

        Recalled to `depth`, followed by the nearest others up to `reached`, and by still others
        only where large groups, of which few may be shown, make it necessary.
        """
        found = self._recall.find(query, vector, depth, self.config.lexical_weight, allowed=allowed)
        matches = self._selection.matches(allowed)
        for deeper in (reached, DEEPEST, matches):
            stay = self._selection.shown(found.rows, max_per_group, end + 1)
            if len(found) < min(deeper, matches) and (deeper == reached or len(stay) <= end):
                if deeper == matches and allowed is None:  # a scan: no index is made for so many
                    allowed = np.ones(len(self.store), np.bool_)
                found = self._recall.extended(found, vector, deeper, allowed)
        return found

    def _encoded(self, query: str, clock: Clock) -> Float32[np.ndarray, " dim"]:
        with clock.stage("encode", 0) as remembered:
            return self._query_vector(query, remembered)

    def _query_vector(
        self, query: str, remembered: Remembered | None = None
    ) -> Float32[np.ndarray, " dim"]:
        vectors, known = self._caches["queries"].rows(
            [query], lambda _: self._encoder.queries([query]), self.dim
        )
        if remembered is not None:
            remembered(known)
        vector: Float32[np.ndarray, " dim"] = vectors[0]
        return vector

    def _rows(self, item_ids: Sequence[str]) -> Int32[np.ndarray, " items"]:
        rows = self.store.rows(item_ids)
        if (rows < 0).any():
            raise UnknownItemsError(
                tuple(i for i, row in zip(item_ids, rows, strict=True) if row < 0)
            )
        return rows
