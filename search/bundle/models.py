"""The two models of a bundle, compiled; they stay the same while the catalogue changes."""

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
    """Encoder and reranker of a bundle.

    Attributes:
        encoder: The towers.
        pairs: The cross-encoder; None if the bundle has no reranker.
        numerics: Input type of their matrix products, and why.
    """

    def __init__(self, directory: Path, manifest: bundle.Manifest, numerics: Numerics) -> None:
        """Open the models of a bundle whose files were verified."""
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
        """Whether a bundle has the same model files, and would run them with the same numerics."""
        same = bool(self._files) and self._files == _files(manifest)
        return same and numerics.dtype == self.numerics.dtype

    def warm_up(self) -> None:
        """Compile every shape that serving can meet, unless it is compiled already."""
        self.encoder.warm_up()
        if self.pairs is not None:
            self.pairs.warm_up()

    def share(self) -> None:
        """Batch the model work of concurrent requests from now on."""
        if self._batcher is not None:
            return
        self._batcher = Batcher()
        # Callers keep a reference to the models, so no work is queued when they are collected.
        weakref.finalize(self, self._batcher.finish).atexit = False
        # Every search begins with the query's vector, and encoding it is quick.
        urgent, patient = self._batcher.shared(priority=0), self._batcher.shared(priority=1)
        self.encoder.route(queries=urgent, items=patient)
        if self.pairs is not None:
            self.pairs.route(patient)

    def close(self) -> None:
        """End the batching that `share` began, after the queued work."""
        if self._batcher is not None:
            self._batcher.close()

    @property
    def compilations(self) -> int:
        """Model programs compiled so far."""
        return self.encoder.compilations + (self.pairs.compilations if self.pairs else 0)


def _files(manifest: bundle.Manifest) -> Mapping[str, Any]:
    """Return the digests of the model files, by path."""
    parts = (bundle.TOWERS, bundle.RERANK, bundle.TOKENIZER)
    return {p: e["sha256"] for p, e in manifest.files.items() if p.split("/")[0] in parts}
