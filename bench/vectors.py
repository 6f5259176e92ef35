"""The index's inputs: vectors of product titles, real ones first, and of real search queries.

Random vectors have no neighbourhoods, and noisy copies of a vector make finding it far too easy. So
items are titles: every distinct one of the datasets, then recombined ones, the beginning of one and
the end of another. Queries are what people typed, so that no item is a query's own source.
"""

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from bench import inputs, ours

QUERIES = 2_000
_CHUNK = 20_000  # titles encoded and written at a time
_WORDS = 5  # of each title that a recombined one has
_SEED = 0


def titles() -> Iterator[str]:
    """Distinct titles without end: real ones, then recombined ones; always the same."""
    real = list(
        dict.fromkeys(title for name in inputs.DATASETS for title in inputs.all_titles(name))
    )
    yield from real
    words = [title.split() for title in real]
    known = set(real)
    generator = np.random.default_rng(_SEED)
    while True:
        for first, second in generator.integers(len(real), size=(_CHUNK, 2)):
            title = " ".join(words[first][:_WORDS] + words[second][-_WORDS:])
            if title not in known:
                known.add(title)
                yield title


def queries() -> list[str]:
    """Distinct real queries, drawn at random."""
    judgments = inputs.dataset().judgments
    assert judgments is not None
    distinct = sorted(set(judgments["query"].to_pylist()))
    chosen = np.random.default_rng(_SEED).permutation(len(distinct))[:QUERIES]
    return [distinct[row] for row in chosen]


def make(directory: Path, items: int) -> tuple[Path, np.ndarray]:
    """The file of the items' unit vectors, and those of queries; encoded once and kept."""
    file = directory / f"titles-{items}.npy"
    encoder = None
    if not file.is_file():
        directory.mkdir(parents=True, exist_ok=True)
        encoder = ours.bulk_encoder()
        unfinished = file.with_suffix(".unfinished")
        vectors = np.lib.format.open_memmap(
            unfinished, mode="w+", dtype=np.float32, shape=(items, encoder.dim)
        )
        source = titles()
        for start in range(0, items, _CHUNK):
            part = list(islice(source, min(_CHUNK, items - start)))
            vectors[start : start + len(part)] = encoder.items(part)
            sys.stderr.write(f"encoded {start + len(part):,} of {items:,} titles\n")
        vectors.flush()
        unfinished.rename(file)
    asked = directory / "queries.npy"
    if not asked.is_file():
        np.save(asked, (encoder or ours.bulk_encoder()).queries(queries()))
    return file, np.load(asked)
