"""The features of served requests are equal to those that the exported events give afterwards.

Shoppers browse, log in and buy on an engine that records what they do. Each answer has the scores
of the channels as of its request. Afterwards, the events are exported, and the scores are computed
again from the table alone: from the events before each request.
"""

import random
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from behaviour.config import FeedbackConfig
from behaviour.events import DAY, Event
from behaviour.feedback import Feedback
from behaviour.histories import PastEvent
from behaviour.log.event_log import EventLog
from search.channels.base import Query
from search.engine import Engine
from search.people.history import History
from search.people.live import LivePeople, Trends
from search.people.person import Person, Recommending, Surface
from search.request import SearchRequest
from tests.timing import Clock
from tests.tiny import BY_SCORE
from train.data.event_files import export_events

REQUESTS = 1_000
# Events of a history, and purchases and returns; fewer than the most active shoppers have.
HISTORY, PURCHASES = 12, 6
HALF_LIFE = 5.0  # days
START = 1_709_000_000.0  # seconds since 1970
# How much the events of each type count in the popularity of items, and its smoothing.
POPULARITY = {"purchase": 1.0, "add_to_cart": 0.5, "click": 0.1, "view": 0.1}
SMOOTHING = 20.0
# A channel multiplies vectors in another order when it searches than when it scores some items, and
# then divides the small differences of cosines by their usual spread.
_ROUNDING = 1e-5
CONFIG = FeedbackConfig(gather_seconds=0.0, history_events=HISTORY, history_purchases=PURCHASES)


@dataclass(frozen=True)
class Served:
    """One answered request, with the scores of its results in the channels."""

    person: Person
    recorded: int  # number of events that the log had
    query: str  # "": a recommendation
    context: dict[str, str]
    scores: dict[str, dict[str, float]]  # item id -> channel -> score


class Shop:
    """An engine that serves shoppers, and what it served."""

    def __init__(self, bundle: Path, state: Path) -> None:
        self.engine = Engine.load(bundle, replace(BY_SCORE, channel_weights="history=0.1"))
        self.clock = Clock(START)
        config = replace(CONFIG, counters=replace(CONFIG.counters, half_life_days=HALF_LIFE))
        self.feedback = Feedback(EventLog.open(state), config, self.clock)
        self.people = LivePeople(self.feedback)
        self.served: list[Served] = []
        self.chance = random.Random(5)
        self.items = [*self.engine.store.ids[:20], "unknown item"]

    def visit(self, number: int) -> None:
        """Let a shopper browse without a name, log in, and go on."""
        user, session = f"user{self.chance.randrange(12)}", f"visit{number}"
        for _ in range(2):
            self._record(session_id=session)
            self._serve(session_id=session)
        self.feedback.join_session(session, user).result()
        for _ in range(3):
            self._record(user_id=user, session_id=session)
            self._serve(user_id=user, session_id=self.chance.choice([session, ""]))

    def _record(self, **who: str) -> None:
        now = self.clock.seconds * 1e6
        events = []
        for number in range(self.chance.randrange(4)):
            late = self.chance.choice([0, 0, 0, 3 * DAY])  # some events come late
            kinds = ["impression", "view", "click", "add_to_cart", "purchase", "return"]
            name = f"{self.clock.seconds}-{number}"
            kind, item = self.chance.choice(kinds), self.chance.choice(self.items)
            events.append(Event(name, int(now - late), kind, item, **who))
        if events:
            future = self.feedback.record(events)
            assert future is not None
            future.result()
        self.clock.advance(self.chance.choice([2.0, 600.0, 86_400.0]))

    def _serve(self, user_id: str = "", session_id: str = "") -> None:
        person = Person(user_id, session_id, now=int(self.clock.seconds * 1e6))
        query = self.chance.choice(["", "", "", "usb c charger"])
        home = None if query else Recommending(Surface.HOME)
        context = self.chance.choice([{}, {"country": "France"}])
        request = SearchRequest(
            query, recommending=home, person=person, context=context, page_size=20
        )
        self.feedback.counters.recount()  # a server does so each second
        result = self.engine.search(request, people=self.people)
        scores = {hit.item_id: dict(hit.channel_scores) for hit in result.hits}
        recorded = self.feedback.sequence
        self.served.append(Served(person, recorded, query, dict(context), scores))


class Offline:
    """Computes the scores of the channels from the exported events."""

    def __init__(self, engine: Engine, events: Path) -> None:
        self.snapshot = engine.snapshot
        self.rows = pq.read_table(events).to_pylist()
        for row in self.rows:
            row["time"] = round(row["time"].timestamp() * 1e6)

    def scores(self, served: Served) -> dict[str, dict[str, float]]:
        """Return the scores of the personal channels for the results of a request."""
        catalogue, channels = self.snapshot.catalogue, self.snapshot.channels
        assert served.person.now is not None
        known = list(enumerate(self.rows[: served.recorded], start=1))
        history = History.of(self._history(served.person, known), catalogue, served.person.now)
        query = Query(
            served.query,
            np.zeros(channels.dense.vectors(np.zeros(1, np.int32)).shape[1], np.float32),
            history=history,
            context=served.context,
            trends=None if served.query else self._trends(served.person.now, known),
        )
        ids = list(served.scores)
        rows = catalogue.rows(ids)
        values = {name: of.scores(query, rows) for name, of in channels.personal.items()}
        return {
            item_id: {name: float(of[place]) for name, of in values.items()}
            for place, item_id in enumerate(ids)
        }

    def _history(self, person: Person, known) -> list[PastEvent]:
        """Return the last events of the user and of the session."""

        def of(row) -> bool:
            in_session = row["session_id"] == person.session_id
            return in_session or (bool(person.user_id) and row["user_id"] == person.user_id)

        past = sorted(
            PastEvent(row["time"], number, row["type"], row["item_id"])
            for number, row in known
            if of(row) and row["type"] != "impression"
        )
        bought = [event for event in past if event.type in ("purchase", "return")]
        others = [event for event in past if event.type not in ("purchase", "return")]
        return sorted(bought[-PURCHASES:] + others[-HISTORY:])

    def _trends(self, now: int, known) -> Trends:
        """Return the decayed counts of all items, as shares of the most popular item."""
        counts: dict[str, float] = {}
        for _, row in known:
            weight = POPULARITY.get(row["type"], 0.0)
            decay = 2.0 ** ((row["time"] - now) / (HALF_LIFE * DAY))
            counts[row["item_id"]] = counts.get(row["item_id"], 0.0) + weight * decay
        counts = {item_id: count for item_id, count in counts.items() if count > 0}
        rows = self.snapshot.catalogue.rows(list(counts))
        most = max(counts.values(), default=0.0)
        shares = np.array(list(counts.values()), np.float32) / np.float32(most + SMOOTHING)
        return Trends(rows[rows >= 0], shares[rows >= 0])


@pytest.fixture(scope="module")
def shop(people_bundle: Path, tmp_path_factory: pytest.TempPathFactory):
    state = tmp_path_factory.mktemp("shop")
    shop = Shop(people_bundle, state)
    while len(shop.served) < REQUESTS:
        shop.visit(len(shop.served))
    shop.feedback.close()
    export_events(state, state / "events.parquet")
    return shop, Offline(shop.engine, state / "events.parquet")


def differing(served: Served, offline: dict[str, dict[str, float]]) -> set[str]:
    """Return the channels of which a served score is not the offline score."""
    return {
        name
        for item_id, of_item in offline.items()
        for name, score in of_item.items()
        if not np.isclose(served.scores[item_id].get(name, np.nan), score, atol=_ROUNDING)
        and name in served.scores[item_id]
    }


def test_the_features_of_served_requests_are_those_of_the_exported_events(shop):
    served, offline = shop[0].served, shop[1]
    assert len(served) == REQUESTS
    compared = {name for one in served for of in one.scores.values() for name in of}
    assert {"history", "also_bought", "repeat", "popular"} <= compared
    for number, one in enumerate(served):
        assert differing(one, offline.scores(one)) == set(), f"request {number}: {one.person}"


@pytest.mark.parametrize(
    ("change", "channels"),
    [
        (lambda one: replace(one, recorded=one.recorded + 20), {"history", "repeat", "popular"}),
        (
            lambda one: replace(one, person=replace(one.person, now=one.person.now + 9 * DAY)),
            {"popular"},
        ),
    ],
)
def test_features_of_another_moment_are_other_features(shop, change, channels):
    """The test above would see features that read later events, or have another time."""
    served, offline = shop[0].served[:500], shop[1]
    found = set[str]().union(*(differing(one, offline.scores(change(one))) for one in served))
    assert channels <= found
