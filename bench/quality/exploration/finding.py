"""How soon exploration finds good new items, and what it costs.

In each query, one item is new: nobody has seen it, and its predicted score is that of the item at
position 20. In truth, people click and buy it more often than the best other item. The list is
ordered by the mean of each item's click rate (`search.exploration.click_rates`), which follows from
the predicted score and from the clicks so far. An item is found when it is among the first three.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from bench.quality.exploration.shop import POOL, POSITIONS, DemoSearches
from search.exploration.click_rates import PRIOR_IMPRESSIONS, Clicks, best_chances, posterior
from search.exploration.policy import explore
from search.exploration.request import Method

_NEW = 20  # position of the new item in the order of predicted scores, from 0
_FOUND = 3
_SMOOTHING = 20.0  # number of impressions that count as much as the predicted score, in the order
_BETTER = 1.5  # factor of the new item's clicks over those of the best other item
_REFRESH = 10  # number of searches of a query between two computations of chances to be best


@dataclass(frozen=True)
class Finding:
    """The result of one simulation.

    Attributes:
        impressions: For each query, the number of impressions before its new item was found; all
            impressions of the query if it was not found.
        found: Share of the new items that were found.
        purchases: True expected number of purchases of all searches.
    """

    impressions: Float64[np.ndarray, " queries"]
    found: float
    purchases: float


def find(
    demo: DemoSearches,
    method: Method | None,
    *,
    searches: int,
    share: float,
    seed: int,
    planted: bool = True,
) -> Finding:
    """Simulate searches.

    Args:
        demo: The queries.
        method: How to explore; None: not at all.
        searches: Number of searches of each query.
        share: The share of positions that explore.
        seed: Seed of users, clicks and exploration.
        planted: Whether each query has a new item that is better than all others.
    """
    impressions = np.full(len(demo.searched), float(searches * POSITIONS))
    purchases, found = 0.0, 0
    for query in range(len(demo.searched)):
        rng = np.random.default_rng((seed, query))
        simulated = _Query(demo, query, planted)
        for number in range(searches):
            shown = simulated.search(method, share, number, rng)
            purchases += simulated.bought(shown)
            if impressions[query] == searches * POSITIONS and simulated.is_found:
                impressions[query], found = number * POSITIONS, found + 1
    return Finding(impressions, found / len(demo.searched), purchases)


class _Query:
    """One query, with its clicks so far."""

    def __init__(self, demo: DemoSearches, query: int, planted: bool) -> None:
        searched = demo.searched[query]
        self._examined = demo.examined
        self._true, self._bought = searched.mean_clicks.copy(), searched.purchases.copy()
        # The predicted click rate of an item of grade g is that of the demo shop's formula.
        self._predicted = 1 / (1 + np.exp(2.2 - 0.9 * searched.scores))
        if planted:
            self._true[_NEW] = min(_BETTER * self._true.max(), 0.9)
            self._bought[_NEW] = self._bought.max()
        self._clicks, self._seen = np.zeros(POOL), np.zeros(POOL)
        self._total = np.array([1.0, 20.0])  # clicks and examinations of all items
        self._chances = np.ones(POOL)
        self._rank()

    def search(
        self, method: Method | None, share: float, number: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Show a list, draw the clicks, learn from them, and return the shown items."""
        shown = self._order[:POSITIONS]
        if method is not None:
            weights = np.ones(POOL)
            if method is Method.THOMPSON_SAMPLING:
                if number % _REFRESH == 0:
                    self._chances = best_chances(*self._posterior(PRIOR_IMPRESSIONS))
                weights = self._chances[self._order]
            explored = explore(weights, share, rng, POSITIONS)
            shown = self._order[explored.order[:POSITIONS]]
        clicked = rng.random(POSITIONS) < self._true[shown] * self._examined
        self._clicks[shown] += clicked
        self._seen[shown] += self._examined
        self._total += (clicked.sum(), self._examined.sum())
        self._rank()
        return shown

    def bought(self, shown: np.ndarray) -> float:
        """Return the true expected number of purchases from a list."""
        return float(self._examined @ (self._true[shown] * self._bought[shown]))

    @property
    def is_found(self) -> bool:
        """Whether the new item is among the first."""
        return _NEW in self._order[:_FOUND]

    def _rank(self) -> None:
        alpha, beta = self._posterior(_SMOOTHING)
        self._order = np.argsort(-alpha / (alpha + beta), kind="stable")

    def _posterior(self, strength: float) -> tuple[np.ndarray, np.ndarray]:
        mean = float(self._total[0] / self._total[1])
        return posterior(self._predicted, Clicks(self._clicks, self._seen, mean), strength)
