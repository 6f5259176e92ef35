"""Real inputs, the same for all contestants: Home Depot titles, pairs and training examples."""

import os
import sys
from functools import cache
from pathlib import Path

import numpy as np

from catalog.dataset.reading import Dataset, read_dataset

DATASETS = ("homedepot", "icecat")
MAX_TOKENS = 64  # maximum number of tokens of a title, and of a query with a title
_SEED = 0


@cache
def dataset() -> Dataset:
    """Return the Home Depot dataset, read from the directory in SHORTLIST_DATA."""
    return read_dataset(_directory(DATASETS[0]))


def all_titles(name: str) -> list[str]:
    """Return every title of a dataset, in the order of the items."""
    data = dataset() if name == DATASETS[0] else read_dataset(_directory(name))
    titles: list[str] = data.items["title"].to_pylist()
    return titles


def files_of(name: str) -> list[Path]:
    """Return the files of a dataset, sorted."""
    return sorted(path for path in _directory(name).iterdir() if path.is_file())


def _directory(name: str) -> Path:
    root = os.environ.get("SHORTLIST_DATA")
    if not root or not (Path(root) / name).is_dir():
        sys.exit(f"error: SHORTLIST_DATA must name a directory that holds the dataset {name}")
    return Path(root) / name


def titles(count: int) -> list[str]:
    """Return random titles, the same on every call."""
    texts = dataset().items["title"].to_pylist()
    chosen = np.random.default_rng(_SEED).permutation(len(texts))[:count]
    return [texts[row] for row in chosen]


def judged(count: int, *, relevant: bool = False) -> list[tuple[str, str, float]]:
    """Return random training judgments: query, title, and grade scaled from 1–3 to 0–1."""
    data = dataset()
    assert data.judgments is not None
    table = data.judgments
    ids = dict(zip(data.items["item_id"].to_pylist(), data.items["title"].to_pylist(), strict=True))
    columns = (table[name].to_pylist() for name in ("query", "item_id", "grade", "split"))
    rows = [
        (query, ids[item], (grade - 1) / 2)
        for query, item, grade, split in zip(*columns, strict=True)
        if split == "train" and (not relevant or grade >= data.info.relevant_from)
    ]
    chosen = np.random.default_rng(_SEED).permutation(len(rows))[:count]
    return [rows[row] for row in chosen]


def queries_of(directory: Path, split: str | None = None) -> list[str]:
    """Return the distinct queries of the judgments, or of one split, in the original order."""
    judgments = read_dataset(directory).judgments
    if judgments is None:
        sys.exit(f"error: {directory} has no judgments to take queries from")
    rows = zip(judgments["query"].to_pylist(), judgments["split"].to_pylist(), strict=True)
    return list(dict.fromkeys(query for query, row_split in rows if split in (None, row_split)))
