"""Measure the time of suggestions for each keystroke, on one core and without a server.

    python -m bench.service.suggestions --data $SHORTLIST_DATA/homedepot --titles 1000000

The items are the items of the dataset, then made-up ones: each has the first words of one title
and the last words of another, cut at random. So the vocabulary stays real, and there are more
phrases with more titles. Past queries come from `train`. The queries of `dev` are typed letter by
letter, in random order. Each keystroke is one request for 10 suggestions, with the check for
results. `cpu` is the processor time of the thread, without the time that other programs take.
"""

import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import tyro
from jaxtyping import Float64

from bench.quality.suggestions import mistyped
from catalog.catalogue import Catalogue
from catalog.dataset.reading import read_dataset
from catalog.items import Item
from catalog.store import ItemStore
from lexical.config import LexicalConfig
from lexical.index import LexicalIndex
from lexical.suggestions import SuggestionConfig, SuggestionIndex, build_suggestions
from search.suggestions import find_row
from train.data.past_queries import past_queries


@dataclass(frozen=True)
class SuggestionTimesConfig:
    """Options of `python -m bench.service.suggestions`."""

    data: Path  # a dataset with judgments
    titles: int = 1_000_000  # number of items
    keystrokes: int = 20_000  # number of timed keystrokes
    typo_share: float = 0.2  # share of queries with one letter replaced
    seed: int = 0  # seed of titles, queries and typos
    suggestions: SuggestionConfig = field(default_factory=SuggestionConfig)


def made_up(titles: Sequence[str], count: int, chance: random.Random) -> Iterator[str]:
    """Yield the titles, then titles joined from two of them, until there are `count`."""
    words = [title.split() for title in titles]
    yield from titles[:count]
    for _ in range(count - len(titles)):
        first, second = chance.choice(words), chance.choice(words)
        start = first[: chance.randint(1, len(first))]
        yield " ".join((*start, *second[chance.randrange(len(second)) :]))


def typed(queries: Sequence[str], config: SuggestionTimesConfig) -> Iterator[str]:
    """Yield the prefixes of queries, drawn at random, without end."""
    chance = random.Random(config.seed)  # noqa: S311 - for samples, not secrets
    while True:
        query = chance.choice(queries)
        if chance.random() < config.typo_share:
            query = mistyped(query, chance)
        for length in range(1, len(query) + 1):
            yield query[:length]


def measure(
    complete: Callable[[str], object], prefixes: Iterable[str]
) -> Float64[np.ndarray, "clocks calls"]:
    """Return the wall time and the processor time of each call, in milliseconds."""
    times = []
    for prefix in prefixes:
        wall, cpu = time.perf_counter(), time.thread_time()
        complete(prefix)
        times.append((time.perf_counter() - wall, time.thread_time() - cpu))
    return 1000 * np.array(times, np.float64).T


def main(config: SuggestionTimesConfig) -> None:
    """Build everything, type the queries, and print the times."""
    dataset = read_dataset(config.data)
    if dataset.judgments is None:
        sys.exit(f"error: {config.data} has no judgments, so no queries to type")
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    chance = random.Random(config.seed)  # noqa: S311 - for samples, not secrets
    titles = [title for title in ItemStore(dataset.items).text("title") if title]
    made = made_up(titles, config.titles, chance)
    store = ItemStore.of([Item(str(row), title) for row, title in enumerate(made)])
    past = past_queries(dataset, config.suggestions.min_shoppers)
    with tempfile.TemporaryDirectory() as scratch:
        only_titles = LexicalConfig(field_weights={"title": 1.0})
        lexical = LexicalIndex.build(store, Path(scratch) / "lexical", only_titles)
        directory, start = Path(scratch) / "suggestions", time.monotonic()
        report = build_suggestions(directory, store, lexical, past, config.suggestions)
        seconds, before = time.monotonic() - start, resident_bytes()
        index = SuggestionIndex.open(directory, len(store))
        catalogue = Catalogue.of(store)
        in_dev = dataset.judgments.filter(np.array(dataset.judgments["split"]) == "dev")
        prefixes = islice(
            typed(sorted(set(in_dev["query"].to_pylist())), config), config.keystrokes
        )
        times = measure(
            lambda prefix: index.complete(prefix, 10, partial(find_row, catalogue, lexical)),
            prefixes,
        )
        size = sum(path.stat().st_size for path in directory.iterdir())
    sys.stdout.write(
        f"{len(store):,} titles, suggestions {report}, built in {seconds:.0f} s, "
        f"{size / 1e6:.0f} MB of files, {(resident_bytes() - before) / 1e6:.0f} MB of memory\n"
    )
    for name, values in zip(("wall", "cpu"), times, strict=True):
        shown = ", ".join(f"p{q:g} {np.percentile(values, q):.2f}" for q in (50, 95, 99, 99.9))
        sys.stdout.write(f"{name}: {shown} ms over {len(values):,} keystrokes\n")


def resident_bytes() -> int:
    """Return the resident memory of this process (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main(tyro.cli(SuggestionTimesConfig, prog="python -m bench.service.suggestions"))
