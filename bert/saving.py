"""Models around a BERT, as `config.json` and `model.safetensors` in one directory.

An attribute that is a `Bert` is stored under Hugging Face's keys behind the attribute's name (so an
attribute `bert` reads like any Hugging Face fine-tuned model); every other parameter is stored
under its path.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from flax import nnx
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from base.errors import InputError
from bert.config import BertConfig
from bert.model import Bert
from bert.params import CONFIG_FILE, WEIGHTS_FILE, WeightsError, bert_tensors, fill_bert, parameter

Config = TypeVar("Config")
Model = TypeVar("Model", bound=nnx.Module)


def save_model(model: nnx.Module, config: Mapping[str, Any], directory: Path) -> None:
    """Write the model's configuration and weights to an existing directory."""
    (directory / CONFIG_FILE).write_text(json.dumps(config, indent=1) + "\n")
    save_file(model_tensors(model), directory / WEIGHTS_FILE)


def read_config(directory: Path) -> dict[str, Any]:
    """Read what `save_model` was given as the configuration.

    Raises:
        InputError: the file is missing or not a JSON object.
    """
    path = directory / CONFIG_FILE
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise InputError(f"{path} holds no JSON object")
    return config


def load_model(
    directory: Path, config: type[Config], model: Callable[..., Model], what: str
) -> Model:
    """Load a model that is made of a configuration of its own and a BERT's.

    Args:
        directory: Where `save_model` wrote the fields of `config` and, as `bert`, the encoder's.
        config: The configuration's class.
        model: Called as `model(config, bert_config, rngs=...)`.
        what: The model's name, for messages.

    Raises:
        InputError: files are missing or damaged, or their tensors do not fit the configuration.
    """
    try:
        values = read_config(directory)
        bert = BertConfig.from_hf(values.pop("bert"))
        own = config(**values)
    except (KeyError, TypeError) as error:
        raise InputError(f"{directory / CONFIG_FILE} describes no {what}: {error}") from error
    loaded: Model = nnx.eval_shape(lambda: model(own, bert, rngs=nnx.Rngs(0)))
    load_weights(loaded, directory)
    return loaded


def load_weights(model: nnx.Module, directory: Path) -> None:
    """Fill every parameter of `model`, which may be abstract, from `model.safetensors`.

    Raises:
        InputError: the file is missing or damaged.
        WeightsError: tensors are missing, unexpected or of the wrong shape; lists all of them.
    """
    path = directory / WEIGHTS_FILE
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    fill_model(model, tensors)


def model_tensors(model: nnx.Module) -> dict[str, np.ndarray]:
    """All weights of a model by the name they are stored under."""
    berts = _berts(model)
    tensors = {
        f"{name}.{key}": tensor
        for name, bert in berts.items()
        for key, tensor in bert_tensors(bert).items()
    }
    for path, leaf in nnx.to_flat_state(nnx.state(model)):
        if path[0] not in berts:
            tensors[".".join(map(str, path))] = np.asarray(leaf[...])
    return tensors


def fill_model(model: nnx.Module, tensors: Mapping[str, np.ndarray]) -> None:
    """Set every parameter of a model; the inverse of `model_tensors`.

    Raises:
        WeightsError: tensors are missing, unexpected or of the wrong shape; lists all of them.
    """
    left = dict(tensors)
    problems = []
    berts = _berts(model)
    for name, bert in berts.items():
        prefix = f"{name}."
        own = {key.removeprefix(prefix): left.pop(key) for key in tensors if key.startswith(prefix)}
        try:
            fill_bert(bert, own)
        except WeightsError as error:
            problems.append(f"{name}: {error}")
    filled = []
    for path, leaf in nnx.to_flat_state(nnx.state(model)):
        if path[0] in berts:
            continue
        key = ".".join(map(str, path))
        tensor = left.pop(key, None)
        if tensor is None:
            problems.append(f"missing {key}")
        elif tensor.shape != leaf.shape:
            problems.append(f"{key} has shape {tensor.shape}, the config says {leaf.shape}")
        else:
            filled.append((path, leaf.replace(parameter(tensor))))
    problems += [f"unexpected {key}" for key in sorted(left)]
    if problems:
        raise WeightsError("weights do not fit: " + "; ".join(problems))
    nnx.update(model, nnx.from_flat_state(filled))


def _berts(model: nnx.Module) -> dict[str, Bert]:
    return {name: child for name, child in vars(model).items() if isinstance(child, Bert)}
