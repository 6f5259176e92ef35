"""People, contexts and reasons between the contract and the engine."""

from google.protobuf.timestamp_pb2 import Timestamp

from behaviour.histories import PastEvent
from catalog.events import EVENT_TYPES
from search.people.person import PRESENT, Person
from search.people.reasons import Cause, Reason, ReasonKind, Signal
from search.request import SearchRequest
from server.convert import people
from server.convert.search import search_request
from shortlist.v1 import context_pb2, event_pb2, search_service_pb2
from tests.server.convert.examples import refused_field
from tests.server.convert.manifests import manifest


def test_a_person_has_the_events_of_the_message():
    time = Timestamp(seconds=1_700_000_000, nanos=5_000)
    message = context_pb2.Person(
        user_id="u",
        session_id="s",
        history=[
            context_pb2.PastEvent(item_id="a", type=event_pb2.EVENT_TYPE_PURCHASE, time=time),
            context_pb2.PastEvent(item_id="b", type=event_pb2.EVENT_TYPE_REMOVE_FROM_CART),
        ],
    )
    person = people.person_record(message)
    assert (person.user_id, person.session_id) == ("u", "s")
    first, second = person.history
    assert (first.item_id, first.type, first.time) == ("a", "purchase", 1_700_000_000_000_005)
    assert (second.item_id, second.type, second.time) == ("b", "remove_from_cart", PRESENT)
    assert people.event_message(first) == message.history[0]


def test_a_time_that_does_not_exist_is_refused():
    event = context_pb2.PastEvent(item_id="a", type=event_pb2.EVENT_TYPE_VIEW)
    event.time.nanos = -1
    message = context_pb2.Person(history=[event])
    assert refused_field(people.person_record, message) == "person.history[0].time"


def test_every_type_kind_and_signal_has_a_number():
    for name in EVENT_TYPES:
        past = PastEvent(1, 0, name, "a")
        assert people.event_message(past).type != event_pb2.EVENT_TYPE_UNSPECIFIED
    reasons = [Reason(kind, 0.5, (Cause("a", "A", ""),)) for kind in ReasonKind]
    kinds = {message.kind for message in people.reason_messages(reasons)}
    assert kinds == set(context_pb2.ReasonKind.values()) - {0}
    assert set(people.signal_numbers(list(Signal))) == set(context_pb2.Signal.values()) - {0}


def test_a_search_has_its_person_and_context():
    message = search_service_pb2.SearchRequest(
        query="q",
        person=context_pb2.Person(user_id="u"),
        context=context_pb2.Context(attributes={"b": "2", "a": "1"}),
    )
    request = search_request(message, manifest(), None)
    assert request.person == Person("u")
    assert list(request.context.items()) == [("a", "1"), ("b", "2")]
    assert SearchRequest("q").identity != request.identity
    plain = search_request(search_service_pb2.SearchRequest(query="q"), manifest(), None)
    assert plain.person is None
