"""Whether counters that are corrected for positions order items nearer to the truth than raw ones.

Each query is shown in the order of the shop with noise, so its popular items stand at the top of
most lists and get most clicks. The true order is that of the true probabilities of clicks.
"""

import numpy as np
from scipy.stats import spearmanr

from behaviour.config import CounterConfig
from behaviour.counters import Counters
from behaviour.events import Event
from behaviour.log.format import StoredEvent
from bench.quality.exploration.shop import POOL, POSITIONS, DemoSearches
from train.evaluation.metrics import Interval, bootstrap

_NOW = 1_700_000_000  # seconds since 1970
_SMOOTHING = 20.0  # number of impressions that count as much as the mean rate, for both rates
_NOISE = 0.7  # scale of the Gumbel noise of the shop's order


def correlations(
    demo: DemoSearches, *, searches: int, seed: int
) -> tuple[Interval, Interval, Interval]:
    """Return the mean rank correlation with the true order over the queries.

    Returns:
        The correlation of corrected rates, of raw rates, and of the difference.
    """
    counters = Counters(CounterConfig(smoothing=_SMOOTHING), lambda: float(_NOW))
    raw = _count(demo, counters, searches, np.random.default_rng(seed))
    counters.refresh()
    corrected_by_query, raw_by_query = [], []
    for number, searched in enumerate(demo.searched):
        shown = np.flatnonzero(raw[number, 1])
        item_ids = [searched.products[item].item_id for item in shown.tolist()]
        rates = counters.rates(item_ids, query=searched.query.text)
        clicks, impressions = raw[number][:, shown]
        mean = raw[:, 0].sum() / raw[:, 1].sum()
        raw_rates = (clicks + _SMOOTHING * mean) / (impressions + _SMOOTHING)
        truth = searched.mean_clicks[shown]
        corrected_by_query.append(float(spearmanr(rates, truth).statistic))
        raw_by_query.append(float(spearmanr(raw_rates, truth).statistic))
    corrected, plain = np.array(corrected_by_query), np.array(raw_by_query)
    return bootstrap(corrected), bootstrap(plain), bootstrap(corrected - plain)


def _count(
    demo: DemoSearches, counters: Counters, searches: int, rng: np.random.Generator
) -> np.ndarray:
    """Count the events of searches; return the clicks and impressions by query and item."""
    raw = np.zeros((len(demo.searched), 2, POOL))
    events: list[StoredEvent] = []
    for query in rng.choice(len(demo.asked), searches, p=demo.asked).tolist():
        searched = demo.searched[query]
        noisy = searched.scores + rng.gumbel(scale=_NOISE, size=POOL)
        shown = np.argsort(-noisy, kind="stable")[:POSITIONS]
        chances = searched.clicks[rng.integers(len(searched.clicks)), shown]
        clicked = rng.random(POSITIONS) < chances * demo.examined
        raw[query, 1, shown] += 1
        raw[query, 0, shown] += clicked
        for position, item in enumerate(shown.tolist(), start=1):
            for kind in ("impression", "click")[: 1 + int(clicked[position - 1])]:
                event = Event(
                    "",
                    _NOW * 1_000_000,
                    kind,
                    searched.products[item].item_id,
                    query=searched.query.text,
                    position=position,
                )
                events.append(StoredEvent(0, event, None))
    counters.add(events)
    return raw
