"""The engine: one request through both stages, and every part of it on its own.

Offline evaluation and the online service call the same methods. They are synchronous and can be
called from several threads; `share` then joins the model work of concurrent calls.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32, Int32

from bert.numerics import Numerics, choose_numerics
from bert.tokens import Tokenizer
from catalog.errors import InputError
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
from search.ranking import SignalSource, rerank_order
from search.recall import Candidates, Recall
from search.records import (
    MAX_DEPTH,
    MAX_OFFSET,
    MAX_PAGE_SIZE,
    Hit,
    NotSupportedError,
    SearchResult,
    UnknownItemsError,
)
from search.scoring import Stage2
from search.selection import Allowed, Selection
from towers.encode import TowerEncoder
from towers.index import open_index, open_vectors
from towers.saving import load_towers

DEEPEST = MAX_OFFSET + MAX_PAGE_SIZE + 1  # candidates that the last page there is needs


@dataclass(frozen=True)
class EngineConfig:
    """What one request does when it does not say otherwise."""

    recall_depth: int = 200  # candidates that stage 1 recalls
    rerank_depth: int = 50  # of them, the first so many are reranked
    numerics: Literal["auto", "float32", "bfloat16"] = "auto"  # inputs of matrix products
    cache_megabytes: int = 64  # memory for query vectors and texts of pairs; 0 remembers nothing

    def __post_init__(self) -> None:
        """Refuse depths that no request could ask for."""
        if self.cache_megabytes < 0:
            raise InputError(f"engine: cache_megabytes is {self.cache_megabytes}; give 0 or more")
        for name, low in (("recall_depth", 1), ("rerank_depth", 0)):
            if not low <= getattr(self, name) <= MAX_DEPTH:
                raise InputError(
                    f"engine: {name} is {getattr(self, name)}; it must lie between {low} and "
                    f"{MAX_DEPTH}"
                )


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
        self._recall = Recall(open_index(index), open_vectors(index))
        self._as_of = date.fromisoformat(manifest.as_of) if manifest.as_of else None
        lexical = LexicalIndex.open(directory / bundle.LEXICAL)
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
        engine = cls(directory, manifest, config)
        if warm:
            engine.warm_up()
        exact = {engine.numerics.dtype, manifest.numerics} == {"float32"}
        golden.replay(engine, directory / bundle.GOLDEN, both_float32=exact)
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
        found = self._enough(query, reached, end + 1, max_per_group, allowed, clock)
        rows, cosines = found.rows, found.cosines
        depth = min(rerank_depth, recall_depth, len(rows)) if self.has_reranker else 0
        scores, lexical = self._stage2.score(query, rows[:depth], cosines[:depth], clock)
        order, final = rerank_order(scores, cosines[depth:])
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
        filter: Filter | None = None,
        deadline: float | None = None,
    ) -> SearchResult:
        """Stage 1 alone: the items nearest to a query, or to a query's vector.

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
            found = self._candidates(query, limit, clock, allowed)
        else:
            found = self._nearest(query, limit, clock, allowed)
        hits = tuple(
            Hit(self.store.ids[row], float(cosine), stage1_score=float(cosine))
            for row, cosine in zip(found.rows, found.cosines, strict=True)
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
        depth: int,
        wanted: int,
        max_per_group: int,
        allowed: Allowed,
        clock: Clock,
    ) -> Candidates:
        """Candidates of which so many stay when groups are capped, all where fewer do.

        Recalled to `depth`, and deeper only where large groups make it necessary.
        """
        matches = self._selection.matches(allowed)
        found = self._candidates(query, depth, clock, allowed)
        for deeper in (DEEPEST, matches):
            stay = self._selection.shown(found.rows, max_per_group, wanted)
            if len(stay) < wanted and len(found) < min(deeper, matches):
                if deeper == matches and allowed is None:  # a scan: no index is made for so many
                    allowed = np.ones(len(self.store), np.bool_)
                found = self._candidates(query, deeper, clock, allowed)
        return found

    def _candidates(
        self, query: str, depth: int, clock: Clock, allowed: Allowed = None
    ) -> Candidates:
        with clock.stage("encode", 0) as remembered:
            vector = self._query_vector(query, remembered)
        return self._nearest(vector, depth, clock, allowed)

    def _nearest(
        self, vector: Float32[np.ndarray, " dim"], depth: int, clock: Clock, allowed: Allowed
    ) -> Candidates:
        with clock.stage("recall", min(depth, self._selection.matches(allowed))):
            found = self._recall.nearest(vector, depth, allowed)
        clock.planned(found.plan)
        return found

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
