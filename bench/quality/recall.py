"""Compare ways to fuse the recall channels, and reranking after one channel and after both.

    python -m bench.quality.recall --bundle out/bundle --data $SHORTLIST_DATA/homedepot --split dev

The first table shows nDCG@10, Recall@100 and MRR@10 of recall for each lexical weight, for
reciprocal rank fusion, and for the lexical channel alone. With the weight 0, recall is the dense
channel alone. Each row shows the difference from the default weight, paired by query. Then the
program prints the same metrics after reranking: for candidates of the dense channel, for candidates
of both channels, and the difference between the two.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tyro
from jaxtyping import Float64

from catalog.dataset.reading import read_dataset
from search.channels.lexical import LexicalChannel
from search.config import EngineConfig
from search.engine import Engine
from search.request import DENSE, LEXICAL, RetrieveRequest, SearchRequest
from search.result import Hit
from train.evaluation.metrics import Interval, bootstrap
from train.evaluation.report import DEPTH, JudgedQuery, full_corpus, judged_queries
from train.evaluation.runs import Ranking
from train.progress import track

_METRICS = ("ndcg@10", "recall@100", "mrr@10")
_RANK_CONSTANT = 60  # constant of reciprocal rank fusion, as in Cormack et al. (2009)


@dataclass(frozen=True)
class RecallConfig:
    """Options of `python -m bench.quality.recall`."""

    bundle: Path  # a bundle, with a reranker if `rerank` is on
    data: Path  # the dataset directory that the bundle was built from
    split: str = "dev"  # the split whose queries are searched
    weights: tuple[float, ...] = (0.0, 0.2, 0.3, 0.5, 0.7, 1.0)  # lexical weights to compare
    rerank: bool = True  # also rerank, which takes most of the time


def main(config: RecallConfig) -> None:
    """Answer every query with each way to fuse the channels, and print the metrics."""
    queries = judged_queries(read_dataset(config.data), config.split)
    engine = Engine.load(config.bundle)
    weights = sorted({*config.weights, LexicalChannel.default_weight})
    _print_table(
        _metrics(queries, _recalled(engine, queries, weights)), _name(LexicalChannel.default_weight)
    )
    if not config.rerank:
        return
    metrics = _metrics(queries, _reranked(engine, queries))
    for metric in _METRICS:
        for name, values in metrics.items():
            sys.stdout.write(f"{metric} rerank of {name}: {_cell(bootstrap(values[metric]), '')}\n")
        difference = bootstrap(metrics["recall"][metric] - metrics["dense"][metric])
        sys.stdout.write(f"{metric} rerank of recall - rerank of dense: {_cell(difference, '+')}\n")


def ranking(hits: Sequence[Hit]) -> Ranking:
    """Convert hits to a ranking."""
    scores = np.array([hit.score for hit in hits], np.float32)
    return Ranking([hit.item_id for hit in hits], scores)


def _recalled(
    engine: Engine, queries: Sequence[JudgedQuery], weights: Sequence[float]
) -> dict[str, list[Ranking]]:
    """Return the rankings of recall for each way to fuse the channels."""
    default, depth = engine.config, engine.config.recall_depth
    runs: dict[str, list[Ranking]] = {}
    for query in track(queries, "recalling", len(queries)):
        for weight in weights:
            engine.config = replace(default, channel_weights=f"lexical={weight}")
            hits = engine.retrieve(RetrieveRequest(query.text, page_size=depth)).hits
            runs.setdefault(_name(weight), []).append(ranking(hits))
        dense, lexical = (
            ranking(
                engine.retrieve(
                    RetrieveRequest(query.text, page_size=depth, channels=(channel,))
                ).hits
            )
            for channel in (DENSE, LEXICAL)
        )
        runs.setdefault("reciprocal rank fusion", []).append(_fused([dense, lexical]))
        runs.setdefault("lexical", []).append(lexical)
    engine.config = default
    return runs


def _fused(rankings: Sequence[Ranking]) -> Ranking:
    """Fuse rankings by the sum of 1 / (60 + rank); ties keep the order of the rankings."""
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, item_id in enumerate(ranking.item_ids, start=1):
            scores[item_id] = scores.get(item_id, 0) + 1 / (_RANK_CONSTANT + rank)
    best = sorted(scores, key=lambda item_id: -scores[item_id])
    return Ranking(best, np.array([scores[item_id] for item_id in best], np.float32))


def _reranked(engine: Engine, queries: Sequence[JudgedQuery]) -> dict[str, list[Ranking]]:
    """Return the reranked rankings for candidates of the dense channel and of both channels."""
    default = EngineConfig()
    configs = {"dense": replace(default, channel_weights="lexical=0"), "recall": default}
    runs: dict[str, list[Ranking]] = {name: [] for name in configs}
    for query in track(queries, "searching", len(queries)):
        for name, engine.config in configs.items():
            runs[name].append(
                ranking(engine.search(SearchRequest.by_score(query.text, page_size=DEPTH)).hits)
            )
    return runs


def _metrics(
    queries: Sequence[JudgedQuery], runs: Mapping[str, Sequence[Ranking]]
) -> dict[str, dict[str, Float64[np.ndarray, "queries"]]]:
    """Return each metric of each query, by run."""
    return {name: full_corpus(queries, run) for name, run in runs.items()}


def _print_table(
    metrics: Mapping[str, Mapping[str, Float64[np.ndarray, "queries"]]], default: str
) -> None:
    """Print a row per run: each metric, and its difference from the default run."""
    names = " | ".join(f"{metric} | difference" for metric in _METRICS)
    sys.stdout.write(f"| recall | {names} |\n| --- |{' --- |' * 2 * len(_METRICS)}\n")
    for name, values in metrics.items():
        cells = [name]
        for metric in _METRICS:
            cells.append(_cell(bootstrap(values[metric]), ""))
            difference = bootstrap(values[metric] - metrics[default][metric])
            cells.append("" if name == default else _cell(difference, "+"))
        sys.stdout.write(f"| {' | '.join(cells)} |\n")


def _cell(interval: Interval, sign: str) -> str:
    low, high = (f"{end:{sign}.4f}" for end in (interval.low, interval.high))
    return f"{interval.mean:{sign}.4f} [{low}, {high}]"


def _name(weight: float) -> str:
    return f"lexical weight {weight:g}"


if __name__ == "__main__":
    main(tyro.cli(RecallConfig, prog="python -m bench.quality.recall"))
