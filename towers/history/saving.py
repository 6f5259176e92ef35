"""Save and load the user tower."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from flax import nnx

from base.errors import InputError
from bert.params import CONFIG_FILE
from bert.saving import load_weights, read_config, save_model
from towers.history.model import HistoryConfig, HistoryTower


def save_history(tower: HistoryTower, directory: Path) -> None:
    """Write configuration and weights to an existing directory."""
    save_model(tower, asdict(tower.config), directory)


def read_history_config(directory: Path) -> HistoryConfig:
    """Read the configuration that `save_history` wrote.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        values: dict[str, Any] = {
            name: tuple(x) if isinstance(x, list) else x
            for name, x in read_config(directory).items()
        }
        return HistoryConfig(**values)
    except (TypeError, ValueError) as error:
        raise InputError(f"{directory / CONFIG_FILE} describes no user tower: {error}") from error


def load_history(directory: Path) -> HistoryTower:
    """Load a user tower that `save_history` wrote.

    Raises:
        InputError: files are missing or damaged, or the tensors do not fit the configuration.
    """
    config = read_history_config(directory)
    tower: HistoryTower = nnx.eval_shape(lambda: HistoryTower(config, rngs=nnx.Rngs(0)))
    load_weights(tower, directory)
    return tower
