"""Measure the time and memory of each stage of an index build.

    python -m bench.index.building

The vectors are random, because a million random vectors take seconds to make, but a million titles
take an hour to encode. Each vector is a random point near a random centre. Real vectors
would have other neighbours, but that hardly changes the time and memory of a build.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import tyro

from base.memory import forget_peak, peak_bytes
from bench.harness.memory import resident_bytes
from bench.harness.output import say
from towers.index import (
    IndexConfig,
    recall_against_exact,
)
from towers.scann import Effort, build_scann, least_effort, leaves_of, open_scann
from towers.sketch import sketch
from towers.vectors import Stored, create_vectors, open_vectors

_CHUNK = 20_000
_CENTRES = 3_000
_QUERIES = 400  # one half tunes the index, the other half measures recall
_SEED = 0
Result = TypeVar("Result")


@dataclass(frozen=True)
class BuildingConfig:
    """Options of `python -m bench.index.building`."""

    items: int = 100_000  # number of vectors
    dim: int = 384  # dimensions of a vector
    vectors: Stored = "float32"  # number type of the stored vectors
    work: Path = Path("out/bench")  # directory for temporary files


def _random_vectors(rows: int, dim: int, seed: int) -> np.ndarray:
    centres = np.random.default_rng(_SEED).normal(size=(_CENTRES, dim))
    random = np.random.default_rng(seed)
    spread = centres[random.integers(_CENTRES, size=rows)] + random.normal(size=(rows, dim))
    # As in real embeddings, a few dimensions have most of the variance.
    spread /= np.sqrt(1 + np.arange(dim) / 8)
    vectors = spread / np.linalg.norm(spread, axis=1, keepdims=True)
    return vectors.astype(np.float32)


def _write(directory: Path, config: BuildingConfig) -> None:
    vectors = create_vectors(directory, config.items, config.dim, config.vectors)
    for start in range(0, config.items, _CHUNK):
        rows = min(_CHUNK, config.items - start)
        vectors[start : start + rows] = _random_vectors(rows, config.dim, 2 + start)
    vectors.flush()


def _stage(name: str, work: Callable[[], Result]) -> Result:
    forget_peak()
    start = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - start
    peak, resident = peak_bytes() or 0, resident_bytes(files=False) or 0
    say(f"| {name} | {seconds:.0f} | {peak / 1e9:.2f} | {resident / 1e9:.2f} |")
    return result


def main(config: BuildingConfig) -> None:
    """Build the index; print a table of stages, then the size and recall of the index."""
    config.work.mkdir(parents=True, exist_ok=True)
    queries = _random_vectors(_QUERIES, config.dim, 1)
    with tempfile.TemporaryDirectory(dir=config.work) as name:
        directory = Path(name)
        _write(directory, config)
        sys.stdout.write(
            f"{config.items:,} {config.vectors} vectors of {config.dim} dimensions\n\n"
            "| stage | seconds | peak GB | GB afterwards, without file pages |\n"
            "| --- | --- | --- | --- |\n"
        )
        stored = partial(open_vectors, directory)
        tuned, held_out = queries[::2], queries[1::2]
        _stage("sketch", lambda: sketch(stored(), tuned).save(directory))
        leaves, settings = leaves_of(config.items), IndexConfig()
        depth, target = settings.depth, settings.recall_target
        _stage("ScaNN's files", lambda: build_scann(directory, stored(), depth, leaves))
        open_index = partial(open_scann, directory, stored(), leaves)
        index = _stage("opened", lambda: open_index(Effort(1.0, 0, leaves)))
        index.effort = _stage(
            "effort chosen", lambda: least_effort(index, stored(), tuned, depth, target)
        )
        recalls = _stage(
            "recall", lambda: recall_against_exact(index, stored(), held_out, (10, 200))
        )
        size = sum(path.stat().st_size for path in directory.iterdir())
    sys.stdout.write(
        f"\n{size / config.items:,.0f} bytes per item on disk; recall@10 {recalls[10]:.4f}, @200 "
        f"{recalls[200]:.4f}; load average {os.getloadavg()[0]:.1f}\n"
    )


if __name__ == "__main__":
    main(tyro.cli(BuildingConfig, prog="python -m bench.index.building"))
