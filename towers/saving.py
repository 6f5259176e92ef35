"""Towers to and from a directory, and towers over pretrained weights."""

import dataclasses
from pathlib import Path

from flax import nnx

from bert.params import load_bert
from bert.saving import load_weights, read_config, save_model
from catalog.errors import InputError
from towers.model import Towers, TowersConfig


def save_towers(towers: Towers, directory: Path) -> None:
    """Write configuration and weights to an existing directory."""
    save_model(towers, towers.config.to_json(), directory)


def load_towers(directory: Path) -> Towers:
    """Read what `save_towers` wrote.

    Raises:
        InputError: files are missing or damaged, or their tensors do not fit the configuration.
    """
    try:
        config = TowersConfig.from_json(read_config(directory))
    except (KeyError, TypeError) as error:
        raise InputError(f"{directory / 'config.json'} describes no towers: {error}") from error
    towers: Towers = nnx.eval_shape(lambda: Towers(config, rngs=nnx.Rngs(0)))
    load_weights(towers, directory)
    return towers


def pretrained_towers(
    directory: Path, config: TowersConfig, *, num_layers: int | None = None
) -> Towers:
    """Towers whose encoders are a pretrained BERT, with projections at their start.

    Args:
        directory: A Hugging Face BERT directory.
        config: Everything but the encoder's shape, which the directory decides.
        num_layers: Keep the encoder's first so many layers; all by default.
    """
    bert = load_bert(directory, num_layers=num_layers)
    towers = Towers(dataclasses.replace(config, bert=bert.config), rngs=nnx.Rngs(0))
    towers.bert = bert
    if towers.item_bert is not None:
        towers.item_bert = load_bert(directory, num_layers=num_layers)
    return towers
