"""Save and load towers, and make towers from pretrained BERT weights."""

from dataclasses import asdict
from pathlib import Path

from flax import nnx

from bert.config import BertConfig
from bert.params import load_bert
from bert.saving import load_model, save_model
from towers.model import Towers, TowersConfig


def save_towers(towers: Towers, directory: Path) -> None:
    """Write configuration and weights to an existing directory."""
    save_model(towers, {**asdict(towers.config), "bert": towers.bert.config.to_hf()}, directory)


def load_towers(directory: Path) -> Towers:
    """Load towers that `save_towers` wrote.

    Raises:
        InputError: files are missing or damaged, or the tensors do not fit the configuration.
    """
    return load_model(directory, TowersConfig, Towers, "towers")


def pretrained_towers(
    directory: Path,
    config: TowersConfig,
    sizes: BertConfig | None = None,
    *,
    num_layers: int | None = None,
) -> Towers:
    """Make towers from a pretrained BERT, with untrained projections.

    Args:
        directory: A Hugging Face BERT directory.
        config: Configuration of the towers.
        sizes: Sizes of the encoder; None reads them from `config.json`.
        num_layers: Number of encoder layers to keep, from the first on; None keeps all.
    """
    bert = load_bert(directory, sizes, num_layers=num_layers)
    towers = Towers(config, bert.config, rngs=nnx.Rngs(0))
    towers.bert = bert
    if towers.item_bert is not None:
        towers.item_bert = load_bert(directory, sizes, num_layers=num_layers)
    return towers
