"""Small datasets, and flags with which a training run takes seconds."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from bert.compilation_cache import enable_compilation_cache
from demo import DemoConfig, write_demo_store
from tests.tiny import write_pretrained

Rows = Sequence[Mapping[str, Any]]


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory) -> Path:
    """The directory of a random BERT with two small layers."""
    return write_pretrained(tmp_path_factory.mktemp("pretrained"))


@pytest.fixture(scope="session")
def demo(tmp_path_factory) -> Path:
    """The dataset directory of a small demo store."""
    directory = tmp_path_factory.mktemp("demo")
    config = DemoConfig(products=300, queries=120, users=30, sessions=80)
    write_demo_store(directory, seed=5, config=config)
    return directory


@pytest.fixture(scope="session")
def flags(pretrained: Path, compilation_cache: Path) -> Callable[..., list[str]]:
    """Return a function that makes the arguments of a training run with tiny models.

    All runs share a compilation cache.
    """

    def make(data: Path, out: Path, *more: str, init: Path = pretrained) -> list[str]:
        (out / "cache").mkdir(parents=True, exist_ok=True)
        if not (out / "cache" / "xla").exists():
            (out / "cache" / "xla").symlink_to(compilation_cache)
        return [
            *("--data", str(data), "--out", str(out), "--init-from", str(init)),
            *("--numerics", "float32", "--layers", "1"),
            *("--towers.dim", "32", "--towers.max-query-tokens", "12"),
            *("--towers.max-item-tokens", "16", "--pairs.batch", "32", "--towers-fit.epochs", "15"),
            *("--pairs.dev-queries", "20", "--pairs.dev-items", "150"),
            *("--towers-fit.learning-rate", "3e-3", "--towers-fit.evaluations", "4"),
            *("--towers-fit.checkpoint-every", "15", "--towers-fit.patience", "9"),
            *("--reranker.max-query-tokens", "6", "--reranker.max-tokens", "16"),
            *("--reranker.fusion", "8", "--lists.dev-queries", "10", "--lists.dev-depth", "10"),
            *("--rerank-fit.learning-rate", "1e-3", "--rerank-fit.epochs", "4"),
            *("--rerank-fit.checkpoint-every", "6", "--rerank-fit.patience", "9"),
            *("--calibration.train-queries", "30", "--calibration.dev-queries", "30"),
            *("--calibration.pieces", "40", "--calibration.absent", "10"),
            # The small datasets have too few `dev` queries for a decision.
            *("--guard.towers", "always", "--guard.reranker", "always"),
            *more,
        ]

    return make


@pytest.fixture
def dataset(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a dataset directory."""

    def write(name: str = "data", info: Any = None, **tables: Rows) -> Path:
        directory = tmp_path / name
        directory.mkdir()
        for table, rows in tables.items():
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (directory / f"{table}.jsonl").write_text(text)
        if info is not None:
            (directory / "dataset.json").write_text(json.dumps(info))
        return directory

    return write


@pytest.fixture
def shared_cache(compilation_cache: Path):
    """Restore the compilation cache after a test, because a training run changes it."""
    yield
    enable_compilation_cache(compilation_cache)
