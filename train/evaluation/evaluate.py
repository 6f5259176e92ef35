"""How good a bundle's rankings are: runs of the serving engine and of a fixed BM25, judged.

Nothing here recalls or ranks: every run of a system is what the engine's public methods answer,
with the engine's own defaults, so the figures are those of the server. What they mean is defined
in `train.evaluation.metrics` and `train.evaluation.report`.
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
from search.request import (
    DENSE,
    LEXICAL,
    MAX_RERANK_ITEMS,
    RerankRequest,
    RetrieveRequest,
    SearchRequest,
)
from search.result import Hit, SearchResult
from search.validation import MAX_QUERY_CHARACTERS
from train.evaluation.baseline import Bm25, best_rows
from train.evaluation.report import (
    DEPTH,
    JUDGED,
    Figures,
    JudgedQuery,
    differences_table,
    figures,
    figures_table,
    judged_queries,
)
from train.evaluation.runs import Ranking, write_run
from train.progress import track

# The channels that each system recalls with; "recall" asks all.
_CHANNELS: Mapping[str, tuple[str, ...]] = {"dense": (DENSE,), "lexical": (LEXICAL,), "recall": ()}
_TIES_SEED = 0
_SAMPLE_SEED = 20_240_603  # of the queries, where not all are evaluated


@runtime_checkable
class Engine(Protocol):
    """What is evaluated: `search.engine.Engine`, or a peer behind the same methods."""

    @property
    def store(self) -> ItemStore:
        """The catalogue that is searched."""

    @property
    def has_reranker(self) -> bool:
        """Whether there is a second stage."""

    def retrieve(self, request: RetrieveRequest) -> SearchResult:
        """Recall over the whole catalogue, by some channels or all."""

    def search(self, request: SearchRequest) -> SearchResult:
        """Recall and rerank over the whole catalogue."""

    def rerank(self, request: RerankRequest) -> SearchResult:
        """Rerank the given items."""

    def dense_scores(self, query: str, item_ids: Sequence[str]) -> Float32[np.ndarray, "n"]:
        """Stage 1's scores of the items given."""


def evaluate(
    engine: Engine,
    dataset: Dataset,
    split: str = "test",
    *,
    runs_directory: Path | None = None,
    max_queries: int = 0,
) -> Figures:
    """Evaluate on the judgments of one split.

    Args:
        engine: What is evaluated; its catalogue is the corpus, also of the baseline.
        dataset: Gives the judgments.
        split: `train`, `dev` or `test`.
        runs_directory: Where each run is written as `<system>.run` (the whole catalogue, 100
            items a query) or `<system>_judged.run`, in TREC format; None writes none.
        max_queries: Most queries, chosen at random and always the same; 0 takes all.

    Returns:
        Figures for `bm25`, for stage 1 by vectors (`dense`), by words (`lexical`) and by both
        (`recall`), for `rerank` stages where there is a second one, and for `random`.

    Raises:
        InputError: There is nothing to evaluate on, or the judgments and the bundle do not fit.
    """
    queries = judged_queries(dataset, split)
    if 0 < max_queries < len(queries):
        chosen = np.random.default_rng(_SAMPLE_SEED).permutation(len(queries))[:max_queries]
        queries = [queries[number] for number in sorted(chosen.tolist())]
    _check(engine, queries)
    runs = collect_runs(engine, queries)
    if runs_directory is not None:
        for name, run in runs.items():
            by_query = {query.query_id: each for query, each in zip(queries, run, strict=True)}
            write_run(runs_directory / f"{name}.run", by_query, name)
    return figures(split, queries, runs)


def collect_runs(engine: Engine, queries: Sequence[JudgedQuery]) -> dict[str, list[Ranking]]:
    """The runs of every system: by name, a ranking per query, in the order of `queries`."""
    baseline = Bm25(engine.store)
    # Equal scores come in one fixed random order. Catalogue order would not be neutral: where it
    # is the order of age, the older items are the ones more often judged (on Home Depot that is
    # worth 0.004 of nDCG@10 to a BM25 over short titles).
    ties = np.random.default_rng(_TIES_SEED).permutation(len(engine.store))
    runs: dict[str, list[Ranking]] = {}
    for query in track(queries, "evaluating", len(queries)):
        rankings = _baseline_rankings(baseline, engine.store, query, ties)
        rankings |= _recall_rankings(engine, query, ties)
        if engine.has_reranker:
            rankings |= _rerank_rankings(engine, query)
        for name, ranking in rankings.items():
            runs.setdefault(name, []).append(ranking)
    return runs


def write_figures(found: Figures, path: Path) -> None:
    """Write the figures as JSON; the file appears whole or not at all."""
    write_text(path, json.dumps(found.to_json(), indent=2, allow_nan=False) + "\n")


def print_figures(found: Figures, console: Console | None = None) -> None:
    """Print the figures as tables; to standard output by default."""
    console = console or Console()
    console.print(figures_table(found), differences_table(found))


def _baseline_rankings(
    baseline: Bm25, store: ItemStore, query: JudgedQuery, ties: Int[np.ndarray, "items"]
) -> dict[str, Ranking]:
    scores = baseline.scores(query.text)
    rows = best_rows(scores, DEPTH, ties)
    judged = store.rows(list(query.gains))
    return {
        "bm25": Ranking([store.ids[row] for row in rows], scores[rows]),
        "bm25" + JUDGED: _by_score(store, judged, scores[judged], ties),
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
    # An item's score does not depend on what is reranked with it, so parts can be joined.
    for start in range(0, len(judged), MAX_RERANK_ITEMS):
        candidates = judged[start : start + MAX_RERANK_ITEMS]
        hits += engine.rerank(RerankRequest(query.text, candidates)).hits
    hits.sort(key=lambda hit: -hit.score)
    return {
        "rerank": _of_hits(engine.search(SearchRequest(query.text, page_size=DEPTH)).hits),
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
            "a bundle of this one with `python -m train --data DIR --init-from BUNDLE`"
        )
    for query in queries:
        if len(query.text) > MAX_QUERY_CHARACTERS:
            raise InputError(
                f"query {query.query_id!r} has {len(query.text):,} characters; the engine takes "
                f"{MAX_QUERY_CHARACTERS:,}: shorten or remove it in judgments"
            )
