"""Short ways to write rules: `rules(pins={"ch-65": 1}, boosts=[(equals("brand", "Voltix"), 0.5)])`.

They build the contract's own messages and check nothing; the server does, and names the place.
"""

from collections.abc import Iterable, Mapping

from shortlist.v1 import filter_pb2, rules_pb2


def rules(
    *,
    exclude: Iterable[str] | filter_pb2.Filter = (),
    boosts: Iterable[tuple[filter_pb2.Filter, float]] = (),
    diversity: float = 0.0,
    caps: Mapping[str, int] | Iterable[rules_pb2.Cap] = (),
    pins: Mapping[str, int] | None = None,
) -> rules_pb2.Rules:
    """What a search changes.

    Args:
        exclude: Ids of items that never appear, or a filter that these pass.
        boosts: Filters, and what is added to the score of items that pass; below 0 it demotes.
        diversity: From 0, by score alone, to 1, by difference alone.
        caps: By field, the most results with the same value; or `category_cap`s and others.
        pins: By id of an item, its place in the list, counted from 1.
    """
    return rules_pb2.Rules(
        excluded=exclude if isinstance(exclude, filter_pb2.Filter) else None,
        excluded_item_ids=() if isinstance(exclude, filter_pb2.Filter) else exclude,
        boosts=[rules_pb2.Boost(filter=passed, strength=by) for passed, by in boosts],
        diversity=diversity,
        caps=[rules_pb2.Cap(field=field, max_results=most) for field, most in caps.items()]
        if isinstance(caps, Mapping)
        else caps,
        pins=[rules_pb2.Pin(item_id=i, position=at) for i, at in (pins or {}).items()],
    )


def category_cap(most: int, *, level: int) -> rules_pb2.Cap:
    """At most so many results whose categories are alike in the first so many levels."""
    return rules_pb2.Cap(field="category", max_results=most, category_level=level)
