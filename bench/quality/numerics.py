"""Compare answers in bfloat16 and float32, and scores of pairs in a batch and one by one.

    python -m bench.quality.numerics --bundle out/bundle --data $SHORTLIST_DATA/homedepot

The program prints nDCG@10 and Recall@100 of reranked results in each number type, and the
difference, paired by query. Then it compares the scores of candidates twice: float32 with bfloat16,
and scores from a batch with scores one by one. For each comparison, it prints how much the scores
differ, and the share of candidate pairs that keep their order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import tyro
from jaxtyping import Float32

from bench.harness.output import say
from bench.models.reranking import pair_order_agreement
from bench.quality.recall import ranking
from catalog.dataset.reading import read_dataset
from search.config import EngineConfig
from search.engine import Engine
from search.request import RerankRequest, SearchRequest
from train.evaluation.metrics import bootstrap
from train.evaluation.report import DEPTH, full_corpus, judged_queries
from train.evaluation.runs import Ranking
from train.progress import track

_METRICS = ("ndcg@10", "recall@100")
_KINDS: tuple[Literal["float32", "bfloat16"], ...] = ("float32", "bfloat16")
_ONE_BY_ONE = "bfloat16, one by one"
_SEED = 0  # seed of the choice of queries


@dataclass(frozen=True)
class NumericsConfig:
    """Options of `python -m bench.quality.numerics`."""

    bundle: Path  # a bundle with a reranker
    data: Path  # the dataset directory that the bundle was built from
    split: str = "dev"  # the split whose queries are searched
    max_queries: int = 0  # maximum number of queries, chosen at random; 0: all
    alone_queries: int = 20  # queries whose candidates are also scored one by one


def main(config: NumericsConfig) -> None:
    """Search each query in both number types, and print the metrics and differences."""
    queries = judged_queries(read_dataset(config.data), config.split)
    chosen = np.random.default_rng(_SEED).permutation(len(queries))
    queries = [queries[number] for number in chosen[: config.max_queries or None]]
    # Use no cache: cached scores would hide the effect of the batch.
    kinds = (EngineConfig(numerics=kind, cache_megabytes=0) for kind in _KINDS)
    engines = dict(zip(_KINDS, (Engine.load(config.bundle, kind) for kind in kinds), strict=True))
    runs: dict[str, list[Ranking]] = {name: [] for name in engines}
    scores: dict[str, list[Float32[np.ndarray, " items"]]] = {
        name: [] for name in (*engines, _ONE_BY_ONE)
    }
    for number, query in enumerate(track(queries, "searching", len(queries))):
        for name, engine in engines.items():
            hits = engine.search(SearchRequest.by_score(query.text, page_size=DEPTH)).hits
            runs[name].append(ranking(hits))
        items = runs["float32"][-1].item_ids[: engines["float32"].config.rerank_depth]
        for name, engine in engines.items():
            scores[name].append(_scores(engine, query.text, items))
        if number < config.alone_queries:
            alone = [_scores(engines["bfloat16"], query.text, [item]) for item in items]
            scores[_ONE_BY_ONE].append(np.concatenate(alone))
    for metric in _METRICS:
        values = {name: full_corpus(queries, run)[metric] for name, run in runs.items()}
        for kind, metrics in values.items():
            say(f"{metric} in {kind}: {bootstrap(metrics)}")
        say(f"{metric}, bfloat16 - float32: {bootstrap(values['bfloat16'] - values['float32'])}")
    _compare(scores, "float32", "bfloat16")
    _compare(scores, "bfloat16", _ONE_BY_ONE)


def _scores(engine: Engine, query: str, items: Sequence[str]) -> Float32[np.ndarray, " items"]:
    by_id = {hit.item_id: hit.score for hit in engine.rerank(RerankRequest(query, items)).hits}
    return np.array([by_id[item] for item in items], np.float32)


def _compare(
    scores: dict[str, list[Float32[np.ndarray, " items"]]], first: str, second: str
) -> None:
    both = list(zip(scores[first], scores[second], strict=False))
    differences = np.concatenate([a - b for a, b in both])
    order = np.mean([pair_order_agreement(a, b) for a, b in both])
    spread = np.mean([a.std() for a, _ in both])
    say(
        f"scores of {len(differences):,} candidates, {second} - {first}: at most "
        f"{np.abs(differences).max():.4f}, root mean square "
        f"{np.sqrt(np.square(differences).mean()):.5f}, {order:.2%} of pairs in the same order; "
        f"a query's candidates have a standard deviation of {spread:.3f}"
    )


if __name__ == "__main__":
    main(tyro.cli(NumericsConfig, prog="python -m bench.quality.numerics"))
