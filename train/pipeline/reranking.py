"""The steps `mine` and `rerank`: recall candidates, and train the reranker on them."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bert.model import first_layers
from catalog.catalogue import Catalogue
from rerank.features import FEATURE_NAMES, FeatureStatistics
from rerank.model import Reranker, save_reranker
from search import bundle
from search.channels import SEARCH_CHANNELS
from search.channels.base import Query
from search.feature_source import FeatureSource, newest_release
from towers.encoder import TowerEncoder
from towers.index import open_index
from towers.model import Towers
from towers.saving import load_towers
from towers.vectors import open_vectors
from train.data.candidates import CandidateLists, dev_lists, training_lists
from train.data.mine import MinedCandidates, mine
from train.evaluation.guard import can_be_taken, untrained
from train.evaluation.metrics import MIN_QUERIES
from train.loop.fit import FitConfig, TrainingSetup
from train.loop.parameters import make_mesh
from train.pipeline.inputs import TrainingInputs
from train.pipeline.rerank import PairInputs, train_reranker

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RerankingSteps(TrainingInputs):
    """The steps of a training run that lead to the reranker."""

    def _mine(self, directory: Path, _: Path) -> Mapping[str, Any]:
        if self.relevance is None:
            return {"queries": 0}
        index = open_index(self._directory("index") / bundle.INDEX)
        encoder = self._encoder(self._trained_towers())
        mined = mine(self.relevance, encoder, index, self.config.mine)
        mined.write(directory)
        return {"queries": len(mined.rows)}

    def _rerank(self, directory: Path, unfinished: Path) -> Mapping[str, Any]:
        towers = self._trained_towers()
        recalled = None if self.relevance is None else MinedCandidates.read(self._directory("mine"))
        queries = self._encoded_queries(towers)
        training = recalled and self._training_lists(recalled, queries)
        dev_queries, rule = self._dev_queries, self.config.guard.reranker
        is_verifiable = self.cross_encoder is None or dev_queries >= MIN_QUERIES
        if self.relevance is None or recalled is None or not training or not is_verifiable:
            return self._keep_reranker(directory)
        if self.initial_weights.has_reranker:
            dev_queries = min(dev_queries, self.config.lists.dev_queries)
        if not can_be_taken(rule, dev_queries):
            instead = "recall alone ranks"
            if self.initial_weights.has_reranker:
                self.initial_weights.copy_reranker(directory)
                instead = "the earlier one stays"
            return {"guard": untrained("reranker", instead, dev_queries).to_json()}
        seed, lists = self.config.seed, self.config.lists
        source = FeatureSource.open(
            self._directory("index"),
            Catalogue.of(self.store),
            newest_release(self.store),
            available=SEARCH_CHANNELS,
        )
        reranker, statistics, report = train_reranker(
            self._untrained_reranker(towers),
            PairInputs(self.relevance, queries, source, self.tokenizer),
            self.numerics,
            training,
            dev_lists(
                self.relevance,
                recalled,
                queries=lists.dev_queries,
                depth=lists.dev_depth,
                seed=seed,
            ),
            lists,
            self._setup("rerank", self.config.rerank_fit, unfinished),
            earlier=self.initial_weights.reranker_scorer(self.numerics),
            rule=rule,
        )
        if "guard" in report and not report["guard"]["taken"]:
            self.initial_weights.copy_reranker(directory)
            return report
        save_reranker(reranker, directory)
        statistics.write(directory)
        return {**report, "trained_features": sum(statistics.trained)}

    def _keep_reranker(self, directory: Path) -> Mapping[str, Any]:
        """Write the initial reranker without training, if there is one."""
        if self.initial_weights.has_reranker:
            self.initial_weights.copy_reranker(directory)
            return {"reranker": f"as in {self.config.init_from}"}
        if self.cross_encoder is None:
            logger.info("no training query has an item to rank above another: no reranker")
            return {"reranker": "none"}
        if not can_be_taken(self.config.guard.reranker, self._dev_queries):
            decision = untrained("reranker", "recall alone ranks", self._dev_queries)
            return {"guard": decision.to_json()}
        save_reranker(self._untrained_reranker(self._trained_towers()), directory)
        # Without training, the reranker reads no features.
        FeatureStatistics.of(np.full((1, len(FEATURE_NAMES)), np.nan, np.float32)).write(directory)
        return {"reranker": f"as in {self.config.rerank_init_from}"}

    @property
    def _dev_queries(self) -> int:
        return 0 if self.relevance is None else len(self.relevance.queries_with_gain("dev"))

    def _encoded_queries(self, towers: Towers) -> list[Query]:
        """Return the judged queries with their vectors."""
        if self.relevance is None:
            return []
        texts = self.relevance.queries
        vectors = self._encoder(towers).queries(texts)
        return [Query(text, vector) for text, vector in zip(texts, vectors, strict=True)]

    def _training_lists(
        self, recalled: MinedCandidates, queries: Sequence[Query]
    ) -> CandidateLists | None:
        if self.relevance is None:
            return None
        return training_lists(
            self.relevance,
            recalled,
            open_vectors(self._directory("index") / bundle.INDEX),
            queries,
            self.texts,
            self.config.candidates,
            self.config.seed,
        )

    def _untrained_reranker(self, towers: Towers) -> Reranker:
        if self.cross_encoder is not None:
            return self.cross_encoder.reranker(self.config.reranker, self.tokenizer)
        encoder = towers.bert
        if self.config.rerank_layers is not None:
            encoder = first_layers(encoder, min(self.config.rerank_layers, len(encoder.layers)))
        return self.initial_weights.reranker(self.config.reranker, encoder, self.config.seed)

    def _trained_towers(self) -> Towers:
        return load_towers(self._directory("towers"))

    def _encoder(self, towers: Towers) -> TowerEncoder:
        return TowerEncoder(towers, self.tokenizer, self.numerics, bulk=True)

    def _directory(self, name: str) -> Path:
        return self.config.out / "steps" / name

    def _setup(self, name: str, fitting: FitConfig, unfinished: Path) -> TrainingSetup:
        """Return how and where a model trains."""
        return TrainingSetup(
            fitting,
            self.config.seed,
            make_mesh(self.config.model_parallel),
            checkpoints=unfinished,
            scalars=self.config.out / "tensorboard" / name,
        )
