"""What the steps of a training run share: the dataset, the initial weights, and numerics."""

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from base.errors import InputError
from bert.numerics import Numerics, choose_numerics
from bert.params import resolve_pretrained
from bert.tokens import Tokenizer
from catalog.dataset.reading import Dataset, read_dataset
from catalog.store import ItemStore
from demo import write_demo_store
from search.bundle import write_directory
from search.curation.rules_file import RULES_FILE
from search.curation.table import Curations
from search.understanding.synonyms import SYNONYMS_FILE, read_text
from towers.model import TowersConfig
from towers.tokens import tokenise
from train.data.log_replay import LogReplay
from train.data.relevance import Relevance, relevance_of
from train.data.vectors import item_texts
from train.loop.initial_weights import CrossEncoder, InitialWeights
from train.people.dataset import people_of
from train.people.next_items import NextItems
from train.pipeline.options import DEMO, TrainConfig
from train.pipeline.steps import report_of
from train.pipeline.vocabulary import model_texts, prune

logger = logging.getLogger(__name__)

NUMERICS_FILE = "numerics.json"  # stores the numerics that `auto` chose


def dataset_directory(data: str, out: Path, demo_seed: int) -> Path:
    """Return the directory that `--data` names; generate the demo store if it is missing."""
    if data != DEMO:
        return Path(data)
    directory = out / f"demo-store-{demo_seed}"
    if not directory.is_dir():
        logger.info("generating the demo store: path=%s", directory)
        write_directory(directory, lambda new: write_demo_store(new, seed=demo_seed))
    return directory


def _read(directory: Path) -> Dataset:
    """Read and validate a dataset, and log its warnings."""
    dataset = read_dataset(directory)
    for warning in dataset.warnings:
        logger.warning("warning: %s", warning)
    return dataset


@dataclass(frozen=True)
class TrainingInputs:
    """What the steps of one configuration share: dataset, items, weights and numerics."""

    config: TrainConfig

    @property
    def data_directory(self) -> Path:
        """The directory of the dataset."""
        config = self.config
        return dataset_directory(config.data, config.out, config.demo_seed)

    @cached_property
    def source_dataset(self) -> Dataset:
        """The validated dataset, without the writes of `--from-state`: the towers train on it."""
        return _read(self.data_directory)

    @cached_property
    def other_dataset(self) -> Dataset | None:
        """The validated dataset of `--with-data`; None without that option."""
        if self.config.with_data is None:
            return None
        return _read(self.config.with_data)

    @cached_property
    def next_items(self) -> NextItems | None:
        """The pairs of items of `--with-data`; None without that option.

        Raises:
            InputError: the dataset has no such pairs.
        """
        dataset = self.other_dataset
        if dataset is None:
            return None
        texts, people = item_texts(ItemStore(dataset.items)), people_of(dataset)
        try:
            if people is None:
                raise InputError("no event has a user or a session")
            tokens, _ = tokenise(self.tokenizer, self.towers_config, "item", texts)
            return NextItems.of(people, texts, tokens)
        except InputError as error:
            raise InputError(
                f"--with-data {self.config.with_data}: {error}; the item tower learns from "
                "purchases, carts and clicks of users or sessions"
            ) from error

    @cached_property
    def log_replay(self) -> LogReplay | None:
        """The writes of `--from-state`; None without that option."""
        return None if self.config.from_state is None else LogReplay.read(self.config.from_state)

    @cached_property
    def dataset(self) -> Dataset:
        """The dataset with the writes of `--from-state`: every step after the towers uses it."""
        source = self.source_dataset
        if self.log_replay is None:
            return source
        dataset = read_dataset(self.data_directory, change=self.log_replay.apply)
        for warning in dataset.warnings:
            if warning not in source.warnings:
                logger.warning("warning: %s", warning)
        return dataset

    @cached_property
    def curation_files(self) -> dict[str, str]:
        """The valid content of the dataset's files of synonyms and of rules, by name.

        Raises:
            InputError: a line has no valid rule.
        """
        directory = self.data_directory
        Curations.read(directory)
        paths = [directory / name for name in (SYNONYMS_FILE, RULES_FILE)]
        return {path.name: read_text(path) for path in paths if path.is_file()}

    @cached_property
    def store(self) -> ItemStore:
        """The items of `dataset`."""
        return ItemStore(self.dataset.items)

    @cached_property
    def texts(self) -> list[str]:
        """The text of every item, by row."""
        return item_texts(self.store)

    @cached_property
    def relevance(self) -> Relevance | None:
        """Graded pairs of `train` and `dev`; None without judgments and events."""
        return relevance_of(self.dataset, self.store, self.event_weight)

    @property
    def event_weight(self) -> float:
        """The weight of events beside judgments; 0 until the step `towers` has chosen one."""
        events = report_of(self.config.out / "steps" / "towers").get("events", {})
        return float(events.get("weight", 0.0))

    @cached_property
    def initial_weights(self) -> InitialWeights:
        """The weights that `--init-from` names."""
        weights = InitialWeights.find(self.config.init_from, self.config.layers)
        if weights.is_bundle:
            logger.info(
                "the models keep their shape and token budgets, so --layers, --rerank-layers, "
                "--towers.* and --reranker.* do not apply: init_from=%s",
                self.config.init_from,
            )
        return weights

    @cached_property
    def cross_encoder(self) -> CrossEncoder | None:
        """The cross-encoder that `--rerank-init-from` names; None without that option.

        Raises:
            InputError: the model is missing, or `--init-from` names a bundle with a reranker.
        """
        name = self.config.rerank_init_from
        if name is None:
            return None
        if self.initial_weights.has_reranker:
            raise InputError(
                "--init-from names a bundle with a reranker, so --rerank-init-from has no use; "
                "give one of them"
            )
        return CrossEncoder(resolve_pretrained(name))

    @cached_property
    def towers_config(self) -> TowersConfig:
        """The options of the towers, with pooling and prefixes of the pretrained model."""
        return self.initial_weights.resolve(self.config.towers)

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the models, with a pruned vocabulary if the options say so."""
        return self.initial_weights.tokenizer if self.pruned is None else self.pruned[0]

    @cached_property
    def pruned(self) -> tuple[Tokenizer, Int64[np.ndarray, " kept"]] | None:
        """The tokenizer with the pruned vocabulary, and the kept pieces; None without pruning.

        The pieces do not depend on the writes of `--from-state`, because the towers do not.
        """
        weights, config = self.initial_weights, self.config.vocabulary
        if weights.is_bundle or not config.prune:
            return None
        texts = model_texts(self.source_dataset, self.towers_config)
        return prune(weights.tokenizer, texts, config.common)

    @cached_property
    def numerics(self) -> Numerics:
        """Input type of matrix products.

        A file in the output directory keeps the choice of `auto` for later runs. A different choice
        would invalidate the finished steps and checkpoints.
        """
        path = self.config.out / NUMERICS_FILE
        if self.config.numerics == "auto" and path.is_file():
            chosen = Numerics.read(path)
        else:
            chosen = choose_numerics(self.config.numerics)
        logger.info("matrix products: dtype=%s reason=%r", chosen.dtype, chosen.why)
        return chosen
