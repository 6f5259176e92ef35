"""Towers to and from a directory, and towers over pretrained weights."""

from dataclasses import asdict
from pathlib import Path

from flax import nnx

from bert.params import load_bert
from bert.saving import load_model, save_model
from towers.model import Towers, TowersConfig


def save_towers(towers: Towers, directory: Path) -> None:
    """Write configuration and weights to an existing directory."""
    save_model(towers, {**asdict(towers.config), "bert": towers.bert.config.to_hf()}, directory)


def load_towers(directory: Path) -> Towers:
    """Read what `save_towers` wrote.

    Raises:
        InputError: files are missing or damaged, or their tensors do not fit the configuration.
    """
    return load_model(directory, TowersConfig, Towers, "towers")


def pretrained_towers(
    directory: Path, config: TowersConfig, *, num_layers: int | None = None
) -> Towers:
    """Make towers over a pretrained BERT, with untrained projections.

    Args:
        directory: A Hugging Face BERT directory.
        config: Configuration of the towers.
        num_layers: First layers of the encoder to keep; None keeps all.
    """
    bert = load_bert(directory, num_layers=num_layers)
    towers = Towers(config, bert.config, rngs=nnx.Rngs(0))
    towers.bert = bert
    if towers.item_bert is not None:
        towers.item_bert = load_bert(directory, num_layers=num_layers)
    return towers
