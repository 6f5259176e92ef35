"""The profile of a person: what the server believes, and from which events."""

from functools import partial

from behaviour.profile import ItemFacts, profile_of
from catalog.catalogue import Catalogue
from search.people.live import LivePeople, events_of
from search.request import ProfileRequest
from search.result import PersonProfile
from search.runtime.stage_timer import StageTimer
from search.snapshot import Snapshot


def profile(
    snapshot: Snapshot,
    request: ProfileRequest,
    people: LivePeople | None,
    now: int,
    timer: StageTimer,
) -> PersonProfile:
    """Return what the events of a person say.

    Args:
        snapshot: The items.
        request: The request.
        people: The events that the server has recorded; None: only those of the request.
        now: The time of the request, in microseconds since 1970.
        timer: The timer of the request.
    """
    with timer.stage("history") as stage:
        events = sorted(events_of(request.person, people, now), key=lambda event: event.time)
        stage.candidates = len(events)
        believed = profile_of(events, partial(_facts, snapshot.catalogue), now)
    return PersonProfile(believed, timer.reports)


def _facts(catalogue: Catalogue, item_id: str) -> ItemFacts | None:
    row = catalogue.row(item_id)
    if row < 0:
        return None
    item = catalogue.item(row)
    return ItemFacts(item.brand, item.category, item.price)
