"""The initial weights of a run: a pretrained BERT, or an earlier bundle."""

import hashlib
import json
import shutil
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from base.errors import InputError
from bert.config import BertConfig
from bert.model import Bert
from bert.numerics import Numerics
from bert.params import CONFIG_FILE, WEIGHTS_FILE, resolve_pretrained
from bert.tokens import TOKENIZER_FILE, Tokenizer
from rerank.cross_encoder import load_cross_encoder
from rerank.features import FeatureStatistics
from rerank.model import Reranker, RerankerConfig, load_reranker, pretrained_reranker
from rerank.scorer import PairScorer
from search import bundle
from towers.model import Towers, TowersConfig
from towers.saving import load_towers, pretrained_towers
from train.loop.pretrained import read_pooling, read_prefixes, read_sizes, read_tokenizer


@dataclass(frozen=True)
class InitialWeights:
    """The source of the initial weights.

    Attributes:
        directory: A Hugging Face BERT, or a verified bundle.
        is_bundle: Whether the directory is a bundle.
        layers: Number of layers of a pretrained encoder to keep, from the first on; None keeps
            all.
    """

    directory: Path
    is_bundle: bool
    layers: int | None

    @classmethod
    def find(cls, name: str, layers: int | None) -> "InitialWeights":
        """Find the model or bundle that `--init-from` names.

        Raises:
            InputError: the model or bundle is missing or damaged.
        """
        path = Path(name)
        if (path / bundle.MANIFEST).is_file():
            bundle.verify(path)
            return cls(path, is_bundle=True, layers=None)
        return cls(resolve_pretrained(name), is_bundle=False, layers=layers)

    @property
    def digest(self) -> str:
        """A hash that identifies the weights."""
        if self.is_bundle:
            return bundle.Manifest.read(self.directory).bundle_id
        whole = hashlib.sha256(_file_digest(self.directory / CONFIG_FILE))
        whole.update(hashlib.sha256(self.tokenizer.files[TOKENIZER_FILE]).digest())
        whole.update(_file_digest(self.directory / WEIGHTS_FILE))
        return whole.hexdigest()

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that belongs to the weights."""
        if self.is_bundle:
            return Tokenizer.from_directory(self.directory / bundle.TOKENIZER)
        return read_tokenizer(self.directory)

    @cached_property
    def sizes(self) -> BertConfig:
        """The sizes of a pretrained encoder."""
        return read_sizes(self.directory)

    def resolve(self, config: TowersConfig) -> TowersConfig:
        """Set the pooling and the prefixes that are None to those of a pretrained model's files.

        Raises:
            InputError: the files are damaged, or the model pools in a way that is not supported.
        """
        if self.is_bundle:
            return config
        own: dict[str, Any] = {**read_prefixes(self.directory)}
        if config.pooling is None:
            own |= read_pooling(self.directory)
        missing = {name: own[name] for name in own if getattr(config, name) is None}
        return replace(config, **missing)

    def check(self, towers: TowersConfig, reranker: RerankerConfig) -> None:
        """Check options against the sizes of a pretrained encoder, before anything is trained.

        Raises:
            InputError: an option is out of range.
        """
        if self.is_bundle:
            return
        towers.check(self.sizes)
        reranker.check(self.sizes)
        if self.tokenizer.vocab_size > self.sizes.vocab_size:
            raise InputError(
                f"{self.directory}: the tokenizer has {self.tokenizer.vocab_size:,} pieces, and "
                f"the encoder only {self.sizes.vocab_size:,}; they are not of one model"
            )

    def towers(self, config: TowersConfig) -> Towers:
        """Make the initial towers; towers from a bundle keep their own configuration."""
        if self.is_bundle:
            return load_towers(self.directory / bundle.TOWERS)
        return pretrained_towers(self.directory, config, self.sizes, num_layers=self.layers)

    @property
    def has_reranker(self) -> bool:
        """Whether the weights include a trained reranker."""
        return self.is_bundle and (self.directory / bundle.RERANK).is_dir()

    def reranker(self, config: RerankerConfig, encoder: Bert, seed: int) -> Reranker:
        """Make the initial reranker: the reranker of a bundle, or else a new one.

        Args:
            config: Configuration of a new reranker; a reranker from a bundle keeps its own.
            encoder: Encoder of a new reranker. The encoder of trained towers is a better start than
                the pretrained one, because it was trained on the catalogue.
            seed: Seed of a new reranker's fusion weights.
        """
        if self.has_reranker:
            return load_reranker(self.directory / bundle.RERANK)
        return pretrained_reranker(encoder, config, seed=seed)

    def reranker_scorer(self, numerics: Numerics) -> PairScorer | None:
        """Make a scorer of the reranker of a bundle; None without one."""
        if not self.has_reranker:
            return None
        directory = self.directory / bundle.RERANK
        statistics = FeatureStatistics.read(directory)
        return PairScorer(load_reranker(directory), statistics, self.tokenizer, numerics)

    def copy_reranker(self, directory: Path) -> None:
        """Copy the reranker of a bundle, unchanged."""
        shutil.copytree(self.directory / bundle.RERANK, directory, dirs_exist_ok=True)


@dataclass(frozen=True)
class CrossEncoder:
    """A public cross-encoder, with which a new reranker starts.

    Attributes:
        directory: A Hugging Face directory of a `BertForSequenceClassification` with one label.
    """

    directory: Path

    @property
    def digest(self) -> str:
        """A hash that identifies the weights."""
        return _file_digest(self.directory / WEIGHTS_FILE).hex()

    def reranker(self, config: RerankerConfig, tokenizer: Tokenizer) -> Reranker:
        """Make a reranker that scores pairs exactly as the cross-encoder.

        Args:
            config: The token budgets.
            tokenizer: The tokenizer of the towers, which is the only tokenizer of a bundle.

        Raises:
            InputError: the files describe another model, or the model has another vocabulary.
        """
        if _vocabulary(read_tokenizer(self.directory)) != _vocabulary(tokenizer):
            raise InputError(
                f"{self.directory} has another vocabulary than the towers; give --rerank-init-from "
                "a cross-encoder with the vocabulary of --init-from, and --vocabulary.no-prune"
            )
        return load_cross_encoder(self.directory, config, read_sizes(self.directory))


def _vocabulary(tokenizer: Tokenizer) -> Any:
    return json.loads(tokenizer.files[TOKENIZER_FILE])["model"]["vocab"]


def _file_digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
