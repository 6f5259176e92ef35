"""Stage 2 over candidates: their signals, and the reranker's logits, remembering what it read.

Where time is short it scores the first candidates alone, as many as what it learnt of the model's
costs says there is time for. What XLA has begun cannot be interrupted, so nothing is begun that is
not expected to be ready in time.
"""

from typing import TypeAlias

import numpy as np
from jaxtyping import Float32, Int32

from bert.tokens import Tokenised
from catalog.item_text import item_text
from rerank.features import feature_matrix
from rerank.scorer import PairScorer
from search.result import DeadlineExceededError, Hit
from search.runtime.batching import calling
from search.runtime.cache import VectorCache
from search.runtime.deadline import Clock, Remembered
from search.signals import SignalSource

# Of the time left, what all that is to be read may take to be read in one go, and what a first part
# of it may take otherwise: what others ask for meanwhile can make it take longer.
_IN_ONE_GO = 0.7
_IN_PARTS = 0.6

# The reranker's logits of the first candidates, and their lexical signal.
Scored: TypeAlias = tuple[Float32[np.ndarray, " scored"], Float32[np.ndarray, " scored"]]
NOT_SCORED: Scored = (np.zeros(0, np.float32), np.zeros(0, np.float32))


class Reranking:
    """The reranker of a bundle; where it has none, nothing is scored."""

    def __init__(self, pairs: PairScorer | None, cache: VectorCache) -> None:
        """Take the reranker, and memory for what it read of pairs of query and catalogue item."""
        self._pairs = pairs
        self._cache = cache

    @property
    def exists(self) -> bool:
        """Whether there is a reranker."""
        return self._pairs is not None

    def score(
        self,
        query: str,
        rows: Int32[np.ndarray, " candidates"],
        cosines: Float32[np.ndarray, " candidates"],
        clock: Clock,
        source: SignalSource,
        later: tuple[str, ...] = (),
    ) -> Scored:
        """The reranker's logits of candidates, and their lexical signal.

        They are those of all candidates, or of the first ones that there is time for.

        Args:
            query: The query.
            rows: The candidates, best first.
            cosines: Of the query's vector with theirs.
            clock: How much time there is.
            source: Where their signals come from.
            later: Stages that are still to come, for which time must be left.

        Raises:
            DeadlineExceededError: the deadline passed, or is too near and nothing can be left out.
        """
        later = ("fuse", *later)
        if not len(rows) or self._pairs is None or clock.left("signals", "tokenise", *later) <= 0:
            return NOT_SCORED
        with clock.stage("signals", len(rows)):
            signals = source.gather(query, rows, cosines)
        with clock.stage("rerank", len(rows)) as remembered:
            read = self._read(self._pairs, query, rows, source, clock, remembered, later)
            count = len(read)
            if count:
                with clock.step("fuse"):
                    scores = self._pairs.fuse(read, feature_matrix(signals)[:count])
        clock.found(count)
        return (scores, signals.lexical[:count]) if count else NOT_SCORED

    def hits(
        self,
        query: str,
        rows: Int32[np.ndarray, " candidates"],
        cosines: Float32[np.ndarray, " candidates"],
        clock: Clock,
        source: SignalSource,
    ) -> list[Hit]:
        """Candidates with their scores, in the order given, by id alone; see `score`."""
        scores, lexical = self.score(query, rows, cosines, clock, source)
        return [
            Hit(
                item_id=source.catalogue.id(row),
                score=float(scores[at]),
                dense_score=float(cosines[at]),
                rerank_score=float(scores[at]),
                lexical_score=None if np.isnan(lexical[at]) else float(lexical[at]),
            )
            for at, row in enumerate(rows.tolist())
        ]

    def _read(
        self,
        scorer: PairScorer,
        query: str,
        rows: Int32[np.ndarray, " candidates"],
        source: SignalSource,
        clock: Clock,
        remembered: Remembered,
        later: tuple[str, ...],
    ) -> Float32[np.ndarray, "scored fusion"]:
        """What the texts of query and first candidates contribute to the scores."""
        # Rows of inline items mean nothing to the next call.
        keys = [] if source.lexical is None else [(query, row) for row in rows.tolist()]
        found = self._cache.find(keys) if keys else [None] * len(rows)
        missing = [at for at, vector in enumerate(found) if vector is None]
        remembered(len(rows) - len(missing))
        if missing and clock.left("tokenise", *later) > 0:
            with clock.step("tokenise"):
                texts = [item_text(source.catalogue.item(row)) for row in rows[missing].tolist()]
                tokenised = scorer.tokenise([query] * len(texts), texts)
            begin = 0
            while part := self._next_part(scorer, tokenised, begin, clock, later):
                chosen = range(begin, begin + part)
                try:
                    with calling(clock.hurried(*later)):
                        values = scorer.read_tokenised(tokenised.take(chosen))
                except DeadlineExceededError:
                    clock.check()  # it may be the caller's own deadline
                    if not clock.hurries:
                        raise
                    break
                for place, vector in zip(chosen, values, strict=True):
                    found[missing[place]] = vector
                if keys:
                    self._cache.keep([keys[missing[place]] for place in chosen], values)
                begin += part
        known = [vector for vector in found if vector is not None]
        first = next((at for at, vector in enumerate(found) if vector is None), len(found))
        return np.stack(known[:first]) if first else np.zeros((0, scorer.width), np.float32)

    def _next_part(
        self,
        scorer: PairScorer,
        tokenised: Tokenised,
        begin: int,
        clock: Clock,
        later: tuple[str, ...],
    ) -> int:
        """How many pairs from one on are to be read next; 0 where none are left or no time is."""
        left = clock.left(*later)
        rest = tokenised if not begin else tokenised.take(range(begin, len(tokenised)))
        if not len(rest):
            return 0
        if np.isinf(left) or scorer.affordable(rest, _IN_ONE_GO * left) == len(rest):
            return len(rest)
        # The last pairs may take whatever time there still is.
        return scorer.affordable(rest, _IN_PARTS * left) or min(1, scorer.affordable(rest, left))
