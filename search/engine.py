"""The engine: one request through both stages, and every part of it on its own.

Offline evaluation and the online service call the same methods. They are synchronous and can be
called from several threads; `share` then joins the model work of concurrent calls.
"""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from bert.numerics import Numerics, choose_numerics
from catalog.catalogue import Catalogue
from catalog.facets import Facet
from catalog.filters import Filter
from catalog.item_text import item_text
from catalog.schema import Item
from catalog.store import ItemStore
from search import bundle, validation
from search.bundle import golden
from search.bundle.models import Models
from search.channels.base import Query
from search.config import EngineConfig
from search.embedding import QueryVectors, embedded
from search.pipeline.page import DEEPEST, Choice, Depths, Wanted
from search.pipeline.rerank import Reranking
from search.result import (
    Channel,
    Degradation,
    Embedded,
    Hit,
    Lookup,
    NotSupportedError,
    SearchResult,
)
from search.rules import NO_RULES, Rules
from search.runtime.cache import CacheReport, VectorCache
from search.runtime.deadline import Clock, LatencyEstimates
from search.signals import SignalSource
from search.snapshot import Snapshot, still_there


class Engine:
    """A loaded bundle, and the state of its items.

    Attributes:
        directory: Where the bundle lies.
        manifest: Of the bundle.
        models: Its models.
        dim: Width of query and item vectors.
        snapshot: The items that the next request searches.
        successor: What took its place and is written to instead; None before, and where nothing is
            written.
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
        self.snapshot = Snapshot.open(directory, manifest)
        self.successor: Engine | None = None
        half = config.cache_megabytes * 2**20 // 2
        self._caches = {"queries": VectorCache(half), "pairs": VectorCache(half)}
        self._queries = QueryVectors(models.encoder, self._caches["queries"])
        self._reranking = Reranking(models.pairs, self._caches["pairs"])
        self._costs = LatencyEstimates()

    @classmethod
    def load(
        cls,
        directory: Path,
        config: EngineConfig = EngineConfig(),
        *,
        warm: bool = False,
        models: Models | None = None,
        verified: bundle.Manifest | None = None,
    ) -> "Engine":
        """Verify a bundle, open it and replay its golden queries.

        Args:
            directory: The bundle.
            config: Defaults of its requests.
            warm: Whether to compile all that serving can meet, as `warm_up` does, beforehand.
            models: Those of another bundle, used again if this one has the very same.
            verified: What `bundle.verify` has returned for it, where it need not be asked again.

        Raises:
            BundleError: the bundle is damaged, or answers its golden queries otherwise than when
                it was built.
        """
        manifest = verified or bundle.verify(directory)
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
        return self.snapshot.catalogue.base

    @property
    def numerics(self) -> Numerics:
        """Input type of matrix products, and why."""
        return self.models.numerics

    @property
    def has_reranker(self) -> bool:
        """Whether the bundle has a second stage."""
        return self._reranking.exists

    def warm_up(self) -> None:
        """Compile every shape that serving can meet."""
        self.models.warm_up()
        self.snapshot.warm_up(DEEPEST)

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
                before, where these were short of time; `MAX_DEPTH` when None.
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
        query = validation.search(query, limit, offset, filter, facets, max_per_group, rules)
        config, clock, snapshot = self.config, self._clock(deadline), self.snapshot
        reranks = self.has_reranker
        if rerank_depth and not reranks:
            clock.leave_out(Degradation.RERANK_UNAVAILABLE)
        depths = Depths.of(config, recall_depth, rerank_depth, rerank_most, reranks=reranks)
        wanted = Wanted(query, offset, offset + limit, depths, tuple(facets), max_per_group)
        return self._answer(Choice.of(wanted, snapshot, clock, config, filter, rules), on_recalled)

    def retrieve(
        self,
        query: str | Float32[np.ndarray, " dim"],
        *,
        limit: int = 100,
        channels: Collection[Channel] = tuple(Channel),
        filter: Filter | None = None,
        with_items: bool = False,
        deadline: float | None = None,
    ) -> SearchResult:
        """Stage 1 alone: what a query recalls, or the items nearest to a query's vector.

        Args:
            query: What the user typed, or a vector.
            limit: Most hits; the lexical channel alone may find fewer.
            channels: Which channels recall for a text; a vector has the dense one alone.
            filter: What hits have to pass.
            with_items: Whether hits have their items, not only their ids.
            deadline: On the clock of `time.monotonic()`, in seconds.

        Raises:
            RequestError: an argument is out of its limits.
            DeadlineExceededError: the deadline passed.
        """
        validation.retrieve_limit(limit)
        validation.selection(filter)
        query = (
            validation.query(query)
            if isinstance(query, str)
            else validation.vector(query, self.dim)
        )
        clock, snapshot = self._clock(deadline), self.snapshot
        passed = snapshot.selection.allowed(filter, clock)
        allowed = snapshot.catalogue.alive if passed is None else passed
        if isinstance(query, str):
            asked = Query(query, self._queries.timed(query, clock))
            with clock.stage("recall", 0):
                found = snapshot.recall.find(asked, limit, self.config.weights, channels, allowed)
        else:
            with clock.stage("recall", 0):
                found = snapshot.recall.nearest(query, limit, allowed)
        clock.found(len(found), found.plan)
        hits = found.hits(snapshot.catalogue, with_items=with_items)
        matches = snapshot.selection.matches(allowed)
        result = SearchResult(
            hits,
            tuple(clock.stages),
            len(found),
            0,
            len(found) < matches,
            None if passed is None else matches,
        )
        return self._still_there(result, snapshot)

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
        query = validation.query(query)
        validation.candidates(items)
        if not self.has_reranker:
            raise NotSupportedError("this bundle has no reranker; build one with judgments")
        clock, snapshot = self._clock(deadline, whole=True), self.snapshot
        ids = [item for item in items if isinstance(item, str)]
        inline = [item for item in items if not isinstance(item, str)]
        rows = snapshot.rows(ids)
        with clock.stage("encode", len(items)) as remembered:
            vector = self._queries.vector(query, remembered)
            inline_vectors = self.models.encoder.items([item_text(item) for item in inline])
        hits: list[Hit] = []
        # What is in the catalogue has a place in its indexes; inline items bring their own store.
        described = Catalogue.of(ItemStore.of(inline))
        inline_source = SignalSource(described, None, snapshot.signals.as_of)
        inline_rows = np.arange(len(inline), dtype=np.int32)
        for source, chosen, cosines in (
            (snapshot.signals, rows, snapshot.recall.cosines(vector, rows)),
            (inline_source, inline_rows, inline_vectors @ vector),
        ):
            hits += self._reranking.hits(query, chosen, cosines, clock, source)
        hits.sort(key=lambda hit: -hit.score)
        count = len(hits)
        result = SearchResult(tuple(hits), tuple(clock.stages), 0, count, to_rerank=count)
        return self._still_there(result, snapshot)

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
        validation.similar(item_id, limit)
        validation.selection(filter)
        clock, snapshot = self._clock(deadline, whole=True), self.snapshot
        [row] = snapshot.rows([item_id]).tolist()
        passed = snapshot.selection.allowed(filter, clock)
        allowed = snapshot.selection.without(row, passed, variants=variants)
        with clock.stage("recall", 0):
            found = snapshot.recall.nearest(snapshot.recall.vector(row), limit, allowed)
        clock.found(len(found), found.plan)
        items = [snapshot.catalogue.item(row) for row in found.rows.tolist()]
        cosines = found.cosines.tolist()
        hits = tuple(
            Hit(item.item_id, cosine, dense_score=cosine, item=item)
            for item, cosine in zip(items, cosines, strict=True)
        )
        result = SearchResult(hits, tuple(clock.stages), len(found), 0)
        return self._still_there(result, snapshot)

    def dense_scores(self, query: str, item_ids: Sequence[str]) -> Float32[np.ndarray, " items"]:
        """Cosines of a query with items of the catalogue.

        Raises:
            RequestError: the query is out of its limits.
            UnknownItemsError: an id is not in the catalogue.
        """
        query, snapshot = validation.query(query), self.snapshot
        return snapshot.recall.cosines(self._queries.vector(query), snapshot.rows(item_ids))

    def embed(self, inputs: Sequence[str | Item], *, deadline: float | None = None) -> Embedded:
        """Unit vectors of queries (texts) and of items, which need not be in the catalogue.

        Raises:
            RequestError: an input is out of its limits.
            DeadlineExceededError: the deadline passed.
        """
        return embedded(self.models.encoder, inputs, self._clock(deadline, whole=True))

    def lookup(self, item_ids: Sequence[str]) -> Lookup:
        """The items of some ids, as they are now, and which of the ids there is none of."""
        return self.snapshot.lookup(item_ids, self._clock(None))

    def _answer(
        self, choice: Choice, on_recalled: Callable[[SearchResult], None] | None
    ) -> SearchResult:
        """The page of a search; see `search`."""
        query, clock, snapshot = choice.wanted.query, choice.clock, choice.snapshot
        if not query:
            return self._still_there(choice.browse(), snapshot)
        found = choice.recall(self._queries.timed(query, clock))
        if found.depth and on_recalled is not None:
            on_recalled(self._still_there(found.provisional(), snapshot))
        result = self._still_there(found.answer(found.scored(self._reranking)), snapshot)
        clock.check()
        return result

    def _clock(self, deadline: float | None, *, whole: bool = False) -> Clock:
        return Clock(deadline, self._costs, self.config.answer_milliseconds / 1000, whole=whole)

    def _still_there(self, result: SearchResult, snapshot: Snapshot) -> SearchResult:
        """The same without items that were deleted while the request was under way."""
        newest = self
        while newest.successor is not None:
            newest = newest.successor
        return still_there(result, snapshot, newest.snapshot)
