"""The two models of a bundle, compiled: what does not change while its catalogue does."""

import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bert.numerics import Numerics
from bert.tokens import Tokenizer
from rerank.features import FeatureStatistics
from rerank.model import load_reranker
from rerank.scorer import PairScorer
from search import bundle
from search.runtime.batching import Batcher
from towers.encoder import TowerEncoder
from towers.saving import load_towers


class Models:
    """Encoder and reranker.

    Attributes:
        encoder: Stage 1's towers.
        pairs: Stage 2's cross-encoder; None where the bundle has none.
        numerics: Input type of their matrix products, and why.
    """

    def __init__(self, directory: Path, manifest: bundle.Manifest, numerics: Numerics) -> None:
        """Open the models of a bundle that is known to be sound."""
        tokenizer = Tokenizer.from_directory(directory / bundle.TOKENIZER)
        towers = load_towers(directory / bundle.TOWERS)
        self.numerics = numerics
        self.encoder = TowerEncoder(towers, tokenizer, numerics)
        self.pairs: PairScorer | None = None
        rerank = directory / bundle.RERANK
        if rerank.is_dir():
            statistics = FeatureStatistics.read(rerank)
            self.pairs = PairScorer(load_reranker(rerank), statistics, tokenizer, numerics)
        self._files = _files(manifest)
        self._batcher: Batcher | None = None

    def are_of(self, manifest: bundle.Manifest, numerics: Numerics) -> bool:
        """Whether a bundle has the very same models, to be run alike."""
        same = bool(self._files) and self._files == _files(manifest)
        return same and numerics.dtype == self.numerics.dtype

    def warm_up(self) -> None:
        """Compile every shape that serving can meet; nothing where that was done before."""
        self.encoder.warm_up()
        if self.pairs is not None:
            self.pairs.warm_up()

    def share(self) -> None:
        """From now on, join the model work of calls that run at the same time."""
        if self._batcher is not None:
            return
        self._batcher = Batcher()
        # Whoever still calls these models keeps them, so nobody waits for the thread when they go.
        weakref.finalize(self, self._batcher.finish).atexit = False
        # A query's vector is what every search begins with, and quick to have.
        urgent, patient = self._batcher.shared(priority=0), self._batcher.shared(priority=1)
        self.encoder.route(queries=urgent, items=patient)
        if self.pairs is not None:
            self.pairs.route(patient)

    def close(self) -> None:
        """End what `share` began; calls under way are finished first."""
        if self._batcher is not None:
            self._batcher.close()

    @property
    def compilations(self) -> int:
        """Model programs compiled so far."""
        return self.encoder.compilations + (self.pairs.compilations if self.pairs else 0)


def _files(manifest: bundle.Manifest) -> Mapping[str, Any]:
    """What the models are read from, with its digests."""
    parts = (bundle.TOWERS, bundle.RERANK, bundle.TOKENIZER)
    return {p: e["sha256"] for p, e in manifest.files.items() if p.split("/")[0] in parts}
