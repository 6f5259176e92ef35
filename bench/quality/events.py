"""Compare bundles that learn from judgments, from events, and from both.

    python -m bench.quality.events --out out/events
    python -m bench.quality.events --out out/events-hd --data homedepot --queries 2000

Without `--data`, the demo store has its events and the judgments of a few queries. A dataset
without events gets simulated clicks: a shopper of each `train` query sees the ten best items of a
BM25, examines position k with probability 1 / k, and clicks judged items by their grade and other
items with a fixed probability. All bundles are built with the preset `demo`, and rank the same
`test` queries. The command prints their nDCG@10 and paired differences.
"""

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import tyro

from bench.quality.guards import GuardsConfig, build, drawn_queries, values_of
from bert.params import DEFAULT_PRETRAINED
from catalog.dataset.reading import Dataset, read_dataset
from catalog.store import ItemStore
from demo import write_demo_store
from search.bundle import Manifest
from train.data.relevance import judged_pairs
from train.evaluation.baseline import Bm25, best_rows, english_stemmer
from train.evaluation.guard import lines_of
from train.evaluation.metrics import bootstrap

_SEED = 5
_PAGE = 10  # number of shown items
_UNJUDGED_CLICK = 0.1  # probability of a click on an examined item without a judgment


@dataclass(frozen=True)
class EventsConfig:
    """Options of `python -m bench.quality.events`."""

    out: Path = Path("out/events")  # directory of the datasets and of the bundles
    data: Path | None = None  # dataset directory; None generates the demo store
    demo_seed: int = 0  # seed of the demo store
    queries: int = 100  # number of judged queries to keep in `train` and `dev`; 0 keeps all
    per_query: int = 0  # number of judgments to keep of each query; 0 keeps all
    shoppers: int = 3  # number of simulated shoppers of each query
    evaluate: int = 500  # maximum number of `test` queries
    kinds: tuple[str, ...] = ("judgments", "events", "both")  # bundles to compare
    init_from: str = DEFAULT_PRETRAINED  # pretrained weights
    layers: int | None = 3  # number of layers of the pretrained encoder to keep


def few_judgments(judgments: pa.Table, queries: int, per_query: int) -> pa.Table:
    """Keep judgments of some queries of `train` and `dev`, drawn at random."""
    random = np.random.default_rng(_SEED)
    known = judgments.filter(pc.not_equal(judgments["split"], "test"))
    known = known.take(random.permutation(len(known)))
    ids = sorted(known["query_id"].unique().to_pylist())
    chosen = random.permutation(ids)[: queries or None].tolist()
    known = known.filter(pc.is_in(known["query_id"], pa.array(chosen, known["query_id"].type)))
    if per_query:
        numbers = known["query_id"].to_numpy(zero_copy_only=False)
        _, first = np.unique(numbers, return_inverse=True)
        order = np.argsort(first, kind="stable")
        starts = np.searchsorted(first[order], np.arange(first.max() + 1))
        ranks = np.arange(len(order)) - starts[first[order]]
        known = known.take(np.sort(order[ranks < per_query]))
    return known


def simulated_clicks(dataset: Dataset, shoppers: int) -> pa.Table:
    """Simulate clicks on the pages of the `train` queries; see the module's description."""
    random = np.random.default_rng(_SEED)
    store = ItemStore(dataset.items)
    ranker, ties = Bm25(store, english_stemmer()), np.arange(len(store))
    judged = judged_pairs(dataset, store)
    assert judged is not None
    train, clicks = judged.only("train"), []
    best = float(train.gain.max())
    for number, text in enumerate(train.queries):
        page = best_rows(ranker.scores(text), _PAGE, ties)
        pairs = train.pairs_of(number)
        gains = dict(zip(train.item[pairs].tolist(), train.gain[pairs].tolist(), strict=True))
        likes = np.array([gains.get(row, _UNJUDGED_CLICK * best) / best for row in page.tolist()])
        seen = 1 / np.arange(1, len(page) + 1)
        for _ in range(shoppers):
            clicked = page[random.random(len(page)) < seen * likes]
            clicks += [(text, store.ids[row]) for row in clicked.tolist()]
    time = datetime(2024, 1, 31, tzinfo=UTC)
    return pa.table(
        {
            "time": pa.array([time] * len(clicks), pa.timestamp("us", "UTC")),
            "type": ["click"] * len(clicks),
            "query": [query for query, _ in clicks],
            "item_id": [item_id for _, item_id in clicks],
        }
    )


def write_datasets(config: EventsConfig, source: Path) -> None:
    """Write a dataset of each kind; none has `test` judgments."""
    dataset = read_dataset(source)
    assert dataset.judgments is not None
    judgments = few_judgments(dataset.judgments, config.queries, config.per_query)
    events = dataset.events
    if events is None:
        events = simulated_clicks(dataset, config.shoppers)
    sys.stdout.write(f"{len(judgments):,} judgments, {len(events):,} events\n")
    for kind in config.kinds:
        directory = config.out / "data" / kind
        directory.mkdir(parents=True, exist_ok=True)
        pq.write_table(dataset.items, directory / "items.parquet")
        (directory / "dataset.json").write_bytes((source / "dataset.json").read_bytes())
        if kind != "events":
            pq.write_table(judgments, directory / "judgments.parquet")
        if kind != "judgments":
            pq.write_table(events, directory / "events.parquet")


def main(config: EventsConfig) -> None:
    """Build the bundles, and print how they rank."""
    source = config.data
    if source is None:
        source = config.out / f"demo-store-{config.demo_seed}"
        write_demo_store(source, seed=config.demo_seed)
    write_datasets(config, source)
    queries = drawn_queries(read_dataset(source), config.evaluate, _SEED)
    training = GuardsConfig(init_from=config.init_from, layers=config.layers)
    values = {}
    for kind in config.kinds:
        bundle = build(config.out / "data" / kind, config.out / kind, training)
        values[kind] = values_of(bundle, queries)
        sys.stdout.write(f"{kind}: nDCG@10 {values[kind].mean():.4f}\n")
        sys.stdout.write("".join(f"  {line}\n" for line in lines_of(Manifest.read(bundle).reports)))
        sys.stdout.flush()
    for first, second in combinations(reversed(config.kinds), 2):
        difference = bootstrap(values[first] - values[second])
        sys.stdout.write(
            f"{first} - {second}: {difference.mean:+.4f} [{difference.low:+.4f}, "
            f"{difference.high:+.4f}], {difference.queries} queries: {difference.verdict}\n"
        )


if __name__ == "__main__":
    main(tyro.cli(EventsConfig, prog="python -m bench.quality.events"))
