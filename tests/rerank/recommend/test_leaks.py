"""No feature reads its own outcome: a planted feature that does so is found.

The features of each outcome are computed twice as of the moment before it: from all events, and
from the events before the outcome alone. A feature that differs has read the outcome or the future.
"""

import random
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pytest

from behaviour.counters import Counters
from behaviour.events import Event
from behaviour.interactions import Interactions
from behaviour.models.popularity import Popularity
from behaviour.recall.models import RecallConfig, RecallModels
from catalog.schema import EVENTS
from rerank.recommend.features import Candidates, candidate_features, feature_names
from tests.behaviour.examples import stored

ITEMS = [f"item{n}" for n in range(5)]
DAY = 86_400  # seconds
START = 1_700_000_000
PRICES = np.array([1, 2, 4, 8, np.nan], np.float32)

Features = Mapping[str, np.ndarray]  # the values of all items by the name of the feature
Build = Callable[[Sequence[Event], Event], Features]


def shop(seed: int) -> list[Event]:
    """Return searches of a few users: what was shown, clicked and bought; in order of time."""
    chance = random.Random(seed)
    events: list[Event] = []
    for visit in range(40):
        second = START + visit * DAY // 3
        who = {"user_id": f"user{chance.randrange(5)}", "session_id": f"visit{visit}"}
        shown = {"query": f"query {chance.randrange(2)}", **who}
        for position, item in enumerate(chance.sample(ITEMS, 3), start=1):
            # The purchases of one basket have the same time.
            for wait, kind, share in (
                (0, "impression", 1),
                (9, "click", 0.6),
                (60, "purchase", 0.4),
            ):
                if chance.random() < share:
                    at = {"position": position} if kind != "purchase" else {}
                    time = (second + wait) * 1_000_000
                    name = f"{visit}-{item}-{kind}"
                    events.append(Event(name, time, kind, item, **shown, **at))
    return sorted(events, key=lambda event: event.time)


def purchases(events: Sequence[Event]) -> Interactions:
    rows = {name: [getattr(event, name) for event in events] for name in EVENTS.names}
    rows["context"] = [None for _ in events]
    return Interactions.of_events(pa.table(rows, EVENTS.arrow), ITEMS).of_types("purchase")


def ranking_features(events: Sequence[Event], outcome: Event, late: int = 0) -> Features:
    """Return the features of the ranker of recommendations.

    Args:
        events: The events of the shop, from which a feature may only read those before the outcome.
        outcome: The event whose item is to be predicted.
        late: Seconds after the outcome at which the items are counted; above 0 plants a leak.
    """
    now, bought = outcome.time // 1_000_000, purchases(events)
    past = bought.before(now)
    users = [n for n, user_id in enumerate(past.user_ids) if user_id == outcome.user_id]
    histories = past.of_users(np.array(users or [0], np.int64))
    if not users:
        histories = histories.before(0)
    models = RecallModels.fit(bought, now, RecallConfig())
    scores = models.scores(histories, now).transpose(1, 2, 0)
    counted = Popularity.fit(bought, now + late, 14.0)
    rows = np.arange(len(ITEMS), dtype=np.int32)[None]
    matrix = candidate_features(
        Candidates(histories, now, rows, scores, scores.sum(axis=2), counted, PRICES)
    )
    names = feature_names(models.names, counted.windows_days.tolist())
    return dict(zip(names, matrix[0].T, strict=True))


def counter_features(events: Sequence[Event], outcome: Event, late: int = 0) -> Features:
    """Return rates of items and of queries with items, as the counters of a server have them."""
    now = outcome.time + late
    counters = Counters(clock=lambda: outcome.time / 1e6)
    before = [event for event in events if event.time < now]
    for event in stored(before):  # a server counts one call after the other
        counters.add([event])
    counters.refresh()
    features = {}
    for kind in ("click", "purchase"):
        features[f"item_{kind}_rate"] = counters.rates(ITEMS, kind)
        features[f"query_item_{kind}_rate"] = counters.rates(ITEMS, kind, outcome.query)
    return features


def leaks(build: Build, events: Sequence[Event]) -> set[str]:
    """Return the names of the features that differ without the outcome and the later events."""
    found = set()
    outcomes = [event for event in events if event.type in ("click", "purchase")]
    for outcome in outcomes[len(outcomes) // 2 :: 3]:
        before = [event for event in events if event.time < outcome.time]
        of_all, of_past = build(events, outcome), build(before, outcome)
        assert of_all.keys() == of_past.keys()
        found |= {n for n in of_all if not np.array_equal(of_all[n], of_past[n], equal_nan=True)}
    return found


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("build", [ranking_features, counter_features])
def test_no_feature_reads_its_outcome_or_later_events(build: Build, seed: int):
    assert leaks(build, shop(seed)) == set()


@pytest.mark.parametrize(
    ("build", "leaking"),
    [
        (ranking_features, {"sold_3_days", "sold_365_days", "days_since_last_sold", "trend"}),
        (
            counter_features,
            {"item_click_rate", "query_item_click_rate", "item_purchase_rate"},
        ),
    ],
)
def test_a_planted_feature_with_the_count_of_its_own_outcome_is_found(build, leaking: set[str]):
    def planted(events: Sequence[Event], outcome: Event) -> Features:
        return build(events, outcome, late=1)

    found = leaks(planted, shop(0))
    assert leaking <= found
    assert not {"price", "own_count", "also_bought", "recall"} & found
