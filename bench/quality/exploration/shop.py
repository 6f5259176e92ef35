"""Searches of the demo shop: what the order alone would show, and the truth about each item."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int64

from demo.behaviour import BehaviourModel, Shop, User, examination, make_users
from demo.products import Product, make_products
from demo.queries import Query, make_queries

POOL = 40  # number of the best items of a query that a list can show
POSITIONS = 10


@dataclass(frozen=True)
class Searched:
    """The items that a list for a query can show, best first in the order of the shop.

    Attributes:
        query: The query.
        products: The items.
        scores: The score of each item in the order of the shop.
        clicks: For each user and item, the probability of a click once the item is examined.
        purchases: For each item, the probability that a user who clicks it buys it.
    """

    query: Query
    products: Sequence[Product]
    scores: Float64[np.ndarray, " items"]
    clicks: Float64[np.ndarray, "users items"]
    purchases: Float64[np.ndarray, " items"]

    @cached_property
    def mean_clicks(self) -> Float64[np.ndarray, " items"]:
        """The probability of a click of a random user once the item is examined."""
        mean: Float64[np.ndarray, " items"] = self.clicks.mean(axis=0)
        return mean


@dataclass(frozen=True)
class DemoSearches:
    """Some queries of the demo shop, and how they are asked.

    Attributes:
        searched: The queries with their items.
        asked: The share of each query in all searches.
        examined: The probability that a user examines each position.
    """

    searched: Sequence[Searched]
    asked: Float64[np.ndarray, " queries"]
    examined: Float64[np.ndarray, " positions"]

    @classmethod
    def make(cls, seed: int, *, queries: int, users: int = 100) -> "DemoSearches":
        """Make the shop, and choose queries whose pools are large enough."""
        rng = np.random.default_rng(seed)
        model = BehaviourModel()
        products = make_products(rng, 1_500)
        made = [q for q in make_queries(rng, products, 400) if q.split == "train"]
        shop = Shop(rng, model, products, made)
        people = make_users(rng, model, users)
        chosen = [q for q in made if len(shop.pool(q)) >= POOL][:queries]
        shares = np.arange(1.0, len(chosen) + 1) ** -model.query_popularity_decay
        return cls(
            [_searched(shop, query, people) for query in chosen],
            shares / shares.sum(),
            examination(model)[:POSITIONS].astype(np.float64),
        )

    def value(self, query: int, shown: Int64[np.ndarray, " positions"]) -> float:
        """Return the true expected number of clicks on a list of the query."""
        return float(self.examined[: len(shown)] @ self.searched[query].mean_clicks[shown])


def _searched(shop: Shop, query: Query, users: Sequence[User]) -> Searched:
    pool, scores = shop.pool(query), shop.scores(query)
    best = np.argsort(-scores, kind="stable")[:POOL].tolist()
    products = [pool[index] for index in best]
    return Searched(
        query,
        products,
        scores[best].astype(np.float64),
        np.array([shop.attractiveness(user, query, products) for user in users]),
        shop.purchases_per_click(query, products).astype(np.float64),
    )
