from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from flax import nnx

from bert.compilation_cache import enable_compilation_cache
from bert.config import BertConfig
from bert.model import Bert
from bert.params import DEFAULT_PRETRAINED, load_bert, resolve_pretrained


@pytest.fixture
def without_cache(compilation_cache: Path) -> Iterator[None]:
    """Switch the compilation cache off, and restore it after the test."""
    enable_compilation_cache(None)
    yield
    enable_compilation_cache(compilation_cache)


@pytest.fixture(scope="session")
def pretrained() -> Path:
    return resolve_pretrained(DEFAULT_PRETRAINED)


@pytest.fixture(scope="session")
def minilm(pretrained: Path) -> Bert:
    return load_bert(pretrained)


@pytest.fixture(scope="session")
def references() -> dict[str, np.ndarray]:
    """Results of transformers on torch, written by make_references.py."""
    with np.load(Path(__file__).with_name("references.npz"), allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(scope="session")
def tiny_config() -> BertConfig:
    return BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_layers=2,
        num_heads=4,
        intermediate_size=24,
        max_positions=40,
    )


@pytest.fixture
def tiny(tiny_config: BertConfig) -> Bert:
    return Bert(tiny_config, rngs=nnx.Rngs(0))
