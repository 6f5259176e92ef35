"""How often the intervals of off-policy estimates have the true value.

The log has lists in the order of the shop, with epsilon-greedy exploration. The target orders the
items of a query by text and then by price, without popularity. Its true value follows from the true
probabilities of clicks.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from bench.quality.exploration.shop import POOL, POSITIONS, DemoSearches, Searched
from demo.judgments import text_grades
from search.exploration.policy import explore
from train.evaluation.policy.estimates import Estimates
from train.evaluation.policy.evaluate import evaluate_policy

ESTIMATES = ("ips", "snips", "doubly_robust")


@dataclass(frozen=True)
class Coverage:
    """The estimates of some runs.

    Attributes:
        truth: The true value of the target, in clicks per search.
        logged: The true value of the order of the shop.
        covered: For each estimate, the number of runs whose interval has the true value.
        width: For each estimate, the mean width of the interval.
        runs: Number of runs.
    """

    truth: float
    logged: float
    covered: dict[str, int]
    width: dict[str, float]
    runs: int


def coverage(demo: DemoSearches, *, runs: int, searches: int, share: float) -> Coverage:
    """Log searches and estimate the value of the target, several times."""
    targets = [_by_text_and_price(searched) for searched in demo.searched]
    own = np.arange(POSITIONS)
    truth = sum(asked * demo.value(n, targets[n]) for n, asked in enumerate(demo.asked.tolist()))
    logged = sum(asked * demo.value(n, own) for n, asked in enumerate(demo.asked.tolist()))
    names = {s.query.query_id: n for n, s in enumerate(demo.searched)}

    def list_of(query: str) -> list[str]:
        number = names[query]
        return [demo.searched[number].products[item].item_id for item in targets[number].tolist()]

    found: list[Estimates] = []
    for seed in range(runs):
        events = log_searches(demo, searches, share, np.random.default_rng(seed))
        found.append(evaluate_policy(events, list_of, "click", POSITIONS))
    intervals = {name: [getattr(each, name) for each in found] for name in ESTIMATES}
    return Coverage(
        truth,
        logged,
        {name: sum(i.low <= truth <= i.high for i in of) for name, of in intervals.items()},
        {name: float(np.mean([i.high - i.low for i in of])) for name, of in intervals.items()},
        runs,
    )


def _by_text_and_price(searched: Searched) -> Int64[np.ndarray, " positions"]:
    fits = text_grades(searched.query.intent, searched.products)
    prices = np.array([product.price for product in searched.products])
    return np.asarray(np.lexsort((prices, -fits))[:POSITIONS])


def log_searches(
    demo: DemoSearches, searches: int, share: float, rng: np.random.Generator
) -> pa.Table:
    """Return the events of searches with epsilon-greedy exploration, as a table `events`."""
    rows: dict[str, list[object]] = {
        name: [] for name in ("type", "request_id", "query", "item_id", "position", "propensity")
    }
    for number, query in enumerate(rng.choice(len(demo.asked), searches, p=demo.asked).tolist()):
        searched = demo.searched[query]
        explored = explore(np.ones(POOL), share, rng, POSITIONS)
        shown = explored.order[:POSITIONS]
        chances = searched.clicks[rng.integers(len(searched.clicks)), shown]
        clicked = rng.random(POSITIONS) < chances * demo.examined
        for at, item in enumerate(shown.tolist()):
            for kind in ("impression", "click")[: 1 + int(clicked[at])]:
                rows["type"].append(kind)
                rows["request_id"].append(str(number))
                rows["query"].append(searched.query.query_id)
                rows["item_id"].append(searched.products[item].item_id)
                rows["position"].append(at + 1)
                rows["propensity"].append(float(explored.propensity[at]))
    return pa.table(rows)
