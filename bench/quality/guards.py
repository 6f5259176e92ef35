"""Train on small and hostile datasets, and check that the bundles rank no worse than at the start.

    python -m bench.quality.guards --out out/guards

Each dataset comes from the demo store. Its bundle ranks clean `test` queries of the demo store, and
so does recall with the pretrained towers. The command prints what training left out and the paired
difference of nDCG@10. It fails if a bundle is significantly worse. A dataset with a few items has
another catalogue. So its models are put into a bundle of all items (`--init-from`).
"""

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import tyro
from jaxtyping import Float64

from bert.params import DEFAULT_PRETRAINED
from catalog.dataset.reading import Dataset, read_dataset
from demo import write_demo_store
from search.bundle import Manifest
from search.engine import Engine
from search.request import SearchRequest
from train.evaluation.guard import lines_of
from train.evaluation.metrics import bootstrap
from train.evaluation.report import JudgedQuery, judged_queries, ndcg_at_10
from train.evaluation.runs import Ranking
from train.pipeline.options import PRESETS, TrainConfig
from train.pipeline.run import TrainingRun

_SEED = 3


@dataclass(frozen=True)
class GuardsConfig:
    """Options of `python -m bench.quality.guards`."""

    out: Path = Path("out/guards")  # directory of the datasets and of the bundles
    only: tuple[str, ...] = ()  # names of datasets; () takes all
    queries: int = 300  # number of clean `test` queries, drawn at random
    demo_seed: int = 0  # seed of the demo store
    init_from: str = DEFAULT_PRETRAINED  # pretrained weights
    layers: int | None = 3  # number of layers of the pretrained encoder to keep


def worthless(judgments: pa.Table, _: pa.Table) -> pa.Table:
    """Give each query the judged items and grades of another query."""
    queries = judgments["query_id"].unique().to_pylist()
    order = np.random.default_rng(_SEED).permutation(len(queries))
    other = {query: queries[number] for query, number in zip(queries, order, strict=True)}
    texts = dict(_columns(judgments, "query_id", "query"))
    splits = dict(_columns(judgments, "query_id", "split"))
    new = [other[query] for query in judgments["query_id"].to_pylist()]
    for name, values in (
        ("query_id", new),
        ("query", [texts[query] for query in new]),
        ("split", [splits[query] for query in new]),
    ):
        judgments = _replaced(judgments, name, values)
    return judgments


def two_queries(judgments: pa.Table, _: pa.Table) -> pa.Table:
    """Keep the judgments of one query of `train` and one of `dev`."""
    first = {split: query for query, split in reversed(_columns(judgments, "query_id", "split"))}
    return judgments.filter(pc.is_in(judgments["query_id"], pa.array(list(first.values()))))


def shuffled(judgments: pa.Table, _: pa.Table) -> pa.Table:
    """Shuffle the grades of all judgments, also those of `dev`."""
    grades = np.random.default_rng(_SEED).permutation(judgments["grade"].to_numpy())
    return _replaced(judgments, "grade", grades.tolist())


def one_category(judgments: pa.Table, items: pa.Table) -> pa.Table:
    """Keep the judgments of items of the department with the most items."""
    departments = [path.partition(" > ")[0] for path in items["category"].to_pylist()]
    largest = max(sorted(set(departments)), key=departments.count)
    chosen = pa.array([department == largest for department in departments])
    return judgments.filter(pc.is_in(judgments["item_id"], items["item_id"].filter(chosen)))


def three_items(judgments: pa.Table, items: pa.Table) -> pa.Table:
    """Keep the judgments of three items."""
    return judgments.filter(pc.is_in(judgments["item_id"], items["item_id"].slice(0, 3)))


THREE_ITEMS = "three-items"  # the dataset that has not all items
DATASETS: Mapping[str, Callable[[pa.Table, pa.Table], pa.Table]] = {
    "worthless": worthless,
    "two-queries": two_queries,
    "shuffled": shuffled,
    "one-category": one_category,
    THREE_ITEMS: three_items,
}


def _columns(judgments: pa.Table, first: str, second: str) -> list[tuple[str, str]]:
    return list(zip(judgments[first].to_pylist(), judgments[second].to_pylist(), strict=True))


def _replaced(table: pa.Table, name: str, values: Sequence[Any]) -> pa.Table:
    position = table.column_names.index(name)
    return table.set_column(position, name, pa.array(values, table.schema.field(name).type))


def write_dataset(name: str, clean: Path, directory: Path) -> None:
    """Write a hostile dataset, which has no `test` judgments; "" writes the items alone."""
    directory.mkdir(parents=True, exist_ok=True)
    items = pq.read_table(clean / "items.parquet")
    if name:
        judgments = pq.read_table(clean / "judgments.parquet")
        judgments = judgments.filter(pc.not_equal(judgments["split"], "test"))
        pq.write_table(DATASETS[name](judgments, items), directory / "judgments.parquet")
        shutil.copy(clean / "dataset.json", directory)
    if name == THREE_ITEMS:
        items = items.slice(0, 3)
    pq.write_table(items, directory / "items.parquet")


def build(directory: Path, out: Path, config: GuardsConfig, init_from: str | None = None) -> Path:
    """Train on a dataset with the preset `demo`, and return the bundle."""
    training: TrainConfig = replace(
        PRESETS["demo"],
        data=str(directory),
        out=out,
        init_from=init_from or config.init_from,
        layers=config.layers,
    )
    return TrainingRun(training).run()


def values_of(
    bundle: Path, queries: Sequence[JudgedQuery], depth: int | None = None
) -> Float64[np.ndarray, "queries"]:
    """Return the nDCG@10 of each query; `depth` 0 ranks by recall alone."""
    engine = Engine.load(bundle, replay=False)
    rankings = []
    for query in queries:
        hits = engine.search(SearchRequest.by_score(query.text, rerank_depth=depth)).hits
        scores = np.array([hit.score for hit in hits], np.float32)
        rankings.append(Ranking([hit.item_id for hit in hits], scores))
    return ndcg_at_10(queries, rankings)


def drawn_queries(dataset: Dataset, count: int, seed: int) -> list[JudgedQuery]:
    """Draw judged `test` queries at random."""
    judged = judged_queries(dataset, "test")
    order = np.random.default_rng(seed).permutation(len(judged))[:count]
    return [judged[number] for number in sorted(order.tolist())]


def main(config: GuardsConfig) -> None:
    """Build the bundles, print their differences to the pretrained recall, and check them."""
    clean = config.out / f"demo-store-{config.demo_seed}"
    write_demo_store(clean, seed=config.demo_seed)
    queries = drawn_queries(read_dataset(clean), config.queries, _SEED)
    write_dataset("", clean, config.out / "items")
    start = build(config.out / "items", config.out / "start", config)
    pretrained = values_of(start, queries, depth=0)
    worse = []
    sys.stdout.write(
        f"pretrained recall: nDCG@10 {pretrained.mean():.4f}, {len(queries)} queries\n"
    )
    for name in config.only or DATASETS:
        directory, out = config.out / "data" / name, config.out / name
        write_dataset(name, clean, directory)
        bundle = build(directory, out, config)
        lines = lines_of(Manifest.read(bundle).reports)
        if name == THREE_ITEMS:
            bundle = build(config.out / "items", out / "all-items", config, str(bundle))
        values = values_of(bundle, queries)
        difference = bootstrap(values - pretrained)
        sys.stdout.write(
            f"{name}: nDCG@10 {values.mean():.4f}, {difference.mean:+.4f} "
            f"[{difference.low:+.4f}, {difference.high:+.4f}]: {difference.verdict}\n"
            + "".join(f"  {line}\n" for line in lines)
        )
        sys.stdout.flush()
        worse += [name] if difference.verdict == "worse" else []
    if worse:
        sys.exit(f"error: worse than the pretrained recall: {', '.join(worse)}")


if __name__ == "__main__":
    main(tyro.cli(GuardsConfig, prog="python -m bench.quality.guards"))
