"""Whether counters that are corrected for positions order items nearer to the truth than raw ones.

Each query is shown in the order of the shop with noise, so its popular items stand at the top of
most lists and get most clicks. The true order is that of the true probabilities of clicks.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from behaviour.counters import Counters
from behaviour.events import Event
from behaviour.log.format import StoredEvent
from bench.quality.exploration.shop import POOL, POSITIONS, DemoSearches
from demo.judgments import text_grades
from train.evaluation.metrics import Interval, bootstrap

_NOW = 1_700_000_000  # seconds since 1970
_SMOOTHING = 20.0  # number of impressions that count as much as the mean rate
_FEWEST = 100  # smallest number of impressions of an item that is compared
_NOISE = 0.7  # scale of the Gumbel noise of the shop's order


@dataclass(frozen=True)
class WrongPairs:
    """The share of pairs of items in the wrong order, over the queries."""

    corrected: Interval  # by rates that are corrected for positions
    raw: Interval  # by clicks per impression
    difference: Interval  # corrected - raw, paired by query


def wrong_pairs(demo: DemoSearches, *, searches: int, seed: int) -> dict[str, WrongPairs]:
    """Return how both rates order all pairs of items, and those that fit the query equally well.

    For items that fit equally well, the order of the shop says nothing about the truth. Items with
    fewer than 100 impressions are left out.
    """
    counters = Counters(clock=lambda: float(_NOW))
    raw = _count(demo, counters, searches, np.random.default_rng(seed))
    counters.refresh()
    shares: dict[str, list[tuple[float, float]]] = {"all pairs": [], "pairs of equal fit": []}
    for counted, searched in zip(raw, demo.searched, strict=True):
        shown = np.flatnonzero(counted[1] >= _FEWEST)
        item_ids = [searched.products[item].item_id for item in shown.tolist()]
        corrected = counters.rates(item_ids, query=searched.query.text, smoothing=_SMOOTHING)
        plain = counted[0, shown] / counted[1, shown]
        truth = searched.mean_clicks[shown]
        fits = text_grades(searched.query.intent, searched.products)[shown]
        better = truth[:, np.newaxis] > truth + 1e-9
        for name, pairs in (
            ("all pairs", better),
            ("pairs of equal fit", better & (fits[:, np.newaxis] == fits)),
        ):
            if pairs.any():
                shares[name].append((_wrong(corrected, pairs), _wrong(plain, pairs)))
    found = {name: np.array(values) for name, values in shares.items()}
    return {
        name: WrongPairs(
            bootstrap(values[:, 0]),
            bootstrap(values[:, 1]),
            bootstrap(values[:, 0] - values[:, 1]),
        )
        for name, values in found.items()
    }


def _wrong(rates: Float64[np.ndarray, " items"], pairs: Bool[np.ndarray, "items items"]) -> float:
    """Return the share of pairs of a better and a worse item whose rates say otherwise."""
    return float(np.mean((rates[:, np.newaxis] <= rates)[pairs]))


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
