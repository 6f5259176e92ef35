"""Evaluate a bundle: compare rankings of the serving engine and of a fixed BM25 with judgments.

The engine's rankings come from its public methods with its default settings. The system `served` is
what the server answers. All other systems rank by score alone: they do not collapse groups, and
items that are out of stock stay where they rank. `train.evaluation.metrics` and
`train.evaluation.report` define the metrics.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int, Int32
from rich.console import Console

from base.atomic_files import write_text
from base.errors import InputError
from catalog.dataset.reading import Dataset
from catalog.store import ItemStore
from search.config import MAX_RERANK_ITEMS
from search.request import DENSE, LEXICAL, RerankRequest, RetrieveRequest, SearchRequest
from search.result import Hit, SearchResult
from search.validation import MAX_QUERY_CHARACTERS
from train.evaluation.baseline import Bm25, best_rows, english_stemmer
from train.evaluation.report import (
    DEPTH,
    JUDGED,
    SERVED,
    JudgedQuery,
    Report,
    differences_table,
    judged_queries,
    make_report,
    metrics_table,
)
from train.evaluation.runs import Ranking, write_run
from train.progress import track

# The recall channels of each system. The empty tuple of "recall" stands for all channels.
_CHANNELS: Mapping[str, tuple[str, ...]] = {"dense": (DENSE,), "lexical": (LEXICAL,), "recall": ()}
_TIES_SEED = 0
_SAMPLE_SEED = 20_240_603  # seed of the sample of queries, if max_queries limits them


@runtime_checkable
class Engine(Protocol):
    """The engine methods that an evaluation calls; `search.engine.Engine` has them."""

    @property
    def store(self) -> ItemStore:
        """The searched catalogue."""

    @property
    def has_reranker(self) -> bool:
        """Whether the bundle has a reranker."""

    def retrieve(self, request: RetrieveRequest) -> SearchResult:
        """Recall from the whole catalogue, by the requested channels or by all channels."""

    def search(self, request: SearchRequest) -> SearchResult:
        """Recall from the whole catalogue, and rerank."""

    def rerank(self, request: RerankRequest) -> SearchResult:
        """Rerank the given items."""

    def dense_scores(self, query: str, item_ids: Sequence[str]) -> Float32[np.ndarray, "n"]:
        """Return the dense scores of the items."""


def evaluate(
    engine: Engine,
    dataset: Dataset,
    split: str = "test",
    *,
    runs_directory: Path | None = None,
    max_queries: int = 0,
) -> Report:
    """Evaluate an engine on the judgments of one split.

    Args:
        engine: The engine to evaluate. Its catalogue is also the corpus of the baseline.
        dataset: The dataset with the judgments.
        split: `train`, `dev` or `test`.
        runs_directory: Directory of the runs in TREC format; None writes no runs. A file
            `<system>.run` ranks the whole catalogue, with 100 items per query, and
            `<system>_judged.run` ranks the judged items.
        max_queries: Maximum number of queries, drawn at random with a fixed seed; 0 takes all.

    Returns:
        A report on the systems `bm25`, `bm25_stemmed`, `dense`, `lexical`, `recall`, `served` and
        `random`, and on `rerank` if the bundle has a reranker.

    Raises:
        InputError: the split has no judgments, or the judgments do not fit the bundle.
    """
    queries = judged_queries(dataset, split)
    if 0 < max_queries < len(queries):
        chosen = np.random.default_rng(_SAMPLE_SEED).permutation(len(queries))[:max_queries]
        queries = [queries[number] for number in sorted(chosen.tolist())]
    _check(engine, queries)
    runs = collect_runs(engine, queries)
    if runs_directory is not None:
        for name, run in runs.items():
            by_query = {
                query.query_id: ranking for query, ranking in zip(queries, run, strict=True)
            }
            write_run(runs_directory / f"{name}.run", by_query, name)
    return make_report(split, queries, runs)


def collect_runs(engine: Engine, queries: Sequence[JudgedQuery]) -> dict[str, list[Ranking]]:
    """Run every system; return rankings by run name, in the order of `queries`."""
    baselines = {
        "bm25": Bm25(engine.store),
        "bm25_stemmed": Bm25(engine.store, english_stemmer()),
    }
    # Items with equal scores are put in one fixed random order. Catalogue order would not be
    # neutral: it is often the order of age, and older items are judged more often. On Home Depot,
    # catalogue order adds 0.004 to the nDCG@10 of a BM25 over short titles.
    ties = np.random.default_rng(_TIES_SEED).permutation(len(engine.store))
    runs: dict[str, list[Ranking]] = {}
    for query in track(queries, "evaluating", len(queries)):
        rankings: dict[str, Ranking] = {}
        for name, baseline in baselines.items():
            rankings |= _baseline_rankings(name, baseline, engine.store, query, ties)
        rankings |= _recall_rankings(engine, query, ties)
        if engine.has_reranker:
            rankings |= _rerank_rankings(engine, query)
        served = engine.search(SearchRequest(query.text, page_size=DEPTH))
        rankings[SERVED] = _of_hits(served.hits)
        for name, ranking in rankings.items():
            runs.setdefault(name, []).append(ranking)
    return runs


def write_report(report: Report, path: Path) -> None:
    """Write a report as JSON, atomically."""
    write_text(path, json.dumps(report.to_json(), indent=2, allow_nan=False) + "\n")


def print_report(report: Report, console: Console | None = None) -> None:
    """Print a report as tables, to standard output by default."""
    console = console or Console()
    console.print(metrics_table(report), differences_table(report))


def _baseline_rankings(
    name: str, baseline: Bm25, store: ItemStore, query: JudgedQuery, ties: Int[np.ndarray, "items"]
) -> dict[str, Ranking]:
    scores = baseline.scores(query.text)
    rows = best_rows(scores, DEPTH, ties)
    judged = store.rows(list(query.gains))
    return {
        name: Ranking([store.ids[row] for row in rows], scores[rows]),
        name + JUDGED: _by_score(store, judged, scores[judged], ties),
    }


def _recall_rankings(
    engine: Engine, query: JudgedQuery, ties: Int[np.ndarray, "items"]
) -> dict[str, Ranking]:
    judged = list(query.gains)
    scores = engine.dense_scores(query.text, judged)
    return {
        **{
            system: _of_hits(
                engine.retrieve(
                    RetrieveRequest(query.text, channels=channels, page_size=DEPTH)
                ).hits
            )
            for system, channels in _CHANNELS.items()
        },
        "dense" + JUDGED: _by_score(engine.store, engine.store.rows(judged), scores, ties),
    }


def _rerank_rankings(engine: Engine, query: JudgedQuery) -> dict[str, Ranking]:
    judged = list(query.gains)
    hits: list[Hit] = []
    # An item's score does not depend on the other items of a request, so the results of several
    # requests can be joined.
    for start in range(0, len(judged), MAX_RERANK_ITEMS):
        candidates = judged[start : start + MAX_RERANK_ITEMS]
        hits += engine.rerank(RerankRequest(query.text, candidates)).hits
    hits.sort(key=lambda hit: -hit.score)
    return {
        "rerank": _of_hits(engine.search(SearchRequest.by_score(query.text, page_size=DEPTH)).hits),
        "rerank" + JUDGED: _of_hits(hits),
    }


def _of_hits(hits: Sequence[Hit]) -> Ranking:
    return Ranking([hit.item_id for hit in hits], np.array([hit.score for hit in hits], np.float32))


def _by_score(
    store: ItemStore,
    rows: Int32[np.ndarray, "n"],
    scores: Float32[np.ndarray, "n"],
    ties: Int[np.ndarray, "items"],
) -> Ranking:
    order = np.lexsort((ties[rows], -scores))
    return Ranking([store.ids[row] for row in rows[order]], scores[order])


def _check(engine: Engine, queries: Sequence[JudgedQuery]) -> None:
    judged = sorted({item_id for query in queries for item_id in query.gains})
    unknown = [i for i, row in zip(judged, engine.store.rows(judged), strict=True) if row < 0]
    if unknown:
        raise InputError(
            f"{len(unknown):,} of {len(judged):,} judged items are not in the bundle, such as "
            f"{unknown[0]!r}; evaluate on the dataset that the bundle was built from, or build "
            "a bundle of this dataset with `shortlist train --data DIR --init-from BUNDLE`"
        )
    for query in queries:
        if len(query.text) > MAX_QUERY_CHARACTERS:
            raise InputError(
                f"query {query.query_id!r} has {len(query.text):,} characters; the engine takes "
                f"{MAX_QUERY_CHARACTERS:,}: shorten or remove it in judgments"
            )
