"""Scoring: compute the reranker's logits for candidates, within the time left.

If time is short, the scorer scores only the first candidates, as many as the latency estimates of
the model allow. A running XLA program cannot be interrupted, so the scorer starts a batch only if
the batch is expected to end in time.
"""

import numpy as np
from jaxtyping import Float32, Int32

from bert.tokens import Tokenised
from catalog.item_text import item_text
from rerank.features import feature_matrix
from rerank.scorer import PairScorer
from search.channels.base import Query
from search.errors import DeadlineExceededError
from search.feature_source import FeatureSource
from search.pipeline.state import NOT_RERANKED, RerankScores
from search.ranking.candidates import ChannelScores
from search.runtime.batching import call_scope
from search.runtime.cache import VectorCache
from search.runtime.deadline import DeadlineBudget
from search.runtime.stage_timer import Stage, StageTimer

# The expected time of a batch is at most this share of the time left. The rest of the time is a
# safety margin, because other calls can delay the batch.
_SHARE_FOR_ALL = 0.7  # for a batch of all remaining candidates
_SHARE_FOR_PART = 0.6  # for a batch of some of the remaining candidates


class CandidateScorer:
    """Scores candidates with the reranker of a bundle, if it has one."""

    def __init__(self, pairs: PairScorer | None, cache: VectorCache) -> None:
        """Use a reranker, and a cache of its vectors of query-item pairs."""
        self._pairs = pairs
        self._cache = cache

    @property
    def has_reranker(self) -> bool:
        """Whether there is a reranker."""
        return self._pairs is not None

    def scores(
        self,
        query: Query,
        rows: Int32[np.ndarray, " candidates"],
        channel_scores: ChannelScores,
        source: FeatureSource,
        budget: DeadlineBudget,
        timer: StageTimer,
        later_stages: tuple[str, ...] = (),
    ) -> RerankScores:
        """Score all candidates, or only the first candidates if time is short.

        Args:
            query: The query.
            rows: Rows of the candidates, best first.
            channel_scores: Scores of the candidates that are already computed.
            source: The data from which the candidates' features are computed.
            budget: The deadline budget of the request.
            timer: The stage timer of the request.
            later_stages: Stages that run later and need some of the time.

        Raises:
            DeadlineExceededError: the deadline passed, or is too near for required work.
        """
        later = ("fuse", *later_stages)
        if not len(rows) or self._pairs is None:
            return NOT_RERANKED
        if budget.left("features", "tokenise", *later) <= 0:
            return NOT_RERANKED
        with timer.stage("features", len(rows)):
            inputs = source.inputs(query, rows, channel_scores)
            features = feature_matrix(inputs)
        with timer.stage("rerank") as stage:
            reading = _Reading(self._pairs, self._cache, source, budget, timer, later)
            read = reading.read(query.text, rows, stage)
            stage.candidates = count = len(read)
            if not count:
                return NOT_RERANKED
            with timer.step("fuse"):
                logits = self._pairs.fuse(read, features[:count])
        channel_scores = {name: scores[:count] for name, scores in inputs.channel_scores.items()}
        return RerankScores(logits, channel_scores)


class _Reading:
    """Runs the cross-encoder on the texts of one query and its candidates."""

    def __init__(
        self,
        pairs: PairScorer,
        cache: VectorCache,
        source: FeatureSource,
        budget: DeadlineBudget,
        timer: StageTimer,
        later: tuple[str, ...],
    ) -> None:
        self._pairs = pairs
        self._cache = cache
        self._source = source
        self._budget = budget
        self._timer = timer
        self._later = later

    def read(
        self, text: str, rows: Int32[np.ndarray, " candidates"], stage: Stage
    ) -> Float32[np.ndarray, "scored fusion"]:
        """Return the cross-encoder's vectors of the candidates; fewer if time is short."""
        # Keys of the cache contain rows of the catalogue. Rows of inline items are valid for one
        # request only, so vectors of inline items are not cached.
        keys = [] if self._source.channels is None else [(text, row) for row in rows.tolist()]
        vectors = self._cache.find(keys) if keys else [None] * len(rows)
        missing = [position for position, vector in enumerate(vectors) if vector is None]
        stage.cached += len(rows) - len(missing)
        if missing and self._budget.left("tokenise", *self._later) > 0:
            with self._timer.step("tokenise"):
                catalogue = self._source.catalogue
                items = map(catalogue.item, rows[missing].tolist())
                texts = [item_text(item, catalogue.roles) for item in items]
                tokenised = self._pairs.tokenise([text] * len(texts), texts)
            begin = 0
            while part := self._next_part(tokenised, begin):
                chosen = range(begin, begin + part)
                values = self._read_part(tokenised.take(chosen))
                if values is None:
                    break
                for index, vector in zip(chosen, values, strict=True):
                    vectors[missing[index]] = vector
                if keys:
                    self._cache.keep([keys[missing[index]] for index in chosen], values)
                begin += part
        unread = (position for position, vector in enumerate(vectors) if vector is None)
        first = [vector for vector in vectors[: next(unread, len(vectors))] if vector is not None]
        return np.stack(first) if first else np.zeros((0, self._pairs.width), np.float32)

    def _read_part(self, tokenised: Tokenised) -> Float32[np.ndarray, "pairs fusion"] | None:
        """Encode some pairs; return None if there is no time and the pairs are optional."""
        try:
            with call_scope(self._budget.caller(*self._later)):
                return self._pairs.read_tokenised(tokenised)
        except DeadlineExceededError:
            self._timer.check()  # raises if the deadline of the request has passed
            if not self._budget.limits_optional_work:
                raise
            return None

    def _next_part(self, tokenised: Tokenised, begin: int) -> int:
        """Return the number of pairs to encode next; 0 if no pairs or no time is left."""
        left = self._budget.left(*self._later)
        rest = tokenised if not begin else tokenised.take(range(begin, len(tokenised)))
        if not len(rest):
            return 0
        affordable = self._pairs.affordable
        if np.isinf(left) or affordable(rest, _SHARE_FOR_ALL * left) == len(rest):
            return len(rest)
        # If no pair is expected to end within that share, one pair may take all of the time left.
        return affordable(rest, _SHARE_FOR_PART * left) or min(1, affordable(rest, left))
