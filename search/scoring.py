"""Stage 2 over candidates: their signals, and the reranker's logits, remembering what it read."""

import numpy as np
from jaxtyping import Float32, Int32, Int64

from catalog.text import item_text
from rerank.features import feature_matrix
from rerank.score import PairScorer
from search.cache import VectorCache
from search.clock import Clock, Remembered
from search.ranking import SignalSource


class Stage2:
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
    ) -> tuple[Float32[np.ndarray, " candidates"], Float32[np.ndarray, " candidates"]]:
        """The reranker's logits of candidates, which `source` knows, and their lexical signal."""
        if not len(rows) or self._pairs is None:
            return np.zeros(0, np.float32), np.zeros(0, np.float32)
        with clock.stage("signals", len(rows)):
            signals = source.gather(query, rows, cosines)
        with clock.stage("rerank", len(rows)) as remembered:
            read = self._read(self._pairs, query, rows, source, remembered)
            scores = self._pairs.fuse(read, feature_matrix(signals))
        return scores, signals.lexical

    def _read(
        self,
        scorer: PairScorer,
        query: str,
        rows: Int32[np.ndarray, " candidates"],
        source: SignalSource,
        remembered: Remembered,
    ) -> Float32[np.ndarray, "candidates fusion"]:
        """What the texts of query and candidates contribute to the scores."""

        def read(missing: Int64[np.ndarray, " missing"]) -> Float32[np.ndarray, "missing fusion"]:
            texts = [item_text(source.catalogue.item(row)) for row in rows[missing].tolist()]
            return scorer.read(query, texts)

        if source.lexical is None:  # rows of inline items mean nothing to the next call
            return read(np.arange(len(rows)))
        keys = [(query, row) for row in rows.tolist()]
        pairs, known = self._cache.rows(keys, read, scorer.width)
        remembered(known)
        return pairs
