"""Type the queries of a split letter by letter, and measure where suggestions have the query.

    python -m bench.quality.suggestions --data $SHORTLIST_DATA/homedepot --split dev

Past queries come from the split `train`. For each proper prefix of a query, the reciprocal rank is
1 / rank of the query among the first 10 suggestions, or 0. The value of a query is the mean over
its prefixes, and the table has the mean over queries. Texts are compared by their keys
(`lexical.suggestions.text`). `exact` looks for the whole query. `partial` also accepts its first
words, if they are longer than the prefix (Park and Chiba, 2017, "A neural language model for query
auto-completion"). The rows are:

* popularity: the past queries that begin with the prefix, by count, then alphabetically
* train: suggestions from past queries alone
* catalogue: suggestions from past queries and items, as in a bundle

Differences are paired by query. With `--typos`, one letter of each query is replaced.
"""

import random
import string
import sys
import tempfile
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import tyro
from jaxtyping import Float64

from catalog.dataset.reading import read_dataset
from catalog.store import ItemStore
from lexical.index import LexicalIndex
from lexical.suggestions import (
    Kind,
    PastQueries,
    Suggestion,
    SuggestionConfig,
    SuggestionIndex,
    build_suggestions,
)
from lexical.suggestions.text import key_of
from train.data.past_queries import past_queries
from train.evaluation.metrics import Interval, bootstrap
from train.progress import track

TOP = 10
Suggest = Callable[[str], Sequence[str]]


@dataclass(frozen=True)
class SuggestionsConfig:
    """Options of `python -m bench.quality.suggestions`."""

    data: Path  # the dataset directory
    split: str = "dev"  # the split whose queries are typed
    queries: int = 0  # maximum number of queries, drawn at random; 0: all
    typos: bool = False  # replace one letter of each query before it is typed
    seed: int = 0  # seed of the choice of queries and of the typos
    suggestions: SuggestionConfig = field(default_factory=SuggestionConfig)


def by_popularity(past: PastQueries) -> Suggest:
    """Return the baseline: past queries with the same prefix, by count, then alphabetically."""
    counts: dict[str, int] = {}
    for text, count in zip(past.texts, past.counts, strict=True):
        counts[key_of(text)] = counts.get(key_of(text), 0) + count
    keys = sorted(counts)

    def suggest(prefix: str) -> list[str]:
        start = bisect_left(keys, key_of(prefix))
        stop = bisect_left(keys, key_of(prefix) + chr(0x10FFFF), start)
        return sorted(keys[start:stop], key=lambda key: (-counts[key], key))[:TOP]

    return suggest


def built(
    store: ItemStore,
    lexical: LexicalIndex,
    past: PastQueries,
    config: SuggestionConfig,
    directory: Path,
) -> Suggest:
    """Build suggestions and return a function that completes a prefix with them."""
    build_suggestions(directory, store, lexical, past, config)
    index = SuggestionIndex.open(directory, len(store))

    def find_row(suggestion: Suggestion) -> int | None:
        if suggestion.row >= 0:
            return suggestion.row
        rows = lexical.rows_with_all(suggestion.text, 1)
        return int(rows[0]) if len(rows) else None

    def suggest(prefix: str) -> list[str]:
        found = index.complete(prefix, TOP, find_row, (Kind.QUERY, Kind.TITLE)).found
        return [completion.suggestion.text for completion in found]

    return suggest


def reciprocal_ranks(
    suggest: Suggest, typed: Sequence[str], queries: Sequence[str]
) -> tuple[Float64[np.ndarray, " queries"], Float64[np.ndarray, " queries"]]:
    """Return the exact and the partial reciprocal rank of each query, averaged over prefixes."""
    exact, partial = [], []
    for text, query in zip(track(typed, "typing", len(typed)), queries, strict=True):
        whole, ranks = key_of(query), []
        for length in range(1, len(text)):
            prefix = key_of(text[:length])
            keys = [key_of(suggestion) for suggestion in suggest(text[:length])]
            begins = [
                key == whole or (whole.startswith(f"{key} ") and len(key) > len(prefix))
                for key in keys
            ]
            ranks.append((_reciprocal([key == whole for key in keys]), _reciprocal(begins)))
        if ranks:
            exact.append(np.mean([rank for rank, _ in ranks]))
            partial.append(np.mean([rank for _, rank in ranks]))
    return np.array(exact, np.float64), np.array(partial, np.float64)


def mistyped(query: str, chance: random.Random) -> str:
    """Return a query with one of its letters replaced by another; unchanged without letters."""
    letters = [i for i, char in enumerate(query) if char.isalpha()]
    if not letters:
        return query
    at = chance.choice(letters)
    other = chance.choice([c for c in string.ascii_lowercase if c != query[at]])
    return query[:at] + other + query[at + 1 :]


def main(config: SuggestionsConfig) -> None:
    """Print the mean reciprocal rank of each system, and its differences from the baseline."""
    dataset = read_dataset(config.data)
    store = ItemStore(dataset.items)
    judgments = dataset.judgments
    if judgments is None:
        sys.exit(f"error: {config.data} has no judgments, so no queries to type")
    in_split = judgments.filter(np.array(judgments["split"]) == config.split)
    queries = sorted(set(in_split["query"].to_pylist()))
    chance = random.Random(config.seed)  # noqa: S311 - for samples, not secrets
    if config.queries:
        queries = chance.sample(queries, min(config.queries, len(queries)))
    typed = [mistyped(query, chance) if config.typos else query for query in queries]
    past = past_queries(dataset, config.suggestions.min_shoppers)
    with tempfile.TemporaryDirectory() as scratch:
        lexical = LexicalIndex.build(store, Path(scratch) / "lexical")
        alone = replace(config.suggestions, max_title_phrases=0)
        systems = {
            "popularity": by_popularity(past),
            "train": built(store, lexical, past, alone, Path(scratch) / "train"),
            "catalogue": built(store, lexical, past, config.suggestions, Path(scratch) / "all"),
        }
        ranks = {name: reciprocal_ranks(s, typed, queries) for name, s in systems.items()}
    for position, measure in enumerate(("exact", "partial")):
        baseline = ranks["popularity"][position]
        for name, values in ranks.items():
            mean, gain = bootstrap(values[position]), bootstrap(values[position] - baseline)
            sys.stdout.write(f"{measure} {name}: {_shown(mean)}, difference {_shown(gain)}\n")


def _reciprocal(hits: Sequence[bool]) -> float:
    return next((1 / rank for rank, hit in enumerate(hits, start=1) if hit), 0.0)


def _shown(value: Interval) -> str:
    return f"{value.mean:.4f} [{value.low:.4f}, {value.high:.4f}]"


if __name__ == "__main__":
    main(tyro.cli(SuggestionsConfig, prog="python -m bench.quality.suggestions"))
