"""Convert between GetProfile's messages and the engine's records."""

from collections.abc import Mapping
from itertools import islice

from search.request import ProfileRequest
from search.result import PersonProfile
from server.convert.common import COMPLETE, stage_messages
from server.convert.people import event_message, person_record
from shortlist.v1 import recommend_service_pb2

_MOST_PREFERENCES = 10  # of brands, and of categories
_MOST_EVENTS = 100


def profile_request(message: recommend_service_pb2.GetProfileRequest) -> ProfileRequest:
    """Convert a message to an engine request; raise RequestError if a field is invalid."""
    return ProfileRequest(person_record(message.person))


def profile_response(
    profile: PersonProfile, bundle_id: str, *, opted_out: bool
) -> recommend_service_pb2.GetProfileResponse:
    """Convert a profile to a response."""
    believed = profile.believed
    newest = [event_message(event) for event in believed.events[-_MOST_EVENTS:]][::-1]
    band = None
    if believed.price_band is not None:
        low, high = believed.price_band
        band = recommend_service_pb2.PriceBand(low=low, high=high)
    return recommend_service_pb2.GetProfileResponse(
        brands=_preferences(believed.brands),
        categories=_preferences(believed.categories),
        price_band=band,
        last_event_time=newest[0].time if newest else None,
        events=newest,
        event_count=len(believed.events),
        opted_out=opted_out,
        bundle_id=bundle_id,
        stages=stage_messages(profile.stages),
        coverage=COMPLETE,
    )


def _preferences(shares: Mapping[str, float]) -> list[recommend_service_pb2.Preference]:
    return [
        recommend_service_pb2.Preference(value=value, share=share)
        for value, share in islice(shares.items(), _MOST_PREFERENCES)
    ]
