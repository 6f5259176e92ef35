"""How the channels are joined best, and what the reranker makes of candidates of both.

    python -m bench.hybrid --bundle out/bundle --data $SHORTLIST_DATA/homedepot --split dev

Prints a table of stage 1: nDCG@10 and Recall@100 by weight of the words, by reciprocal rank fusion
and by words alone, each with its difference from the default weight, paired by query. Then the same
metrics of both stages on candidates of both channels and on those of the vectors, and their
difference.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tyro
from jaxtyping import Float64

from catalog.dataset.reading import read_dataset
from search.config import LEXICAL_WEIGHT, EngineConfig
from search.engine import Engine
from search.result import Channel, Hit
from train.evaluation.metrics import Interval, bootstrap
from train.evaluation.report import DEPTH, JudgedQuery, full_corpus, judged_queries
from train.evaluation.runs import Ranking
from train.progress import track

_METRICS = ("ndcg@10", "recall@100")
_RANK_CONSTANT = 60  # of reciprocal rank fusion, as in Cormack et al. (2009)


@dataclass(frozen=True)
class HybridConfig:
    """What to compare on."""

    bundle: Path  # with a reranker, but for stage 1 alone
    data: Path  # the dataset directory it was built from
    split: str = "dev"  # whose judgments
    weights: tuple[float, ...] = (0.0, 0.2, 0.3, 0.5, 0.7, 1.0)  # beside the default one
    both_stages: bool = True  # whether to rerank, too, which takes most of the time


def main(config: HybridConfig) -> None:
    """Run all, query by query, and print the figures."""
    queries = judged_queries(read_dataset(config.data), config.split)
    engine = Engine.load(config.bundle)
    weights = sorted({*config.weights, LEXICAL_WEIGHT})
    _print_table(_measured(queries, _joined_by(engine, queries, weights)), _name(LEXICAL_WEIGHT))
    if not config.both_stages:
        return
    found = _measured(queries, _reranked(engine, queries))
    for metric in _METRICS:
        for name, of in found.items():
            sys.stdout.write(f"{metric} both stages on {name}: {bootstrap(of[metric])}\n")
        difference = bootstrap(found["hybrid"][metric] - found["dense"][metric])
        sys.stdout.write(f"{metric} hybrid - dense: {difference}\n")


def _joined_by(
    engine: Engine, queries: Sequence[JudgedQuery], weights: Sequence[float]
) -> dict[str, list[Ranking]]:
    """The runs of stage 1 by how its channels are joined."""
    default, depth = engine.config, engine.config.recall_depth
    runs: dict[str, list[Ranking]] = {}
    for query in track(queries, "recalling", len(queries)):
        for weight in weights:
            engine.config = replace(default, lexical_weight=weight)
            joined = _ranking(engine.retrieve(query.text, limit=depth).hits)
            runs.setdefault(_name(weight), []).append(joined)
        dense, lexical = (
            _ranking(engine.retrieve(query.text, limit=depth, channels=[channel]).hits)
            for channel in Channel
        )
        runs.setdefault("reciprocal ranks", []).append(_fused([dense, lexical]))
        runs.setdefault("words alone", []).append(lexical)
    engine.config = default
    return runs


def _fused(rankings: Sequence[Ranking]) -> Ranking:
    """Reciprocal rank fusion: the sum of 1 / (60 + rank); of equals the one found first."""
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, item_id in enumerate(ranking.item_ids, start=1):
            scores[item_id] = scores.get(item_id, 0) + 1 / (_RANK_CONSTANT + rank)
    best = sorted(scores, key=lambda item_id: -scores[item_id])
    return Ranking(best, np.array([scores[item_id] for item_id in best], np.float32))


def _reranked(engine: Engine, queries: Sequence[JudgedQuery]) -> dict[str, list[Ranking]]:
    """The runs of both stages by what is reranked."""
    hybrid = EngineConfig()
    kinds = {"dense": replace(hybrid, lexical_weight=0.0), "hybrid": hybrid}
    runs: dict[str, list[Ranking]] = {name: [] for name in kinds}
    for query in track(queries, "searching", len(queries)):
        for name, engine.config in kinds.items():
            runs[name].append(_ranking(engine.search(query.text, limit=DEPTH).hits))
    return runs


def _ranking(hits: Sequence[Hit]) -> Ranking:
    scores = np.array([hit.score for hit in hits], np.float32)
    return Ranking([hit.item_id for hit in hits], scores)


def _measured(
    queries: Sequence[JudgedQuery], runs: Mapping[str, Sequence[Ranking]]
) -> dict[str, dict[str, Float64[np.ndarray, "queries"]]]:
    """By run, each metric of each query."""
    return {name: full_corpus(queries, run) for name, run in runs.items()}


def _print_table(
    found: Mapping[str, Mapping[str, Float64[np.ndarray, "queries"]]], default: str
) -> None:
    """A row a way of joining: each metric, and its difference from the default one."""
    sys.stdout.write("| joined by | nDCG@10 | difference | Recall@100 | difference |\n")
    sys.stdout.write("| --- | --- | --- | --- | --- |\n")
    for name, of in found.items():
        cells = [name]
        for metric in _METRICS:
            cells.append(_cell(bootstrap(of[metric]), ""))
            difference = bootstrap(of[metric] - found[default][metric])
            cells.append("" if name == default else _cell(difference, "+"))
        sys.stdout.write(f"| {' | '.join(cells)} |\n")


def _cell(interval: Interval, sign: str) -> str:
    low, high = (f"{end:{sign}.4f}" for end in (interval.low, interval.high))
    return f"{interval.mean:{sign}.4f} [{low}, {high}]"


def _name(weight: float) -> str:
    return f"words at {weight:g}"


if __name__ == "__main__":
    main(tyro.cli(HybridConfig, prog="python -m bench.hybrid"))
