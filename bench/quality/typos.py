"""Measure what mistyped words cost, with and without the understanding of queries.

    python -m bench.quality.typos --bundle out/demo/bundle
    python -m bench.quality.typos --bundle out/bundle --data $SHORTLIST_DATA/homedepot --split dev

Without `--data`, the queries are the names of the leaf categories, and a result is right if its
category has this name. The command prints how many of the queries have a right first result. With
`--data`, the queries are the judged queries of a split, and the command prints the mean nDCG@10.

A typo inserts, deletes or replaces one random letter of a word, or swaps two neighbouring letters.
Only words of at least four letters get typos: one word of a category's name, and a third of the
words of a judged query, but at least one.
"""

import random
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from catalog.dataset.reading import read_dataset
from catalog.fields import LEVEL
from search.engine import Engine
from search.request import SearchRequest
from search.result import SearchResult
from search.understanding.interpretation import NOTHING, Understanding
from train.evaluation.report import DEPTH, JudgedQuery, judged_queries, ndcg_at_10
from train.evaluation.runs import Ranking
from train.progress import track

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_WORD = re.compile(r"[^\W\d_]{4,}")
_SHARE = 1 / 3  # share of the words of a judged query that get a typo


@dataclass(frozen=True)
class TyposConfig:
    """Options of `python -m bench.quality.typos`."""

    bundle: Path  # the bundle to search
    data: Path | None = None  # the dataset directory with judgments; None: category names
    split: str = "dev"  # the split whose queries are searched
    max_queries: int = 0  # maximum number of judged queries, drawn at random; 0: all
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)  # one round of typos for each seed


def mistyped(text: str, words: int, chance: random.Random) -> str:
    """Return a text with one typo in each of some words, chosen at random."""
    spans = [match.span() for match in _WORD.finditer(text)]
    for start, end in sorted(chance.sample(spans, min(words, len(spans))), reverse=True):
        text = text[:start] + _mistyped_word(text[start:end], chance) + text[end:]
    return text


def _mistyped_word(word: str, chance: random.Random) -> str:
    """Return the word with one typo, never the word itself."""
    while True:
        i, letter = chance.randrange(len(word)), chance.choice(_LETTERS)
        swap = min(i, len(word) - 2)
        typo = chance.choice(
            (
                word[:i] + letter + word[i:],
                word[:i] + word[i + 1 :],
                word[:i] + letter + word[i + 1 :],
                word[:swap] + word[swap + 1] + word[swap] + word[swap + 2 :],
            )
        )
        if typo != word:
            return typo


def main(config: TyposConfig) -> None:
    """Search for the queries as they are and with typos, and print a table."""
    engine = Engine.load(config.bundle)
    if config.data is None:
        _categories(engine, config.seeds)
    else:
        _judged(engine, config)


def _categories(engine: Engine, seeds: Sequence[int]) -> None:
    names = {
        category: category.rsplit(LEVEL)[-1]
        for category in engine.store.text("category")
        if category
    }
    leaves = sorted({name for name in names.values() if _WORD.search(name)})
    rounds = {"clean": leaves} | {
        f"typos, seed {seed}": [_one_typo(name, seed) for name in leaves] for seed in seeds
    }

    def right(queries: Sequence[str], search: Callable[[str], SearchResult]) -> str:
        firsts = [search(query).hits[0].item for query in queries]
        count = sum(
            item is not None and names.get(item.category or "") == leaf
            for item, leaf in zip(firsts, leaves, strict=True)
        )
        return f"{count} of {len(leaves)}"

    _print_table(engine, rounds, right)


def _one_typo(name: str, seed: int) -> str:
    return mistyped(name.lower(), 1, random.Random(f"{seed} {name}"))  # noqa: S311 - for samples


def _judged(engine: Engine, config: TyposConfig) -> None:
    assert config.data is not None
    queries = judged_queries(read_dataset(config.data), config.split)
    if 0 < config.max_queries < len(queries):
        chosen = np.random.default_rng(0).permutation(len(queries))[: config.max_queries]
        queries = [queries[number] for number in sorted(chosen.tolist())]
    rounds = {"clean": [query.text for query in queries]}
    for seed in config.seeds:
        rounds[f"typos, seed {seed}"] = [_third_mistyped(query, seed) for query in queries]

    def ndcg(texts: Sequence[str], search: Callable[[str], SearchResult]) -> str:
        rankings = []
        for text in track(texts, "searching", len(texts)):
            hits = search(text).hits
            scores = np.array([hit.score for hit in hits], np.float32)
            rankings.append(Ranking([hit.item_id for hit in hits], scores))
        return f"{ndcg_at_10(queries, rankings).mean():.4f}"

    _print_table(engine, rounds, ndcg)


def _third_mistyped(query: JudgedQuery, seed: int) -> str:
    words = max(1, round(_SHARE * len(query.text.split())))
    return mistyped(query.text, words, random.Random(f"{seed} {query.text}"))  # noqa: S311


def _print_table(
    engine: Engine,
    rounds: dict[str, list[str]],
    measure: Callable[[Sequence[str], Callable[[str], SearchResult]], str],
) -> None:
    """Print one row per round of queries: recall and both stages, as typed and understood."""

    def searching(depth: int | None, kinds: Understanding) -> Callable[[str], SearchResult]:
        return lambda text: engine.search(
            SearchRequest(text, rerank_depth=depth, page_size=DEPTH, understanding=kinds)
        )

    systems = {
        f"{stage}, {way}": searching(depth, kinds)
        for way, kinds in (("as typed", NOTHING), ("understood", Understanding()))
        for stage, depth in (("recall", 0), ("both stages", None))
    }
    sys.stdout.write(f"| queries | {' | '.join(systems)} |\n|{' --- |' * (len(systems) + 1)}\n")
    for name, queries in rounds.items():
        cells = [measure(queries, search) for search in systems.values()]
        sys.stdout.write(f"| {name} | {' | '.join(cells)} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(tyro.cli(TyposConfig, prog="python -m bench.quality.typos"))
