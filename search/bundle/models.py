"""The compiled models of a bundle. Writes to the catalogue do not change the models."""

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
from search.runtime.deadline import caller_check
from towers.encoder import TowerEncoder
from towers.history.forward import UserForward
from towers.history.saving import load_history
from towers.saving import load_towers


class Models:
    """The towers, the reranker and the user tower of a bundle.

    Attributes:
        encoder: The query tower and the item tower.
        pairs: The cross-encoder; None if the bundle has no reranker.
        users: The user tower; None if the bundle has none.
        numerics: The input type of matrix products, and why it was chosen.
    """

    def __init__(self, directory: Path, manifest: bundle.Manifest, numerics: Numerics) -> None:
        """Open the models of a verified bundle.

        Raises:
            InputError: a file is damaged, or a model is too large.
            DeadlineExceededError: the caller left, or its deadline passed.
        """
        check = caller_check()
        tokenizer = Tokenizer.from_directory(directory / bundle.TOKENIZER)
        check()
        towers = load_towers(directory / bundle.TOWERS)
        check()
        self.numerics = numerics
        self.encoder = TowerEncoder(towers, tokenizer, numerics)
        self.pairs: PairScorer | None = None
        rerank = directory / bundle.RERANK
        if rerank.is_dir():
            statistics = FeatureStatistics.read(rerank)
            self.pairs = PairScorer(load_reranker(rerank), statistics, tokenizer, numerics)
        check()
        people = directory / bundle.PEOPLE
        self.users = UserForward(load_history(people)) if people.is_dir() else None
        self._files = _files(manifest)
        self._batcher: Batcher | None = None

    def are_of(self, manifest: bundle.Manifest, numerics: Numerics) -> bool:
        """Return whether these are the models of a bundle: same files and same numerics."""
        same = bool(self._files) and self._files == _files(manifest)
        return same and numerics.dtype == self.numerics.dtype

    def warm_up(self) -> None:
        """Compile every shape that serving uses and that is not compiled yet.

        Raises:
            DeadlineExceededError: the caller left, or its deadline passed.
        """
        check = caller_check()
        self.encoder.warm_up(check)
        if self.pairs is not None:
            self.pairs.warm_up(check)
        if self.users is not None:
            self.users.warm_up(check)

    def share(self) -> None:
        """Batch the model work of concurrent requests from now on."""
        if self._batcher is not None:
            return
        self._batcher = Batcher()
        # Every caller of a model holds a reference to this object. So no work is queued when the
        # garbage collector removes this object.
        weakref.finalize(self, self._batcher.finish).atexit = False
        # Queries have priority, because a search starts with the query's vector, and encoding one
        # query is quick.
        first, second = self._batcher.shared(priority=0), self._batcher.shared(priority=1)
        self.encoder.route(queries=first, items=second)
        if self.pairs is not None:
            self.pairs.route(second)
        if self.users is not None:
            self.users.route(first)

    def close(self) -> None:
        """Finish the queued work, then end the batching that `share` started."""
        if self._batcher is not None:
            self._batcher.close()

    @property
    def compilations(self) -> int:
        """The number of model programs compiled so far."""
        models = (self.encoder, self.pairs, self.users)
        return sum(model.compilations for model in models if model is not None)


def _files(manifest: bundle.Manifest) -> Mapping[str, Any]:
    """Return the SHA-256 of each model file, by path."""
    parts = (bundle.TOWERS, bundle.RERANK, bundle.TOKENIZER, bundle.PEOPLE)
    return {p: e["sha256"] for p, e in manifest.files.items() if p.split("/")[0] in parts}
