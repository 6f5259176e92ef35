"""Inputs of the index benchmarks: vectors of product titles and of real search queries.

Random vectors have no neighbourhoods, and noisy copies of a vector are too easy to find. Therefore
items are titles: first every distinct title of the datasets, then recombined titles. A recombined
title has the first words of one title and the last words of another. Queries are real search
queries, not made from items; `make` checks that they are no copies of items.
"""

import hashlib
import sys
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np

from bench.harness import inputs
from bench.harness.inputs import MAX_TOKENS
from bench.models import ours
from bert.numerics import choose_numerics
from bert.params import CONFIG_FILE, DEFAULT_PRETRAINED, WEIGHTS_FILE, resolve_pretrained
from bert.tokens import TOKENIZER_FILE
from towers.exact import ExactIndex

QUERIES = 2_000
_RECIPE = 1  # raise this number when `titles` or `queries` changes what it returns
_CHUNK = 20_000  # titles that are encoded and written at a time
_WORDS = 5  # words that a recombined title takes from each of two titles
_SEED = 0
_COPY = 0.98  # cosine above which an item counts as a copy of a query
_COPIES = 0.005  # maximum share of queries that have an item as a copy


def titles() -> Iterator[str]:
    """Yield distinct titles without end, real titles first; every call yields the same titles."""
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
    """Return distinct real queries; the random choice is the same on every call."""
    judgments = inputs.dataset().judgments
    assert judgments is not None
    distinct = sorted(set(judgments["query"].to_pylist()))
    chosen = np.random.default_rng(_SEED).permutation(len(distinct))[:QUERIES]
    return [distinct[row] for row in chosen]


@cache
def key() -> str:
    """Return a short hash of what the vectors depend on: model, numerics, datasets and recipe."""
    digest = hashlib.sha256()
    model = resolve_pretrained(DEFAULT_PRETRAINED)
    files = [model / WEIGHTS_FILE, model / CONFIG_FILE, model / TOKENIZER_FILE]
    files += [file for name in inputs.DATASETS for file in inputs.files_of(name)]
    for file in files:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    digest.update(repr((choose_numerics().dtype, MAX_TOKENS, _RECIPE)).encode())
    return digest.hexdigest()[:8]


def make(directory: Path, items: int) -> tuple[Path, np.ndarray]:
    """Return the file of the items' unit vectors, and the queries' vectors; encode them if missing.

    Raises:
        RuntimeError: too many queries are copies of items, so searches would be too easy.
    """
    file, asked = directory / f"titles-{key()}-{items}.npy", directory / f"queries-{key()}.npy"
    directory.mkdir(parents=True, exist_ok=True)
    if not asked.is_file():
        np.save(asked, ours.bulk_encoder().queries(queries()))
    if not file.is_file():
        unfinished = file.with_suffix(".unfinished")
        same = _encode(unfinished, items)
        _check(same, np.load(unfinished, mmap_mode="r"), np.load(asked))
        unfinished.rename(file)
    return file, np.load(asked)


def _encode(file: Path, items: int) -> set[str]:
    """Write the vectors of titles; return the queries that equal a title."""
    encoder, folded = ours.bulk_encoder(), {query.casefold() for query in queries()}
    vectors = np.lib.format.open_memmap(
        file, mode="w+", dtype=np.float32, shape=(items, encoder.dim)
    )
    source, same = titles(), set[str]()
    for start in range(0, items, _CHUNK):
        part = list(islice(source, min(_CHUNK, items - start)))
        vectors[start : start + len(part)] = encoder.items(part)
        same |= folded & {title.casefold() for title in part}
        sys.stderr.write(f"encoded {start + len(part):,} of {items:,} titles\n")
    vectors.flush()
    return same


def _check(same: set[str], vectors: np.ndarray, asked: np.ndarray) -> None:
    """Raise an error if too many queries are copies of items; see `make`."""
    nearest = ExactIndex(vectors).search(asked, 1)[1][:, 0]
    share = float((nearest > _COPY).mean())
    sys.stderr.write(
        f"{len(same)} of {len(asked):,} queries are titles; the nearest item has a cosine of "
        f"{np.median(nearest):.2f} at the median, and above {_COPY} for {share:.2%}\n"
    )
    if same or share > _COPIES:
        raise RuntimeError(
            f"the vectors are too easy to search: {len(same)} queries are titles "
            f"({sorted(same)[:3]}), and {share:.2%} of the queries have an item with a cosine "
            f"above {_COPY}; the maximum is {_COPIES:.2%}"
        )
