"""Both indexes of a bundle, and what their build says of them.

`train` builds them of what it encoded, and a server of what was written to it (`live.index_build`).
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
from search import bundle
from towers.index import (
    IndexConfig,
    index_config,
    index_stored,
    open_queries,
    recall_against_exact,
)
from towers.vectors import open_vectors

# Beside the vector index: queries that it was not tuned on.
HELD_OUT = "held_out.npy"
_RECALL_DEPTHS = (10, 100, 200)


def build_indexes(
    directory: Path,
    store: ItemStore,
    config: IndexConfig,
    queries: Float32[np.ndarray, "queries dim"],
    lexical: LexicalConfig,
) -> dict[str, Any]:
    """Build vector index and lexical index of items; their vectors lie where the first one goes.

    Args:
        directory: Where the indexes go.
        store: The items.
        config: Of the vector index.
        queries: Unit vectors of queries that it is tuned on.
        lexical: The configuration of the lexical index.

    Returns:
        What was built: `items`, how their `vectors` are stored, `bytes_per_item` (of the vector
        index, vectors included), `build_seconds` of it and `build_peak_mib` (the most memory held,
        where the system tells), how it searches, and `recall@K` against exact search on the queries
        of `open_held_out`.

    Raises:
        InputError: as `towers.index.index_stored`.
    """
    place = directory / bundle.INDEX
    forget_peak()
    start = time.monotonic()
    index = index_stored(place, config, queries)
    built = {"build_seconds": round(time.monotonic() - start, 1)}
    if (peak := peak_bytes()) is not None:
        built["build_peak_mib"] = round(peak / 2**20)
    LexicalIndex.build(store, directory / bundle.LEXICAL, lexical)
    vectors = open_vectors(place)
    recall = recall_against_exact(index, vectors, open_held_out(place), _RECALL_DEPTHS)
    size = sum(path.stat().st_size for path in place.iterdir())
    return {
        "items": len(vectors),
        "vectors": config.vectors,
        "bytes_per_item": round(size / max(1, len(vectors))),
        **built,
        **index.report(),
        **{f"recall@{k}": round(share, 4) for k, share in recall.items()},
    }


def build_alike(directory: Path, like: Path) -> dict[str, Any]:
    """Build the indexes of the items and vectors in a directory; returns as `build_indexes`.

    Args:
        directory: Where items and vectors lie and the indexes go.
        like: A bundle, for the configuration of both indexes and its samples of queries.
    """
    index = like / bundle.INDEX
    if (index / HELD_OUT).is_file():
        shutil.copyfile(index / HELD_OUT, directory / bundle.INDEX / HELD_OUT)
    return build_indexes(
        directory,
        ItemStore.read(directory / bundle.ITEMS),
        index_config(index),
        open_queries(index),
        LexicalConfig.read(like / bundle.LEXICAL),
    )


def save_held_out(directory: Path, queries: Float32[np.ndarray, "queries dim"]) -> None:
    """Put queries that a vector index is not to be tuned on into its directory."""
    np.save(directory / HELD_OUT, queries)


def open_held_out(directory: Path) -> Float32[np.ndarray, "queries dim"]:
    """Unit vectors of queries that a vector index was not tuned on.

    Of those that it was, where a bundle of an earlier version has no others.
    """
    if not (directory / HELD_OUT).is_file():
        return open_queries(directory)
    queries: np.ndarray = np.load(directory / HELD_OUT, allow_pickle=False)
    return queries
