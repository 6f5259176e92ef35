"""`python -m train`: from a dataset directory to a bundle, step by step."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from base.errors import InputError
from bert.compilation_cache import enable_compilation_cache
from catalog.store import ItemStore
from lexical.analysers import ANALYSERS
from lexical.index import LexicalIndex
from lexical.suggestions import build_suggestions
from rerank.features import FEATURE_NAMES
from search import bundle
from search.bundle.building import build_indexes, save_held_out
from towers.history.blocks import BLOCKS_VERSION
from towers.index import FILES_VERSION
from towers.model import Towers
from towers.saving import save_towers
from towers.vectors import open_vectors
from train.data.past_queries import past_queries
from train.data.relevance import (
    Relevance,
    clicked_pairs,
    judged_pairs,
    outside_test,
    relevance_of,
)
from train.data.vectors import item_texts, write_vectors
from train.evaluation.guard import can_be_taken, untrained
from train.evaluation.report import JudgedQuery
from train.people.dataset import people_of
from train.people.training import build_user_tower
from train.pipeline.behaviour import events_before, fit_behaviour
from train.pipeline.bundle import assemble
from train.pipeline.event_weight import choose_event_weight
from train.pipeline.inputs import NUMERICS_FILE
from train.pipeline.reranking import RerankingSteps
from train.pipeline.steps import TrainingStep, sole_writer
from train.pipeline.towers import IN_BATCH_LOSS, fit_towers, train_towers
from train.pipeline.vocabulary import keep_rows
from train.pipeline.weights import queries_of
from train.recommend.windows import RecommenderConfig
from train.step_inputs import deciding

logger = logging.getLogger(__name__)

STEPS = ("towers", "index", "mine", "rerank", "suggest", "behaviour", "people")
_RECALL_SAMPLE = 200  # number of queries to tune the index on, and to measure its recall on
_GOLDEN = 8  # number of golden queries, whose answers a bundle records
_QUERY_CHARACTERS = 200  # maximum characters of a sample query; a longer title is cut


@dataclass(frozen=True)
class TrainingRun(RerankingSteps):
    """The steps of one configuration."""

    def run(self, only: str | None = None) -> Path:
        """Run all steps and build the bundle, or run only one step; return the written directory.

        Raises:
            InputError: the data, weights or options cannot be used, or a step before `only` is not
                done.
        """
        steps = self.steps()
        _ = self.curation_files  # refuse a file with errors before the models train
        # Up to here, only the demo store is written, so a run with unusable data or weights leaves
        # no other files.
        with sole_writer(self.config.out):
            enable_compilation_cache(self.config.out / "cache" / "xla")
            if self.config.numerics == "auto":
                self.numerics.write(self.config.out / NUMERICS_FILE)
            for step in steps:
                if only in (None, step.name):
                    step.run()
                if only == step.name:
                    return step.directory
                step.require()
            return self.bundle(steps)

    def steps(self) -> list[TrainingStep]:
        """Return all steps in order, each with the digests of the steps that it depends on."""
        config = self.config
        shared = {
            "dataset": self.source_dataset.fingerprint,
            "start": self.initial_weights.digest,
            "seed": config.seed,
            "numerics": self.numerics.dtype,
            "layers": config.layers,
            "version": [version("shortlist"), bundle.PARTS_VERSION],
        }
        if self.other_dataset is not None and self.next_items is not None:
            shared["with"] = self.other_dataset.fingerprint
        self.initial_weights.check(self.towers_config, config.reranker)
        towers = self._step(
            "towers",
            self._towers,
            {**shared, "loss": IN_BATCH_LOSS.__name__, "pieces": self.tokenizer.vocab_size},
            self.towers_config,
            config.pairs,
            config.towers_fit,
            {"guard": config.guard.towers},
        )
        index_inputs: dict[str, Any] = {
            "towers": towers.digest,
            "analyser": ANALYSERS[config.lexical.analyser].tokenizer_name,
            "files": FILES_VERSION,
        }
        if self.log_replay is not None:
            index_inputs["written"] = dict(self.log_replay.state)
        index = self._step("index", self._index, index_inputs, config.index, config.lexical)
        mined = self._step("mine", self._mine, index.digest, config.mine)
        rerank = self._step(
            "rerank",
            self._rerank,
            {
                "mine": mined.digest,
                "layers": config.rerank_layers,
                "features": list(FEATURE_NAMES),
                "guard": config.guard.reranker,
                "start": self.cross_encoder and self.cross_encoder.digest,
            },
            config.candidates,
            config.reranker,
            config.lists,
            config.rerank_fit,
        )
        suggest = self._step("suggest", self._suggest, index.digest, config.suggestions)
        behaviour = self._step(
            "behaviour", self._behaviour, index.digest, config.behaviour, RecommenderConfig()
        )
        people = self._step(
            "people",
            self._people,
            {"index": index.digest, "before": config.behaviour.before, "blocks": BLOCKS_VERSION},
            config.people,
            config.people_fit,
        )
        return [towers, index, mined, rerank, suggest, behaviour, people]

    def _step(self, name: str, build: Any, *inputs: Any) -> TrainingStep:
        values = [x if isinstance(x, str | dict) else deciding(x) for x in inputs]
        return TrainingStep(name, self._directory(name), {"inputs": values}, build)

    def _towers(self, directory: Path, unfinished: Path) -> Mapping[str, Any]:
        towers = self.initial_weights.towers(self.towers_config)
        if self.pruned is not None:
            for bert in filter(None, (towers.bert, towers.item_bert)):
                keep_rows(bert, self.pruned[1])
        # The towers do not train on the writes of `--from-state`.
        dataset, store = self.source_dataset, ItemStore(self.source_dataset.items)
        texts = item_texts(store)
        events = self._choose_event_weight(towers, store, texts, unfinished)
        relevance = relevance_of(dataset, store, events.get("weight", 0.0))
        train = relevance and relevance.only("train")
        if relevance is None or train is None or not train.relevant.any():
            if self.next_items is not None:
                raise InputError(
                    f"--data {self.config.data} has no training query with a relevant item, so "
                    "--with-data has no use; give a dataset with judgments as --data"
                )
            logger.info("no training query has a relevant item: towers keep their weights")
            save_towers(towers, directory)
            return {"pairs": 0}
        dev_queries = min(len(relevance.queries_with_gain("dev")), self.config.pairs.dev_queries)
        rule = self.config.guard.towers
        if not can_be_taken(rule, dev_queries):
            save_towers(towers, directory)
            decision = untrained("towers", "the initial towers stay", dev_queries)
            return {"pairs": 0, "events": events, "guard": decision.to_json()}
        towers, report = train_towers(
            towers,
            self.tokenizer,
            self.numerics,
            relevance,
            texts,
            self.config.pairs,
            self._setup("towers", self.config.towers_fit, unfinished),
            rule,
            self.next_items,
        )
        save_towers(towers, directory)
        return {**report, "events": events}

    def _choose_event_weight(
        self, towers: Towers, store: ItemStore, texts: Sequence[str], unfinished: Path
    ) -> Mapping[str, Any]:
        """Choose the weight of events beside judgments with short trainings of the towers."""
        config, dataset = self.config, self.source_dataset
        pairs = replace(config.pairs, max_pairs=3 * config.pairs.trial_pairs)

        def trial(weight: float, relevance: Relevance) -> Float64[np.ndarray, "queries"]:
            name = f"events-{weight:g}"
            checkpoints = unfinished.with_name(f"{unfinished.name}-{name}")
            setup = self._setup(name, config.towers_fit, checkpoints)
            return fit_towers(
                towers, self.tokenizer, self.numerics, relevance, texts, pairs, setup
            ).dev

        return choose_event_weight(
            judged_pairs(dataset, store),
            clicked_pairs(dataset, store),
            trial,
            pairs=pairs.trial_pairs,
            fixed=pairs.event_weight,
            seed=config.seed,
        )

    def _index(self, directory: Path, _: Path) -> Mapping[str, Any]:
        encoder = self._encoder(self._trained_towers())
        (directory / bundle.INDEX).mkdir()
        stored = self.config.index.vectors
        write_vectors(encoder, self.store, directory / bundle.INDEX, stored)
        queries = encoder.queries(self._sample_queries(2 * _RECALL_SAMPLE))
        # With two or more queries, report recall on queries that the index was not tuned on.
        tuned, measured = queries[::2], queries[1::2] if len(queries) > 1 else queries
        save_held_out(directory / bundle.INDEX, measured)
        report = build_indexes(directory, self.store, self.config.index, tuned, self.config.lexical)
        return {"truncated": encoder.truncated, **report}

    def _suggest(self, directory: Path, _: Path) -> Mapping[str, Any]:
        config = self.config.suggestions
        index = LexicalIndex.open(self._directory("index") / bundle.LEXICAL)
        queries = past_queries(self.dataset, config.min_shoppers)
        return build_suggestions(directory, self.store, index, queries, config)

    def _behaviour(self, directory: Path, _: Path) -> Mapping[str, Any]:
        vectors = open_vectors(self._directory("index") / bundle.INDEX)
        events = self.dataset.events
        if events is not None:
            events = outside_test(events, self.dataset.judgments)
        return fit_behaviour(directory, events, self.store, vectors, self.config.behaviour)

    def _people(self, directory: Path, unfinished: Path) -> Mapping[str, Any]:
        dataset = self.dataset
        if dataset.events is not None:
            events = events_before(dataset.events, self.config.behaviour.before)
            dataset = replace(dataset, events=events)
        return build_user_tower(
            directory,
            open_vectors(self._directory("index") / bundle.INDEX),
            self.store,
            people_of(dataset),
            self.config.people,
            self._setup("people", self.config.people_fit, unfinished),
        )

    def bundle(self, steps: Sequence[TrainingStep]) -> Path:
        """Assemble the bundle from the steps, unless it is up to date."""
        return assemble(
            self.config.out / "bundle",
            {step.name: step for step in steps},
            self.store,
            self.tokenizer,
            self.numerics,
            judged={split: self.judged(split) for split in ("train", "dev")},
            golden_queries=self._sample_queries(_GOLDEN),
            calibration=self.config.calibration,
            # The step `rerank` has compared a reranker with the earlier one that it replaces.
            rule=None if self.initial_weights.has_reranker else self.config.guard.reranker,
            curation_files=self.curation_files,
            built_from={
                "dataset": self.dataset.info.name,
                "dataset_fingerprint": self.dataset.fingerprint,
                "config": json.loads(json.dumps(asdict(self.config), default=str)),
            },
            state=None if self.log_replay is None else self.log_replay.state,
        )

    def judged(self, split: str) -> list[JudgedQuery]:
        """Return the queries of `train` or `dev` that have an item with a gain."""
        return queries_of(self.relevance, self.store, split)

    def _sample_queries(self, count: int) -> list[str]:
        """Return a sample of `dev` queries, or of item titles if `dev` has no queries."""
        dev = self.relevance.only("dev").queries if self.relevance is not None else ()
        candidates = dev or self.store.text("title")
        step = max(1, len(candidates) // count)
        return [text[:_QUERY_CHARACTERS] for text in candidates[::step] if text][:count]
