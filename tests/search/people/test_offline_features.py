"""The scores of served requests are equal to those that the exported events give afterwards."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from behaviour.events import DAY
from search.engine import Engine
from tests.search.served import REQUESTS, Offline, Served, Shop
from tests.tiny import BY_SCORE

pytestmark = pytest.mark.slow

# A channel multiplies vectors in another order when it searches than when it scores some items, and
# then divides the small differences of cosines by their usual spread.
_ROUNDING = 1e-5


@pytest.fixture(scope="module")
def shop(people_bundle: Path, tmp_path_factory: pytest.TempPathFactory):
    engine = Engine.load(people_bundle, replace(BY_SCORE, channel_weights="history=0.1"))
    shop = Shop(engine, tmp_path_factory.mktemp("shop"), ["", "", "", "usb c charger"])
    events = shop.exported()
    return shop, Offline(engine, events)


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
