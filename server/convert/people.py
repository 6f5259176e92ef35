"""Convert people, contexts, reasons and signals between the contract and the engine."""

from collections.abc import Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from base.errors import check_count
from behaviour.histories import PastEvent
from catalog.events import EVENT_TYPES
from search.people.person import MAX_HISTORY, PRESENT, Person
from search.people.reasons import Reason, ReasonKind, Signal
from server.convert.dates import microseconds
from shortlist.v1 import context_pb2, event_pb2

_NUMBERS = {name: event_pb2.EventType.Value(f"EVENT_TYPE_{name.upper()}") for name in EVENT_TYPES}
_NAMES = {number: name for name, number in _NUMBERS.items()}
_KINDS = {
    ReasonKind.BOUGHT_TOGETHER: context_pb2.REASON_KIND_BOUGHT_TOGETHER,
    ReasonKind.SIMILAR: context_pb2.REASON_KIND_SIMILAR,
    ReasonKind.REPEAT: context_pb2.REASON_KIND_REPEAT,
    ReasonKind.POPULAR: context_pb2.REASON_KIND_POPULAR,
    ReasonKind.NEXT: context_pb2.REASON_KIND_NEXT,
}
_SIGNALS = {
    Signal.HISTORY: context_pb2.SIGNAL_HISTORY,
    Signal.ITEMS: context_pb2.SIGNAL_ITEMS,
    Signal.BOUGHT_TOGETHER: context_pb2.SIGNAL_BOUGHT_TOGETHER,
    Signal.POPULARITY: context_pb2.SIGNAL_POPULARITY,
    Signal.CONTEXT: context_pb2.SIGNAL_CONTEXT,
}


def person_record(message: context_pb2.Person) -> Person:
    """Convert a person; raise RequestError for a time that does not exist."""
    check_count(len(message.history), "person.history", None, MAX_HISTORY)
    return Person(
        message.user_id,
        message.session_id,
        tuple(
            PastEvent(
                _time(event, f"person.history[{index}].time"),
                index,
                _NAMES.get(event.type, ""),
                event.item_id,
            )
            for index, event in enumerate(message.history)
        ),
    )


def context_record(message: context_pb2.Context) -> dict[str, str]:
    """Convert a context, with its attributes in a fixed order."""
    return dict(sorted(message.attributes.items()))


def event_message(event: PastEvent) -> context_pb2.PastEvent:
    """Convert an event of a history."""
    time = Timestamp()
    time.FromMicroseconds(event.time)
    return context_pb2.PastEvent(item_id=event.item_id, type=_NUMBERS[event.type], time=time)


def reason_messages(reasons: Sequence[Reason]) -> list[context_pb2.Reason]:
    """Convert the reasons of a recommended item."""
    return [
        context_pb2.Reason(
            kind=_KINDS[reason.kind],
            share=reason.share,
            causes=[
                context_pb2.Cause(
                    item_id=cause.item_id,
                    title=cause.title,
                    event_type=_NUMBERS.get(cause.event_type, event_pb2.EVENT_TYPE_UNSPECIFIED),
                )
                for cause in reason.causes
            ],
        )
        for reason in reasons
    ]


def signal_numbers(signals: Sequence[Signal]) -> list["context_pb2.Signal.ValueType"]:
    """Convert signals."""
    return [_SIGNALS[signal] for signal in signals]


def _time(event: context_pb2.PastEvent, path: str) -> int:
    return microseconds(event.time, path) if event.HasField("time") else PRESENT
