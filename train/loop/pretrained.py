"""What the files of a pretrained model say: sizes, tokenizer, pooling and prefixes.

Hugging Face's `transformers` reads the model's configuration, and makes a `tokenizer.json` for a
model that has only vocabulary files. The bundle keeps the results, so serving needs neither
`transformers` nor the model's files.
"""

import json
import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from base.errors import InputError
from base.untrusted import limits
from base.untrusted.small_files import read_bytes, read_object
from bert.config import BertConfig
from bert.tokens import TOKENIZER_FILE, Tokenizer
from towers.model import Pooling

logger = logging.getLogger(__name__)

# Files of sentence-transformers.
MODULES_FILE = "modules.json"
PROMPTS_FILE = "config_sentence_transformers.json"
# Keys of `PROMPTS_FILE` that name the prefix of each tower, the first one that it has.
_PROMPTS = {"query_prefix": ("query",), "item_prefix": ("document", "passage", "corpus")}
_POOLING = "Pooling"
_KNOWN_MODULES = ("Transformer", _POOLING, "Normalize")

Result = TypeVar("Result")


def read_sizes(directory: Path) -> BertConfig:
    """Read the sizes of a model's encoder; `AutoConfig` fills in those that the file omits.

    Raises:
        InputError: `config.json` cannot be read, or describes an unsupported model.
    """

    def read() -> dict[str, Any]:
        config = _transformers().AutoConfig.from_pretrained(directory, local_files_only=True)
        return dict(config.to_dict())

    return BertConfig.from_hf(_by_transformers(read, directory, "configuration"))


def read_tokenizer(directory: Path) -> Tokenizer:
    """Read a model's tokenizer.

    A `tokenizer.json` is read as it is: `AutoTokenizer` would build the tokenizer anew, with the
    rules that the model's type usually has. Without the file, `AutoTokenizer` converts the model's
    vocabulary.

    Raises:
        InputError: the model has no tokenizer that can be read.
    """
    if (directory / TOKENIZER_FILE).is_file():
        return Tokenizer.from_directory(directory)

    def convert() -> Tokenizer:
        tokenizer = _transformers().AutoTokenizer.from_pretrained(directory, local_files_only=True)
        with tempfile.TemporaryDirectory() as converted:
            tokenizer.save_pretrained(converted)
            return Tokenizer.from_directory(Path(converted))

    return _by_transformers(convert, directory, "tokenizer")


def read_prefixes(directory: Path) -> dict[str, str]:
    """Read the prefixes of queries and items from the prompts of sentence-transformers.

    Returns:
        The values of `query_prefix` and `item_prefix` of `TowersConfig` that the file has.

    Raises:
        InputError: the file is damaged.
    """
    path = directory / PROMPTS_FILE
    if not path.is_file():
        return {}
    config = read_object(path)
    prefixes: dict[str, str] = {}
    try:
        prompts, default = dict(config.get("prompts") or {}), config.get("default_prompt_name")
        for setting, names in _PROMPTS.items():
            found = [prompts[name] for name in (*names, default) if name in prompts]
            prefixes |= {setting: found[0]} if found else {}
    except (TypeError, ValueError, LookupError) as error:
        raise InputError(f"{path}: its prompts are no texts by name") from error
    return prefixes


def read_pooling(directory: Path) -> dict[str, Pooling]:
    """Read the pooling from the modules of sentence-transformers.

    Returns:
        The value of `pooling` of `TowersConfig`, if the model has a module that pools.

    Raises:
        InputError: a file is damaged, or the model pools in a way that is not supported.
    """
    path = directory / MODULES_FILE
    if not path.is_file():
        return {}
    try:
        modules = json.loads(read_bytes(path, limits.JSON_BYTES))
        kinds = [(module["type"].rpartition(".")[2], module["path"]) for module in modules]
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise InputError(f"{path} is no list of modules, each with type and path") from error
    pooling: dict[str, Pooling] = {}
    for kind, inside in kinds:
        if kind == _POOLING:
            pooling["pooling"] = _pooling(directory / inside / "config.json")
        elif kind not in _KNOWN_MODULES:
            logger.warning("unused layer of the pretrained model: layer=%s path=%s", kind, path)
    return pooling


def _pooling(path: Path) -> Pooling:
    """Return the pooling that a module's configuration names, in its older or newer format."""
    config = read_object(path)
    if "pooling_mode" in config:
        modes = [str(config["pooling_mode"])]
    else:
        flags = (key for key, value in config.items() if value is True)
        modes = [key.removeprefix("pooling_mode_") for key in flags if key.startswith("pooling_")]
    names: dict[str, Pooling] = {
        "mean": "mean",
        "mean_tokens": "mean",
        "cls": "cls",
        "cls_token": "cls",
    }
    if len(modes) != 1 or modes[0] not in names:
        raise InputError(
            f"{path}: the model pools by {' and '.join(modes) or 'nothing'}, which is not "
            "supported; give --towers.pooling mean or cls"
        )
    return names[modes[0]]


def _transformers() -> Any:
    """Import `transformers`, which takes seconds, without its advice to install PyTorch."""
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    import transformers  # noqa: PLC0415 - see above

    return transformers


def _by_transformers(read: Callable[[], Result], directory: Path, what: str) -> Result:
    try:
        return read()
    except InputError:
        raise
    except Exception as error:  # the library raises exceptions of many kinds
        reason = " ".join(str(error).split())
        raise InputError(f"{directory} has no {what} that can be read: {reason}") from error
