"""The features that the ranker reads are those that the exported events give afterwards."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import Float32

from behaviour.events import DAY
from rerank.recommend.features import candidate_features, feature_names
from rerank.recommend.ranker import Ranker
from rerank.recommend.recommender import groups_of
from search.engine import Engine
from search.people.weights import POPULAR
from search.recommending.learned import MICROSECONDS, Learned, public_channel
from tests.search.served import REQUESTS, Offline, Served, Shop
from tests.tiny import BY_SCORE

# Counts of the server's own events are sums of float64 in another order.
_ROUNDING = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Recorded(Ranker):
    """A ranker that keeps the features of each request."""

    features: list[np.ndarray] = field(default_factory=list)

    def scores(
        self, features: Float32[np.ndarray, "users candidates features"]
    ) -> Float32[np.ndarray, "users candidates"]:
        self.features.append(features[0])
        return super().scores(features)


@dataclass(frozen=True)
class Home:
    """The served requests, the features that the ranker read, and the exported events."""

    served: list[Served]
    features: list[np.ndarray]
    offline: Offline
    learned: Learned

    def names(self) -> tuple[str, ...]:
        models = self.learned.recommenders[False].models
        return feature_names(models.names, models.popularity.windows_days.tolist())

    def computed(self, served: Served) -> np.ndarray:
        """Compute the features of all items for a request from the exported events."""
        query, recommender = self.offline.query(served), self.learned.recommenders[False]
        assert query.history is not None
        assert served.person.now is not None
        channel = self.offline.snapshot.channels.personal[POPULAR]
        histories, blend = self.learned.interactions(query.history), recommender.stages.blend
        windows = [public_channel(name) == POPULAR for name in blend.channels]
        weight = max(float(blend.weights[groups_of(histories)[0]][windows].sum()), 0.0)
        candidates = recommender.candidates(
            histories,
            served.person.now // MICROSECONDS,
            depth=len(self.learned.row_of),
            bonus=self.learned.by_number(channel.shares_here(query)) * np.float32(weight),
        )
        return candidate_features(candidates)[0]

    def differing(self, change: Callable[[Served], Served] = lambda one: one) -> set[str]:
        """Return the names of the features that differ for a request, changed in some way."""
        found = set()
        for one, features in zip(self.served, self.features, strict=True):
            same = np.isclose(
                in_order(features),
                in_order(self.computed(change(one))),
                rtol=4 * _ROUNDING,
                atol=_ROUNDING,
                equal_nan=True,
            )
            found |= {
                name
                for name, equal in zip(self.names(), same.all(axis=0), strict=True)
                if not equal
            }
        return found


def in_order(features: np.ndarray) -> np.ndarray:
    """Return the candidates in an order that does not depend on their scores in recall."""
    return features[np.lexsort(np.round(np.nan_to_num(features), 4).T)]


@pytest.fixture(scope="module")
def home(learned_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    engine = Engine.load(learned_bundle, BY_SCORE)
    learned = engine.snapshot.learned
    assert learned is not None
    recommenders, features = learned.recommenders, list[np.ndarray]()
    assert isinstance(recommenders, dict)
    for kind, recommender in recommenders.items():
        ranker = next(ranker for ranker in recommender.stages.rankers if ranker is not None)
        recorded = Recorded(ranker.config, ranker.network, features)
        stages = replace(recommender.stages, rankers=(recorded,) * len(recommender.stages.rankers))
        recommenders[kind] = replace(recommender, stages=stages)
    shop = Shop(engine, tmp_path_factory.mktemp("home"), [""])
    events = shop.exported()
    return Home(shop.served, features, Offline(engine, events), learned)


def test_the_features_of_served_requests_are_those_of_the_exported_events(home):
    assert len(home.served) == len(home.features) == REQUESTS
    assert home.differing() == set()


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda one: replace(one, recorded=one.recorded + 20), {"also_bought", "own_count"}),
        (
            lambda one: replace(one, person=replace(one.person, now=one.person.now + 9 * DAY)),
            {"days_since_own", "days_since_last_sold", "repeat_recent", "recall"},
        ),
    ],
)
def test_features_of_another_moment_are_other_features(home, change, names):
    """The test above would see features that read later events, or have another time."""
    some = replace(home, served=home.served[-100:], features=home.features[-100:])
    assert names <= some.differing(change)
