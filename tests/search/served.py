"""Shoppers who browse, log in and buy on an engine that records what they do.

What the engine knew at each request is computed again from the exported events alone: from the
events before the request. This code shares nothing with the counters and histories of a server.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

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
from train.data.event_files import export_events

REQUESTS = 1_000
# Events of a history, and purchases and returns; fewer than the most active shoppers have.
HISTORY, PURCHASES = 12, 6
HALF_LIFE = 5.0  # days
START = 1_709_000_000.0  # seconds since 1970
# How much the events of each type count in the popularity of items, and its smoothing.
POPULARITY = {"purchase": 1.0, "add_to_cart": 0.5, "click": 0.1, "view": 0.1}
SMOOTHING = 20.0
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

    def __init__(self, engine: Engine, state: Path, queries: Sequence[str]) -> None:
        """Open the shop; a shopper asks one of the queries, "" for recommendations."""
        self.engine, self.state, self.queries = engine, state, queries
        self.clock = Clock(START)
        config = replace(CONFIG, counters=replace(CONFIG.counters, half_life_days=HALF_LIFE))
        self.feedback = Feedback(EventLog.open(state), config, self.clock)
        self.people = LivePeople(self.feedback)
        self.served: list[Served] = []
        self.chance = random.Random(5)
        self.items = [*self.engine.store.ids[:20], "unknown item"]

    def exported(self) -> Path:
        """Serve all requests, close the shop, and return the exported events."""
        while len(self.served) < REQUESTS:
            self._visit(len(self.served))
        self.feedback.close()
        events = self.state / "events.parquet"
        export_events(self.state, events)
        return events

    def _visit(self, number: int) -> None:
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
        query = self.chance.choice(self.queries)
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
    """Computes what an engine knew at a request from the exported events."""

    def __init__(self, engine: Engine, events: Path) -> None:
        self.snapshot = engine.snapshot
        self.rows = pq.read_table(events).to_pylist()
        for row in self.rows:
            row["time"] = round(row["time"].timestamp() * 1e6)

    def query(self, served: Served) -> Query:
        """Return the query that the channels had to answer."""
        catalogue, channels = self.snapshot.catalogue, self.snapshot.channels
        assert served.person.now is not None
        known = list(enumerate(self.rows[: served.recorded], start=1))
        history = History.of(self._history(served.person, known), catalogue, served.person.now)
        return Query(
            served.query,
            np.zeros(channels.dense.vectors(np.zeros(1, np.int32)).shape[1], np.float32),
            history=history,
            context=served.context,
            trends=None if served.query else self._trends(served.person.now, known),
        )

    def scores(self, served: Served) -> dict[str, dict[str, float]]:
        """Return the scores of the personal channels for the results of a request."""
        catalogue, channels = self.snapshot.catalogue, self.snapshot.channels
        query = self.query(served)
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
