"""Compare an item tower that learns from two datasets with one that learns from the first alone.

    python -m bench.quality.joint --data $SHORTLIST_DATA/homedepot \
        --with-data $SHORTLIST_DATA/online_retail --out out/joint

Both towers make the same number of steps on the query-item pairs of the first dataset. The command
draws queries of `test`, and ranks their judged items and random items by the cosine. It prints
nDCG@10 of each seed, and the mean difference over the seeds, paired by query. It also prints how
well the item vectors alone find the items of a next session of the second dataset: the mean
reciprocal rank among random items.
"""

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tyro
from jaxtyping import Float64

from base.errors import InputError
from bench.quality.guards import drawn_queries
from bert.params import DEFAULT_PRETRAINED
from bert.tokens import Tokenised
from catalog.dataset.reading import read_dataset
from catalog.store import ItemStore
from towers.encoder import TowerEncoder
from towers.saving import load_towers
from towers.tokens import tokenise
from train.data.vectors import item_texts
from train.evaluation.metrics import Interval, bootstrap, ndcg
from train.evaluation.report import JudgedQuery
from train.loop.fit import FitConfig
from train.pipeline.options import PRESETS, TrainConfig
from train.pipeline.run import TrainingRun
from train.pipeline.towers import PairsConfig

_SEED = 3
_DEPTH = 10  # ranks that nDCG counts


@dataclass(frozen=True)
class JointConfig:
    """Options of `python -m bench.quality.joint`."""

    data: Path  # dataset directory with judgments
    with_data: Path  # dataset directory with events
    out: Path = Path("out/joint")  # directory of the towers
    seeds: tuple[int, ...] = (0, 1, 2)  # seeds of training
    max_pairs: int = 6_400  # number of query-item pairs to train on
    queries: int = 400  # number of `test` queries
    items: int = 6_000  # number of items to rank: all judged items, and random items
    next_pairs: int = 1_000  # number of pairs of an item and the next item
    next_item_steps: float = PairsConfig.next_item_steps  # as in training
    init_from: str = DEFAULT_PRETRAINED  # pretrained weights
    layers: int | None = 3  # number of layers of the pretrained encoder to keep


class Measured:
    """The queries and items on which the towers are measured."""

    def __init__(self, config: JointConfig, run: TrainingRun) -> None:
        """Draw the queries of the first dataset, and the pairs of the second."""
        dataset = read_dataset(config.data)
        store, random = ItemStore(dataset.items), np.random.default_rng(_SEED)
        self._queries: Sequence[JudgedQuery] = drawn_queries(dataset, config.queries, _SEED)
        judged = sorted({item for query in self._queries for item in query.gains})
        rows = store.rows(judged)
        others = np.setdiff1d(random.permutation(len(store))[: config.items], rows)
        self._rows = np.concatenate([rows, others])[: max(config.items, len(rows))]
        column = {item: number for number, item in enumerate(judged)}
        self._gains = np.zeros((len(self._queries), len(self._rows)), np.float32)
        for number, query in enumerate(self._queries):
            for item, gain in query.gains.items():
                self._gains[number, column[item]] = gain
        texts = item_texts(store)
        tokens, sizes = run.tokenizer, run.towers_config
        self._texts, _ = tokenise(tokens, sizes, "item", [texts[row] for row in self._rows])
        asked = [query.text for query in self._queries]
        self._asked, _ = tokenise(tokens, sizes, "query", asked)
        pairs = run.next_items
        assert pairs is not None
        chosen = random.permutation(len(pairs))[: config.next_pairs]
        self._first: Tokenised = pairs.items.take(pairs.item[chosen])
        self._next: Tokenised = pairs.items.take(pairs.next[chosen])
        self._same = pairs.next[chosen][:, None] == pairs.next[chosen]

    def search(self, encoder: TowerEncoder) -> Float64[np.ndarray, "queries"]:
        """Return the nDCG@10 of each query."""
        cosines = encoder.run("query", self._asked) @ encoder.run("item", self._texts).T
        order = np.argsort(-cosines, axis=1, kind="stable")[:, :_DEPTH]
        return ndcg(np.take_along_axis(self._gains, order, axis=1), self._gains, _DEPTH)

    def next_item(self, encoder: TowerEncoder) -> Float64[np.ndarray, "pairs"]:
        """Return the reciprocal rank of each next item among the next items of other pairs."""
        cosines = encoder.run("item", self._first) @ encoder.run("item", self._next).T
        better = (cosines > np.diagonal(cosines)[:, None]) & ~self._same
        return np.asarray(1 / (1 + better.sum(axis=1)), np.float64)


def training(config: JointConfig, seed: int, *, joint: bool) -> TrainConfig:
    """Return the configuration of one training of the towers."""
    preset = PRESETS["demo"]
    return replace(
        preset,
        data=str(config.data),
        with_data=config.with_data if joint else None,
        out=config.out / f"{'joint' if joint else 'alone'}-{seed}",
        seed=seed,
        init_from=config.init_from,
        layers=config.layers,
        pairs=PairsConfig(
            max_pairs=config.max_pairs,
            dev_queries=150,
            dev_items=1_500,
            event_weight=0.0,
            next_item_steps=config.next_item_steps,
        ),
        towers_fit=FitConfig(learning_rate=5e-5, head_learning_rate=1e-4, evaluations=2),
    )


def line(name: str, difference: Interval, alone: float) -> str:
    """Describe a difference in percent of the mean of the tower that learns alone."""
    mean, low, high = (
        f"{100 * value / alone:+.2f}%"
        for value in (difference.mean, difference.low, difference.high)
    )
    return f"{name}: joint - alone {mean} [{low}, {high}] of {alone:.4f}\n"


def main(config: JointConfig) -> None:
    """Train the towers, and print how they rank."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("train").setLevel(logging.INFO)
    measured: Measured | None = None
    searches, next_items = [], []
    for seed in config.seeds:
        found = []
        for joint in (True, False):
            run = TrainingRun(training(config, seed, joint=joint))
            directory = run.run(only="towers")
            measured = measured or Measured(config, run)
            encoder = TowerEncoder(load_towers(directory), run.tokenizer, run.numerics, bulk=True)
            found.append((measured.search(encoder), measured.next_item(encoder)))
        (joint_search, joint_next), (alone_search, alone_next) = found
        searches.append((joint_search, alone_search))
        next_items.append((joint_next, alone_next))
        difference = bootstrap(joint_search - alone_search)
        sys.stdout.write(line(f"search, seed {seed}", difference, float(alone_search.mean())))
        sys.stdout.flush()
    if not searches:
        raise InputError("give one seed or more")
    for name, values in (("search", searches), ("next item", next_items)):
        joint_mean, alone_mean = np.mean(values, axis=0)
        difference = bootstrap(joint_mean - alone_mean)
        sys.stdout.write(line(f"{name}, mean of seeds", difference, float(alone_mean.mean())))


if __name__ == "__main__":
    main(tyro.cli(JointConfig, prog="python -m bench.quality.joint"))
