"""Stage 2 over candidates: their signals, and the reranker's logits, remembering what it read."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int32, Int64

from bert.compiled import BucketedForward, Forward
from bert.numerics import Numerics
from bert.tokens import Tokenizer
from catalog.text import item_text
from rerank.features import FeatureStatistics, feature_matrix
from rerank.model import load_reranker
from rerank.score import PairScorer
from search.cache import VectorCache
from search.clock import Clock, Remembered
from search.ranking import SignalSource


class Stage2:
    """The reranker of a bundle; where it has none, nothing is scored."""

    def __init__(self, pairs: PairScorer | None, signals: SignalSource, cache: VectorCache) -> None:
        """Take the reranker, the signals of the catalogue, and memory for what it read of pairs."""
        self._pairs = pairs
        self._signals = signals
        self._cache = cache

    @classmethod
    def open(
        cls,
        directory: Path,
        tokenizer: Tokenizer,
        numerics: Numerics,
        signals: SignalSource,
        cache: VectorCache,
    ) -> "Stage2":
        """Open the reranker's directory of a bundle, which may not be there."""
        if not directory.is_dir():
            return cls(None, signals, cache)
        statistics = FeatureStatistics.read(directory)
        pairs = PairScorer(load_reranker(directory), statistics, tokenizer, numerics)
        return cls(pairs, signals, cache)

    @property
    def exists(self) -> bool:
        """Whether there is a reranker."""
        return self._pairs is not None

    @property
    def compilations(self) -> int:
        """Model programs compiled so far."""
        return 0 if self._pairs is None else self._pairs.compilations

    def warm_up(self) -> None:
        """Compile every shape that scoring can meet."""
        if self._pairs is not None:
            self._pairs.warm_up()

    def route(self, through: Callable[[BucketedForward], Forward]) -> None:
        """Run the encoder through something that shares it with other callers."""
        if self._pairs is not None:
            self._pairs.route(through)

    def score(
        self,
        query: str,
        rows: Int32[np.ndarray, " candidates"],
        cosines: Float32[np.ndarray, " candidates"],
        clock: Clock,
        source: SignalSource | None = None,
    ) -> tuple[Float32[np.ndarray, " candidates"], Float32[np.ndarray, " candidates"]]:
        """The reranker's logits of candidates, and their lexical signal.

        The candidates are of the catalogue unless another source is given.
        """
        if not len(rows) or self._pairs is None:
            return np.zeros(0, np.float32), np.zeros(0, np.float32)
        source = source or self._signals
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
            store = source.store
            texts = [item_text(store.item(row)) for row in rows[missing].tolist()]
            return scorer.read(query, texts)

        if source is not self._signals:  # rows of inline items mean nothing to the next call
            return read(np.arange(len(rows)))
        keys = [(query, row) for row in rows.tolist()]
        pairs, known = self._cache.rows(keys, read, scorer.width)
        remembered(known)
        return pairs
