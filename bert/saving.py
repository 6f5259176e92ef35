"""Save and load models that contain a BERT: `config.json` and `model.safetensors`.

The weights of an attribute of type `Bert` are stored under Hugging Face's keys, with the name of
the attribute as prefix. An attribute named `bert` is thus stored like the encoder of a model that
was fine-tuned with Hugging Face. Every other parameter is stored under its path.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
from flax import nnx
from safetensors.numpy import save_file

from base.errors import InputError
from base.untrusted import limits
from base.untrusted.small_files import read_object
from bert.config import BertConfig
from bert.model import Bert
from bert.params import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    WeightsError,
    bert_tensors,
    fill_bert,
    parameter,
    read_tensors,
)

Config = TypeVar("Config")
Model = TypeVar("Model", bound=nnx.Module)


def save_model(model: nnx.Module, config: Mapping[str, Any], directory: Path) -> None:
    """Write the model's configuration and weights to an existing directory."""
    (directory / CONFIG_FILE).write_text(json.dumps(config, indent=1) + "\n")
    save_file(model_tensors(model), directory / WEIGHTS_FILE)


def read_config(directory: Path) -> dict[str, Any]:
    """Read the configuration that `save_model` wrote.

    Raises:
        InputError: the file is missing or not a JSON object.
    """
    return read_object(directory / CONFIG_FILE)


def load_model(
    directory: Path, config: type[Config], model: Callable[..., Model], what: str
) -> Model:
    """Load a model that has a configuration and a BERT.

    Args:
        directory: Directory that `save_model` wrote. Its `config.json` has the fields of `config`,
            and the encoder's configuration under `bert`.
        config: The configuration's class.
        model: Makes the model; called as `model(config, bert_config, rngs=...)`.
        what: The kind of model, for error messages.

    Raises:
        InputError: files are missing or damaged, or the tensors do not fit the configuration.
    """
    try:
        values = read_config(directory)
        bert = BertConfig.from_hf(values.pop("bert"))
        model_config = config(**values)
    except (KeyError, TypeError, ValueError, AttributeError, InputError) as error:
        raise InputError(f"{directory / CONFIG_FILE} describes no {what}: {error}") from error
    loaded: Model = nnx.eval_shape(lambda: model(model_config, bert, rngs=nnx.Rngs(0)))
    load_weights(loaded, directory)
    return loaded


def load_weights(model: nnx.Module, directory: Path) -> None:
    """Set every parameter of a model from `model.safetensors`.

    The model may be abstract: its parameters may have shapes but no values yet.

    Raises:
        InputError: the file is missing or damaged, or the model has too many parameters.
        WeightsError: tensors are missing, unexpected or of the wrong shape. The message lists all
            of them.
    """
    path = directory / WEIGHTS_FILE
    parameters = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model)))
    if parameters > limits.PARAMETERS:
        raise InputError(
            f"{directory / CONFIG_FILE} describes {parameters:,} parameters, and a model may have "
            f"at most {limits.PARAMETERS:,}"
        )
    fill_model(model, read_tensors(path, parameters))


def model_tensors(model: nnx.Module) -> dict[str, np.ndarray]:
    """Return all weights of a model by their key in `model.safetensors`."""
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
        WeightsError: tensors are missing, unexpected or of the wrong shape. The message lists all
            of them.
    """
    remaining = dict(tensors)
    problems = []
    berts = _berts(model)
    for name, bert in berts.items():
        prefix = f"{name}."
        keys = [key for key in tensors if key.startswith(prefix)]
        try:
            fill_bert(bert, {key.removeprefix(prefix): remaining.pop(key) for key in keys})
        except WeightsError as error:
            problems.append(f"{name}: {error}")
    leaves = []
    for path, leaf in nnx.to_flat_state(nnx.state(model)):
        if path[0] in berts:
            continue
        key = ".".join(map(str, path))
        tensor = remaining.pop(key, None)
        if tensor is None:
            problems.append(f"missing {key}")
        elif tensor.shape != leaf.shape:
            problems.append(f"{key} has shape {tensor.shape}, the config says {leaf.shape}")
        else:
            leaves.append((path, leaf.replace(parameter(tensor))))
    problems += [f"unexpected {key}" for key in sorted(remaining)]
    if problems:
        raise WeightsError("weights do not fit: " + "; ".join(problems))
    nnx.update(model, nnx.from_flat_state(leaves))


def _berts(model: nnx.Module) -> dict[str, Bert]:
    return {name: child for name, child in vars(model).items() if isinstance(child, Bert)}
