"""The engine: complete searches (recall and reranking), and each part of a search by itself.

Offline evaluation and the online service call the same methods. The methods are synchronous and
thread-safe. After `share`, the model work of concurrent calls runs in batches.
"""

import logging
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from base.errors import InputError
from base.panics import panics_as_errors
from bert.numerics import Numerics, choose_numerics
from catalog.item_text import normalise_query
from catalog.store import ItemStore
from search import bundle
from search.bundle import BundleError, golden
from search.bundle.models import Models
from search.channels import CHANNELS, ChannelTypes
from search.config import EngineConfig
from search.encoding import QueryEncoder, embed
from search.errors import DeadlineExceededError, NotSupportedError
from search.people.live import LivePeople
from search.people.person import time_of
from search.people.weights import HISTORY
from search.pipeline.scoring import CandidateScorer
from search.pipeline.state import DEEPEST, Depths, SearchState
from search.pipeline.steps import Pipeline
from search.profile import profile
from search.questions import questions
from search.ranking.weights import RECALL_WEIGHT, Weights, check_weights, parse_channel_weights
from search.request import (
    BatchGetItemsRequest,
    EmbedRequest,
    GetItemRequest,
    ListItemsRequest,
    ProfileRequest,
    QuestionsRequest,
    RerankRequest,
    RetrieveRequest,
    SearchRequest,
    SimilarItemsRequest,
    SuggestRequest,
)
from search.result import (
    Degradation,
    Embeddings,
    ItemList,
    Lookup,
    PersonProfile,
    Questions,
    SearchResult,
    Suggestions,
)
from search.runtime.cache import CacheReport, VectorCache
from search.runtime.deadline import DeadlineBudget, LatencyEstimates, caller_check
from search.runtime.stage_timer import StageTimer
from search.snapshot import Snapshot, without_deleted
from search.stages import rerank, retrieve, similar
from search.suggestions import suggest
from search.understanding.interpretation import (
    CORRECTED,
    RECALLED,
    Interpretation,
    Understanding,
)

logger = logging.getLogger(__name__)


class Engine:
    """A loaded bundle and the current state of its items.

    Attributes:
        directory: The directory of the bundle.
        manifest: The manifest of the bundle.
        models: The models of the bundle.
        dim: Width of query and item vectors.
        snapshot: The items that the next request searches.
        successor: The engine that replaced this engine and now receives the writes; None if this
            engine was not replaced.
        config: Default values for requests, and settings of the engine.
    """

    def __init__(
        self,
        directory: Path,
        manifest: bundle.Manifest,
        config: EngineConfig,
        models: Models | None = None,
        *,
        estimates: LatencyEstimates | None = None,
        channels: ChannelTypes = CHANNELS,
        deepest: int = DEEPEST,
    ) -> None:
        """Open the parts of a verified bundle; `load` also verifies the bundle.

        Args:
            directory: The bundle.
            manifest: The manifest of the bundle.
            config: Default values for requests, and settings of the engine.
            models: Models of another bundle, reused if this bundle has the same model files and
                numerics.
            estimates: Expected durations of stages; None starts without any estimate.
            channels: All channels of this version. The manifest names the channels to use.
            deepest: Number of candidates for the last possible page.
        """
        self.config = config
        self.directory = directory
        self.manifest = manifest
        numerics = choose_numerics(config.numerics)
        if models is None or not models.are_of(manifest, numerics):
            models = Models(directory, manifest, numerics)
        self.models = models
        self.dim = models.encoder.dim
        self.snapshot = Snapshot.open(directory, manifest, channels)
        self.successor: Engine | None = None
        half = config.cache_megabytes * 2**20 // 2
        self._caches = {"queries": VectorCache(half), "pairs": VectorCache(half)}
        self._queries = QueryEncoder(models.encoder, self._caches["queries"])
        self._scorer = CandidateScorer(models.pairs, self._caches["pairs"])
        self._pipeline = Pipeline(
            self._queries, self._scorer, deepest, manifest.calibration, models.users
        )
        self._deepest = deepest
        self._estimates = estimates or LatencyEstimates()

    @classmethod
    def load(
        cls,
        directory: Path,
        config: EngineConfig = EngineConfig(),
        *,
        warm: bool = False,
        replay: bool = True,
        models: Models | None = None,
        verified: bundle.Manifest | None = None,
    ) -> "Engine":
        """Verify a bundle, open it and replay its golden queries.

        Args:
            directory: The bundle.
            config: Default values for requests, and settings of the engine.
            warm: Whether to call `warm_up` before the golden queries.
            replay: Whether to replay the golden queries.
            models: Models of another bundle, reused if this bundle has the same model files and
                numerics.
            verified: The result of `bundle.verify` for this bundle; None verifies the bundle here.

        Raises:
            BundleError: the bundle is damaged, or its answers changed since it was built.
            InputError: the settings name an unknown channel, or turn every channel off.
            DeadlineExceededError: the caller of this thread left, or its deadline passed (see
                `call_scope`). The load stops at its next step.
        """
        manifest = verified or bundle.verify(directory, caller_check())
        try:
            with panics_as_errors():
                # Golden queries were recorded with default settings, so replay them with these.
                engine = cls(directory, manifest, config.with_default_requests(), models)
                if warm:
                    engine.warm_up()
                exact = {engine.numerics.dtype, manifest.numerics} == {"float32"}
                if replay:
                    golden.replay(engine, directory / bundle.GOLDEN, both_float32=exact)
        except (InputError, DeadlineExceededError):
            raise
        except Exception as error:  # the manifest fits its files, but a file cannot be used
            logger.debug("bundle cannot be opened", exc_info=True)
            # Without the text of the error, which may quote a golden query.
            frame = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{type(error).__name__} in {frame.name}, {Path(frame.filename).name}"
            raise BundleError(f"{directory} cannot be opened ({where}); build it again") from None
        engine.config = config
        check_weights(config.channel_weights, engine.weights.channels)
        return engine

    @property
    def bundle_id(self) -> str:
        """The id of the bundle."""
        return self.manifest.bundle_id

    @property
    def store(self) -> ItemStore:
        """The items of the bundle, without later writes."""
        return self.snapshot.catalogue.base

    @property
    def numerics(self) -> Numerics:
        """The input type of matrix products, and why it was chosen."""
        return self.models.numerics

    @property
    def has_reranker(self) -> bool:
        """Whether the bundle has a reranker."""
        return self._scorer.has_reranker

    @property
    def weights(self) -> Weights:
        """The weights of scores: of the settings, else of the bundle, else the defaults."""
        defaults = self.snapshot.channels.default_weights
        chosen = self.manifest.weights or Weights({}, RECALL_WEIGHT)
        set_here = parse_channel_weights(self.config.channel_weights)
        channels = {**defaults, **chosen.channels, **set_here}
        recall = self.config.recall_weight
        return Weights(
            {name: channels[name] for name in defaults}, chosen.recall if recall is None else recall
        )

    def warm_up(self) -> None:
        """Compile every shape that serving uses."""
        self.models.warm_up()
        self.snapshot.warm_up(self._deepest)

    def share(self) -> None:
        """Batch the model work of concurrent calls from now on."""
        self.models.share()

    def close(self) -> None:
        """Finish the queued work, then end the batching that `share` started."""
        self.models.close()

    def cache_reports(self) -> dict[str, CacheReport]:
        """Return the size and the hits of each cache of model results."""
        return {name: cache.report() for name, cache in self._caches.items()}

    @property
    def compilations(self) -> int:
        """The number of model programs compiled so far."""
        return self.models.compilations

    def search(
        self,
        request: SearchRequest,
        on_recalled: Callable[[SearchResult], None] | None = None,
        people: LivePeople | None = None,
    ) -> SearchResult:
        """Recall candidates, rerank the best of them, and return one page.

        A page is full if enough items pass the filter, the rules and `max_per_group`. If the
        deadline is near, the engine reranks fewer candidates or none, and skips facets if there is
        no time for them. The result's `degradations` list the omitted work.

        Args:
            request: What to search for.
            on_recalled: Called with the page in recall order, without facets, before reranking
                starts. Not called if no candidates are to be reranked.
            people: The events that the server has recorded; None: only those of the request.

        Raises:
            NotSupportedError: the request asks for recommendations, and the bundle has no counts.
            UnknownItemsError: the catalogue has none of the items of a request for
                recommendations.
            DeadlineExceededError: the deadline passed.
        """
        state = self._begin(request, people)

        def recalled(result: SearchResult) -> None:
            assert on_recalled is not None
            on_recalled(self._without_deleted(result, state.snapshot))

        result = self._pipeline.run(state, recalled if on_recalled is not None else None)
        result = self._without_deleted(result, state.snapshot)
        state.timer.check()
        return result

    def retrieve(self, request: RetrieveRequest) -> SearchResult:
        """Return the items that channels find for a query, or the items nearest to a vector.

        Raises:
            RequestError: the bundle lacks a requested channel, or the vector and the index have
                different numbers of dimensions.
            DeadlineExceededError: the deadline passed.
        """
        timer, snapshot = self._timer(request.deadline), self.snapshot
        understood = None
        if request.query is not None:
            understood = self._understood(request.query, RECALLED, snapshot)
        weights = self.weights.channels
        result = retrieve(snapshot, request, understood, self._queries, weights, timer)
        return self._without_deleted(result, snapshot)

    def rerank(self, request: RerankRequest) -> SearchResult:
        """Score candidates with the reranker, and return them sorted by score.

        A candidate is an id or an inline item. Inline items have no lexical score, because they are
        not indexed.

        Raises:
            UnknownItemsError: an id is not in the catalogue.
            NotSupportedError: the bundle has no reranker.
            DeadlineExceededError: the deadline passed.
        """
        if not self.has_reranker:
            raise NotSupportedError("this bundle has no reranker; build one with judgments")
        budget = self._budget(request.deadline, has_optional_work=False)
        timer, snapshot = StageTimer(budget, self._estimates), self.snapshot
        understood = self._understood(request.query, CORRECTED, snapshot)
        encoder, scorer = self.models.encoder, self._scorer
        result = rerank(
            snapshot, request, understood, self._queries, encoder, scorer, budget, timer
        )
        return self._without_deleted(result, snapshot)

    def similar(self, request: SimilarItemsRequest) -> SearchResult:
        """Return the items nearest to an item of the catalogue, without that item.

        Raises:
            UnknownItemsError: the id is not in the catalogue.
            DeadlineExceededError: the deadline passed.
        """
        timer, snapshot = self._timer(request.deadline), self.snapshot
        return self._without_deleted(similar(snapshot, request, timer), snapshot)

    def dense_scores(self, query: str, item_ids: Sequence[str]) -> Float32[np.ndarray, " items"]:
        """Return the cosines of a query with items of the catalogue.

        Raises:
            UnknownItemsError: an id is not in the catalogue.
        """
        snapshot = self.snapshot
        rows = snapshot.rows(item_ids)
        understood = self._queries.query(self._understood(query, RECALLED, snapshot))
        return snapshot.channels.dense.scores(understood, rows)

    def embed(self, request: EmbedRequest) -> Embeddings:
        """Return unit vectors of queries (texts) and of items, or raise DeadlineExceededError."""
        roles = self.snapshot.catalogue.roles
        return embed(self.models.encoder, request.inputs, roles, self._timer(request.deadline))

    def lookup(self, request: GetItemRequest | BatchGetItemsRequest) -> Lookup:
        """Return the current items with the given ids, and the given ids that no item has."""
        return self.snapshot.lookup(request.ids, self._timer(None))

    def list_items(self, request: ListItemsRequest) -> ItemList:
        """Return a page of all current items, in the order of their ids."""
        return self.snapshot.listed(request.after, request.size, self._timer(None))

    def suggest(self, request: SuggestRequest) -> Suggestions:
        """Return completions of what a shopper has typed so far; see `search.suggestions`."""
        return suggest(self.snapshot, request, self._timer(request.deadline))

    def profile(self, request: ProfileRequest, people: LivePeople | None = None) -> PersonProfile:
        """Return what is believed of a person; see `search.profile`."""
        now = time_of(request.person)
        return profile(self.snapshot, request, people, now, self._timer(None))

    def questions(self, request: QuestionsRequest) -> Questions:
        """Return preference questions for a new person; see `search.questions`."""
        return questions(self.snapshot, request, self._timer(request.deadline))

    def _understood(self, query: str, kinds: Understanding, snapshot: Snapshot) -> Interpretation:
        """Interpret a query of a call that has no switches."""
        kinds, language = kinds & self.config.understanding, self.config.language
        return snapshot.interpret(normalise_query(query), language, kinds, self._queries.is_word)

    def _begin(self, request: SearchRequest, people: LivePeople | None) -> SearchState:
        if request.recommending is not None and HISTORY not in self.snapshot.channels.personal:
            raise NotSupportedError("this bundle cannot recommend items; train it again")
        budget = self._budget(request.deadline)
        state = SearchState(
            request=request,
            snapshot=self.snapshot,
            config=self.config,
            weights=self.weights,
            depths=Depths.of(request, self.config, can_rerank=self.has_reranker),
            budget=budget,
            timer=StageTimer(budget, self._estimates),
            people=people,
            now=time_of(request.person),
        )
        if request.rerank_depth and not self.has_reranker:
            state.degradations.append(Degradation.RERANK_UNAVAILABLE)
        return state

    def _budget(self, deadline: float | None, *, has_optional_work: bool = True) -> DeadlineBudget:
        reserved = self.config.answer_milliseconds / 1000
        return DeadlineBudget(
            deadline, self._estimates, reserved, has_optional_work=has_optional_work
        )

    def _timer(self, deadline: float | None) -> StageTimer:
        """Return the timer of a request without optional work."""
        return StageTimer(self._budget(deadline, has_optional_work=False), self._estimates)

    def _without_deleted(self, result: SearchResult, searched: Snapshot) -> SearchResult:
        """Return the result without items that were deleted during the request."""
        newest = self
        while newest.successor is not None:
            newest = newest.successor
        return without_deleted(result, searched, newest.snapshot)
