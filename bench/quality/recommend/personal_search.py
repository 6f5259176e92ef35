"""Measure what personal search is worth on demo stores, whose tastes and purchases are known.

    python -m bench.quality.recommend.personal_search --out out/personal --demo-seeds 101 102 103

The command builds a bundle of each demo store with the preset `demo`. Users with a history search
queries of `test`, each query once with the user's history and once without a person. A list of ten
results is worth its true expected purchases: for each position, the probabilities that a user
examines the position, that this user clicks the item, and that a click becomes a purchase. The
command prints the values, and their difference, paired by user. The purchases of `possible` are
those of the best order of the same candidates for each user.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import tyro
from jaxtyping import Float64

from behaviour.histories import PastEvent
from bert.params import DEFAULT_PRETRAINED
from demo import DemoConfig, DemoStore
from demo.behaviour import Event, Shop, User, examination
from demo.queries import Query
from search.config import EngineConfig
from search.engine import Engine
from search.people.person import Person
from search.request import SearchRequest
from train.evaluation.metrics import bootstrap
from train.pipeline.options import PRESETS
from train.pipeline.run import TrainingRun

_SEED = 7
_MODEL = DemoConfig().behaviour
_SYSTEMS = ("without a person", "personal", "possible")


@dataclass(frozen=True)
class PersonalSearchConfig:
    """Options of `python -m bench.quality.recommend.personal_search`."""

    out: Path = Path("out/personal")  # directory of the stores and of the bundles
    demo_seeds: tuple[int, ...] = (101, 102, 103)  # seeds of the demo stores
    users: int = 250  # number of users with a history, drawn at random
    searches: int = 2  # number of queries of each user
    channel_weights: str = ""  # weights of channels; empty: those of the bundle
    init_from: str = DEFAULT_PRETRAINED  # pretrained weights


class Simulation:
    """Users of a demo store, who search the queries of `test`."""

    def __init__(self, store: DemoStore) -> None:
        """Simulate the users of `store`."""
        queries = [query for query in store.queries if query.split == "test"]
        self._shop = Shop(np.random.default_rng(_SEED), _MODEL, store.products, queries)
        self._products = {product.item_id: product for product in store.products}
        self._histories: dict[str, list[PastEvent]] = {}
        for number, event in enumerate(store.events):
            if event.type != "impression":
                past = self._histories.setdefault(event.user.user_id, [])
                past.append(PastEvent(_microseconds(event.time), number, event.type, _item(event)))
        self._now = _microseconds(store.events[-1].time)
        self._users = [user for user in store.users if user.user_id in self._histories]

    def values(
        self, engine: Engine, config: PersonalSearchConfig
    ) -> Float64[np.ndarray, "users systems"]:
        """Return each user's mean expected purchases per search, for each of `_SYSTEMS`."""
        order = np.random.default_rng(_SEED).permutation(len(self._users))[: config.users]
        values = []
        for user in (self._users[number] for number in order.tolist()):
            searches = [q for _ in range(config.searches) for q in self._shop.searches(user)]
            searched = [self._search(engine, user, query) for query in searches[: config.searches]]
            values.append(np.mean(searched, axis=0))
        return np.array(values)

    def _search(self, engine: Engine, user: User, query: Query) -> list[float]:
        person = Person(history=tuple(self._histories[user.user_id]), now=self._now)
        plain = SearchRequest(query.text, page_size=engine.config.rerank_depth)
        lists = [
            [hit.item_id for hit in engine.search(request).hits]
            for request in (plain, replace(plain, person=person))
        ]
        likes = self._purchases(user, query, lists[0])
        best = [lists[0][number] for number in np.argsort(-likes).tolist()]
        return [self._value(user, query, shown) for shown in (*lists, best)]

    def _value(self, user: User, query: Query, shown: Sequence[str]) -> float:
        page = shown[: _MODEL.page_size]
        return float(examination(_MODEL)[: len(page)] @ self._purchases(user, query, page))

    def _purchases(
        self, user: User, query: Query, shown: Sequence[str]
    ) -> Float64[np.ndarray, " items"]:
        """Return the probability that the user buys each item, once it is examined."""
        page = [self._products[item_id] for item_id in shown]
        if not page:
            return np.zeros(0)
        clicks = self._shop.attractiveness(user, query, page)
        return np.asarray(clicks * self._shop.purchases_per_click(query, page), np.float64)


def _item(event: Event) -> str:
    return event.product.item_id


def _microseconds(time: datetime) -> int:
    return round(time.timestamp() * 1_000_000)


def measure(config: PersonalSearchConfig, seed: int) -> Float64[np.ndarray, "users systems"]:
    """Build the bundle of one demo store, and measure it."""
    training = replace(
        PRESETS["demo"], demo_seed=seed, out=config.out / str(seed), init_from=config.init_from
    )
    engine = Engine.load(
        TrainingRun(training).run(),
        EngineConfig(channel_weights=config.channel_weights),
        replay=False,
    )
    return Simulation(DemoStore.make(seed)).values(engine, config)


def report(name: str, values: Float64[np.ndarray, "users systems"]) -> str:
    """Describe the mean of each system, and the difference by personalisation."""
    means = ", ".join(
        f"{system} {mean:.4f}" for system, mean in zip(_SYSTEMS, values.mean(axis=0), strict=True)
    )
    plain, personal = values[:, 0], values[:, 1]
    difference, scale = bootstrap(personal - plain), plain.mean() / 100
    return (
        f"{name}: {means}; personal {difference.mean / scale:+.1f}% "
        f"[{difference.low / scale:+.1f}%, {difference.high / scale:+.1f}%], "
        f"{difference.queries} users: {difference.verdict}\n"
    )


def main(config: PersonalSearchConfig) -> None:
    """Measure each store, and print the expected purchases per search."""
    found = []
    for seed in config.demo_seeds:
        found.append(measure(config, seed))
        sys.stdout.write(report(f"seed {seed}", found[-1]))
        sys.stdout.flush()
    sys.stdout.write(report("all seeds", np.concatenate(found)))


if __name__ == "__main__":
    main(tyro.cli(PersonalSearchConfig, prog="python -m bench.quality.recommend.personal_search"))
