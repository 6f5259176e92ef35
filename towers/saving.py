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
    """Towers whose encoders are a pretrained BERT, with projections at their start.

    Args:
        directory: A Hugging Face BERT directory.
        config: What the towers add to it.
        num_layers: Keep the encoder's first so many layers; all by default.
    """
    bert = load_bert(directory, num_layers=num_layers)
    towers = Towers(config, bert.config, rngs=nnx.Rngs(0))
    towers.bert = bert
    if towers.item_bert is not None:
        towers.item_bert = load_bert(directory, num_layers=num_layers)
    return towers
