"""The profile of a person: what the server believes, and from which events."""

from behaviour.profile import ItemFacts, profile_of
from search.people.history import History
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
    """Return what the events of a person say, with the weights that recommendations use.

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
        catalogue = snapshot.catalogue
        interests = History.of(events, catalogue, now).interests
        items = map(catalogue.item, interests.rows.tolist())
        facts = [ItemFacts(item.brand, item.category, item.price) for item in items]
        weights = interests.weights.tolist()
        believed = profile_of(events, list(zip(facts, weights, strict=True)))
    return PersonProfile(believed, timer.reports)
