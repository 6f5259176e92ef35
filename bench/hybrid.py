"""Whether the reranker does better on candidates of both channels than on those of the vectors.

    python -m bench.hybrid --bundle out/bundle --data $SHORTLIST_DATA/homedepot --split dev

Prints nDCG@10 and Recall@100 of both stages on each kind of candidates, and their difference,
paired by query.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tyro

from catalog.reading import read_dataset
from search.config import EngineConfig
from search.engine import Engine
from train.figures import DEPTH, full_corpus, judged_queries
from train.metrics import bootstrap
from train.progress import track
from train.runs import Ranking

_METRICS = ("ndcg@10", "recall@100")


@dataclass(frozen=True)
class HybridConfig:
    """What to compare on."""

    bundle: Path  # with a reranker
    data: Path  # the dataset directory it was built from
    split: str = "dev"  # whose judgments


def main(config: HybridConfig) -> None:
    """Run both, query by query, and print the figures."""
    queries = judged_queries(read_dataset(config.data), config.split)
    engine = Engine.load(config.bundle)
    hybrid = EngineConfig()
    kinds = {"dense": replace(hybrid, lexical_weight=0.0), "hybrid": hybrid}
    runs: dict[str, list[Ranking]] = {name: [] for name in kinds}
    for query in track(queries, "searching", len(queries)):
        for name, engine.config in kinds.items():
            hits = engine.search(query.text, limit=DEPTH).hits
            scores = np.array([hit.score for hit in hits], np.float32)
            runs[name].append(Ranking([hit.item_id for hit in hits], scores))
    for metric in _METRICS:
        values = {name: full_corpus(queries, run)[metric] for name, run in runs.items()}
        for name, of in values.items():
            sys.stdout.write(f"{metric} both stages on {name}: {bootstrap(of)}\n")
        sys.stdout.write(
            f"{metric} hybrid - dense: {bootstrap(values['hybrid'] - values['dense'])}\n"
        )


if __name__ == "__main__":
    main(tyro.cli(HybridConfig, prog="python -m bench.hybrid"))
