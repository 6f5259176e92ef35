"""The initial weights of a run: a pretrained BERT, or an earlier bundle."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from bert.model import Bert
from bert.params import CONFIG_FILE, WEIGHTS_FILE, read_bert_config, resolve_pretrained
from bert.tokens import TOKENIZER_FILE, Tokenizer
from rerank.model import Reranker, RerankerConfig, load_reranker, pretrained_reranker
from search import bundle
from towers.model import Towers, TowersConfig
from towers.saving import load_towers, pretrained_towers


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
        whole = hashlib.sha256()
        for name in (CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE):
            with (self.directory / name).open("rb") as file:
                whole.update(hashlib.file_digest(file, "sha256").digest())
        return whole.hexdigest()

    def tokenizer(self) -> Tokenizer:
        """Read the tokenizer that belongs to the weights."""
        inside = self.directory / bundle.TOKENIZER
        return Tokenizer.from_directory(inside if self.is_bundle else self.directory)

    def check(self, towers: TowersConfig, reranker: RerankerConfig) -> None:
        """Check options against the sizes of a pretrained encoder, before anything is trained.

        Raises:
            InputError: an option is out of range.
        """
        if not self.is_bundle:
            bert = read_bert_config(self.directory)
            towers.check(bert)
            reranker.check(bert)

    def towers(self, config: TowersConfig) -> Towers:
        """Make the initial towers; towers from a bundle keep their own configuration."""
        if self.is_bundle:
            return load_towers(self.directory / bundle.TOWERS)
        return pretrained_towers(self.directory, config, num_layers=self.layers)

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

    def copy_reranker(self, directory: Path) -> None:
        """Copy the reranker of a bundle, unchanged."""
        shutil.copytree(self.directory / bundle.RERANK, directory, dirs_exist_ok=True)
