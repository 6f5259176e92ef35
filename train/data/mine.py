"""The `mine` step: recall candidates for the queries that the reranker trains on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int32

from base.errors import InputError
from towers.encoder import TowerEncoder
from towers.index import VectorIndex
from train.data.relevance import Relevance
from train.progress import track

_FILE = "recalled.npz"
_CHUNK = 256  # queries encoded and searched at a time


@dataclass(frozen=True)
class MineConfig:
    """Settings of the `mine` step."""

    depth: int = 50  # number of candidates of each query; the default equals serving's rerank_depth

    def __post_init__(self) -> None:
        """Check that the depth is at least 1."""
        if self.depth < 1:
            raise InputError(f"mine: depth is {self.depth}; give 1 or more")


@dataclass(frozen=True)
class MinedCandidates:
    """Recalled candidates of every query of a `Relevance`, best first."""

    rows: Int32[np.ndarray, "queries depth"]  # item rows
    cosines: Float32[np.ndarray, "queries depth"]  # cosine of each item and the query

    def write(self, directory: Path) -> None:
        """Write the candidates to an existing directory."""
        np.savez(directory / _FILE, rows=self.rows, cosines=self.cosines)

    @classmethod
    def read(cls, directory: Path) -> "MinedCandidates":
        """Read candidates that `write` wrote."""
        with np.load(directory / _FILE, allow_pickle=False) as arrays:
            return cls(arrays["rows"], arrays["cosines"])


def mine(
    relevance: Relevance, encoder: TowerEncoder, index: VectorIndex, config: MineConfig
) -> MinedCandidates:
    """Search the index with every query of `relevance`."""
    starts = range(0, len(relevance.queries), _CHUNK)
    parts = [
        index.search(encoder.queries(relevance.queries[start : start + _CHUNK]), config.depth)
        for start in track(starts, "mining", len(starts))
    ]
    return MinedCandidates(
        np.concatenate([rows for rows, _ in parts]),
        np.concatenate([cosines for _, cosines in parts]),
    )
