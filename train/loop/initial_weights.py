"""The weights a run starts from: a pretrained BERT, or an earlier bundle."""

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
class Start:
    """Where weights come from.

    Attributes:
        directory: A Hugging Face BERT, or a verified bundle.
        is_bundle: Which of the two.
        layers: How many of a pretrained encoder's layers are kept; all when None.
    """

    directory: Path
    is_bundle: bool
    layers: int | None

    @classmethod
    def find(cls, name: str, layers: int | None) -> "Start":
        """Find what `--init-from` names.

        Raises:
            InputError: there is no such model or bundle, or it is damaged.
        """
        path = Path(name)
        if (path / bundle.MANIFEST).is_file():
            bundle.verify(path)
            return cls(path, is_bundle=True, layers=None)
        return cls(resolve_pretrained(name), is_bundle=False, layers=layers)

    @property
    def digest(self) -> str:
        """Identifies the weights."""
        if self.is_bundle:
            return bundle.Manifest.read(self.directory).bundle_id
        whole = hashlib.sha256()
        for name in (CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE):
            with (self.directory / name).open("rb") as file:
                whole.update(hashlib.file_digest(file, "sha256").digest())
        return whole.hexdigest()

    def tokenizer(self) -> Tokenizer:
        """The tokenizer that belongs to the weights."""
        inside = self.directory / bundle.TOKENIZER
        return Tokenizer.from_directory(inside if self.is_bundle else self.directory)

    def check(self, towers: TowersConfig, reranker: RerankerConfig) -> None:
        """Refuse sizes that the encoder cannot have, before anything is trained.

        Raises:
            InputError: names the option and its limits.
        """
        if not self.is_bundle:
            bert = read_bert_config(self.directory)
            towers.check(bert)
            reranker.check(bert)

    def towers(self, config: TowersConfig) -> Towers:
        """Towers to train or to use; a bundle's come with its own configuration."""
        if self.is_bundle:
            return load_towers(self.directory / bundle.TOWERS)
        return pretrained_towers(self.directory, config, num_layers=self.layers)

    @property
    def has_reranker(self) -> bool:
        """Whether a trained reranker can be taken over."""
        return self.is_bundle and (self.directory / bundle.RERANK).is_dir()

    def reranker(self, config: RerankerConfig, encoder: Bert, seed: int) -> Reranker:
        """A reranker to train: a bundle's own, else a new one over the towers' encoder.

        Args:
            config: For a new one; a bundle's comes with its own.
            encoder: For a new one: trained towers know the catalogue's language already.
            seed: Decides the random start of a new one's fusion.
        """
        if self.has_reranker:
            return load_reranker(self.directory / bundle.RERANK)
        return pretrained_reranker(encoder, config, seed=seed)

    def copy_reranker(self, directory: Path) -> None:
        """Take a bundle's trained reranker over as it is."""
        shutil.copytree(self.directory / bundle.RERANK, directory, dirs_exist_ok=True)
