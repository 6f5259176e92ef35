"""Build the two indexes of a bundle (vector and lexical), and report on them.

`train` builds the indexes of a new bundle. A server with live writes builds the indexes of a
compacted bundle (see `live.index_build`).
"""

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from base.memory import forget_peak, peak_bytes
from catalog.store import ItemStore
from lexical.config import LexicalConfig
from lexical.index import LexicalIndex
from lexical.suggestions import PastQueries, SuggestionConfig, build_suggestions
from search import bundle
from towers.index import (
    IndexConfig,
    index_config,
    index_stored,
    open_queries,
    recall_against_exact,
)
from towers.vectors import open_matrix, open_vectors

# A file in the directory of the vector index. It has queries that the index was not tuned on.
HELD_OUT = "held_out.npy"
_RECALL_DEPTHS = (10, 100, 200)


def build_indexes(
    directory: Path,
    store: ItemStore,
    config: IndexConfig,
    queries: Float32[np.ndarray, "queries dim"],
    lexical: LexicalConfig,
) -> dict[str, Any]:
    """Build the vector index and the lexical index of items.

    Args:
        directory: The directory of the bundle. Its vector index directory already has the vectors.
        store: The items.
        config: Configuration of the vector index.
        queries: Unit vectors of queries to tune the vector index on.
        lexical: Configuration of the lexical index.

    Returns:
        The report. `items` is the number of items. All other values describe the vector index:
        `vectors` (how vectors are stored), `bytes_per_item` (including the vectors),
        `build_seconds`, `build_peak_mib` (peak memory, if the system reports it) and the values of
        the index's `report()`. `recall@K` is the share of the exact K nearest items that the index
        finds, for the queries of `open_held_out`.

    Raises:
        InputError: the kind is ScaNN and ScaNN is not installed, or a vector is not finite.
    """
    index_directory = directory / bundle.INDEX
    forget_peak()
    start = time.monotonic()
    index = index_stored(index_directory, config, queries)
    cost = {"build_seconds": round(time.monotonic() - start, 1)}
    if (peak := peak_bytes()) is not None:
        cost["build_peak_mib"] = round(peak / 2**20)
    LexicalIndex.build(store, directory / bundle.LEXICAL, lexical)
    vectors = open_vectors(index_directory)
    recall = recall_against_exact(index, vectors, open_held_out(index_directory), _RECALL_DEPTHS)
    size = sum(path.stat().st_size for path in index_directory.iterdir())
    return {
        "items": len(vectors),
        "vectors": config.vectors,
        "bytes_per_item": round(size / max(1, len(vectors))),
        **cost,
        **index.report(),
        **{f"recall@{k}": round(share, 4) for k, share in recall.items()},
    }


def build_alike(directory: Path, like: Path) -> dict[str, Any]:
    """Build indexes and suggestions with the configuration of another bundle.

    The suggestions come from the past queries of the other bundle and from the new items.

    Args:
        directory: The directory of the new bundle. It already has the items and the vectors, and
            gets the indexes and, if the other bundle has suggestions, suggestions.
        like: The bundle whose index configurations and query samples are used.

    Returns:
        The report of `build_indexes`.
    """
    index = like / bundle.INDEX
    if (index / HELD_OUT).is_file():
        shutil.copyfile(index / HELD_OUT, directory / bundle.INDEX / HELD_OUT)
    store = ItemStore.read(directory / bundle.ITEMS)
    report = build_indexes(
        directory,
        store,
        index_config(index),
        open_queries(index),
        LexicalConfig.read(like / bundle.LEXICAL),
    )
    old = like / bundle.SUGGESTIONS
    if old.is_dir():
        build_suggestions(
            directory / bundle.SUGGESTIONS,
            store,
            LexicalIndex.open(directory / bundle.LEXICAL),
            PastQueries.read(old),
            SuggestionConfig.read(old),
        )
    return report


def save_held_out(directory: Path, queries: Float32[np.ndarray, "queries dim"]) -> None:
    """Save queries that a vector index is not tuned on, in the directory of the index."""
    np.save(directory / HELD_OUT, queries)


def open_held_out(directory: Path) -> Float32[np.ndarray, "queries dim"]:
    """Return unit vectors of queries that a vector index was not tuned on.

    Bundles of earlier versions have no such queries. For these bundles, return the queries that the
    index was tuned on.
    """
    if not (directory / HELD_OUT).is_file():
        return open_queries(directory)
    return open_matrix(directory / HELD_OUT, np.float32)
