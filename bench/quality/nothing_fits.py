"""Measure how often a search says that nothing fits, when it should and when it should not.

    python -m bench.quality.nothing_fits --bundle out/homedepot/bundle --data homedepot

The queries that should fit nothing are in `absent_queries.tsv`: things that a hardware store does
not sell (food, clothes, books, music, cosmetics, medicine, software and others) and gibberish. A
query counts only if no title has its last word, in the singular or the plural. Gibberish counts
only if no title has any of its words. The queries that should fit something are the judged queries
of a split with a relevant item. Training chooses the threshold on other queries (see
`train.pipeline.calibration`).

The last table shows how well the relevance of judged results is calibrated.
"""

import csv
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from catalog.dataset.reading import read_dataset
from search.engine import Engine
from search.request import MAX_PAGE_SIZE, SearchRequest
from train.evaluation.report import JudgedQuery, judged_queries

QUERIES = Path(__file__).with_name("absent_queries.tsv")
_BINS = 5  # number of intervals of relevance in the table of calibration


@dataclass(frozen=True)
class NothingFitsConfig:
    """Options of `python -m bench.quality.nothing_fits`."""

    bundle: Path  # the bundle to search
    data: Path  # the dataset directory with the judged queries
    split: str = "test"  # the split of the judged queries
    show: bool = False  # print each query that is answered wrongly


def forms(word: str) -> set[str]:
    """Return a word with its regular singular and plural."""
    found = {word, f"{word}s", f"{word}es", f"{word.removesuffix('y')}ies"}
    for ending, singular in (("ies", "y"), ("es", ""), ("s", "")):
        if word.endswith(ending):
            found.add(word.removesuffix(ending) + singular)
    return found


def absent_queries(engine: Engine) -> Iterator[tuple[str, str]]:
    """Yield the text and the kind of each query whose head word no title of the bundle has."""
    titles = engine.store.text("title")
    words = {word for title in titles for word in re.findall(r"\w+", (title or "").lower())}
    with QUERIES.open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            of_query = row["query"].split()
            heads = of_query if row["kind"] == "gibberish" else of_query[-1:]
            if not any(forms(head) & words for head in heads):
                yield row["query"], row["kind"]


def main(config: NothingFitsConfig) -> None:
    """Print how many queries of each kind fit nothing, with both stages and with recall alone."""
    engine = Engine.load(config.bundle)
    if engine.manifest.calibration is None:
        sys.exit(f"error: {config.bundle} has no calibration; build it again with this version")
    absent = list(absent_queries(engine))
    known = [q for q in judged_queries(read_dataset(config.data), config.split) if q.relevant]
    for stage, depth in (("both stages", None), ("recall alone", 0)):
        kinds: dict[str, list[bool]] = defaultdict(list)
        for text, kind in absent:
            result = engine.search(SearchRequest(text, rerank_depth=depth))
            kinds[kind].append(result.nothing_fits)
            if config.show and not result.nothing_fits:
                sys.stdout.write(f"{stage}, {kind}: {text!r} fits\n")
        wrong = []
        for query in known:
            result = engine.search(SearchRequest(query.text, rerank_depth=depth))
            wrong.append(result.nothing_fits)
            if config.show and result.nothing_fits:
                sys.stdout.write(f"{stage}, {config.split}: nothing fits {query.text!r}\n")
        for kind, said in kinds.items():
            sys.stdout.write(f"{stage}, {kind}: nothing fits {sum(said)} of {len(said)}\n")
        every = [said for of_kind in kinds.values() for said in of_kind]
        sys.stdout.write(
            f"{stage}, all absent queries: nothing fits {np.mean(every):.1%} of {len(every)}\n"
            f"{stage}, {config.split} queries: nothing fits {np.mean(wrong):.1%} of {len(wrong)}\n"
        )
    _print_calibration(engine, known)


def _print_calibration(engine: Engine, queries: Sequence[JudgedQuery]) -> None:
    """Print the mean relevance of judged results, and the share that is relevant."""
    pairs = np.array(
        [
            (hit.relevance, hit.item_id in query.relevant)
            for query in queries
            for hit in engine.search(SearchRequest(query.text, page_size=MAX_PAGE_SIZE)).hits
            if hit.item_id in query.gains
        ],
        float,
    )
    bins = np.minimum((pairs[:, 0] * _BINS).astype(int), _BINS - 1)
    for number in np.unique(bins).tolist():
        relevance, is_relevant = pairs[bins == number].mean(axis=0)
        sys.stdout.write(
            f"relevance {number / _BINS:.1f} to {(number + 1) / _BINS:.1f}: mean {relevance:.2f}, "
            f"{is_relevant:.2f} of {np.count_nonzero(bins == number):,} judged results relevant\n"
        )


if __name__ == "__main__":
    main(tyro.cli(NothingFitsConfig, prog="python -m bench.quality.nothing_fits"))
