"""Builders of rules: `rules(pins={"ch-65": 1}, boosts=[(equals("brand", "Voltix"), 0.5)])`.

The functions return messages of the contract and validate nothing. The server validates rules and
names the position of a problem.
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
    promotions: Iterable[rules_pb2.Promotion] = (),
    promoted_share: float = 0.0,
) -> rules_pb2.Rules:
    """Return the rules of a search.

    Args:
        exclude: Ids of items to exclude, or a filter for items to exclude.
        boosts: Pairs of a filter and a number to add to the score of items that pass; a negative
            number demotes.
        diversity: From 0 (order by score alone) to 1 (order by difference alone).
        caps: The maximum number of results with the same value, by field; or `Cap` messages, such
            as those from `category_cap`.
        pins: The position in the list, counted from 1, by item id.
        promotions: Items that are shown higher for money, as `Promotion` messages.
        promoted_share: The largest share of positions that promotions have; 0 means 0.2.
    """
    return rules_pb2.Rules(
        excluded=exclude if isinstance(exclude, filter_pb2.Filter) else None,
        excluded_item_ids=() if isinstance(exclude, filter_pb2.Filter) else exclude,
        boosts=[rules_pb2.Boost(filter=filter, strength=strength) for filter, strength in boosts],
        diversity=diversity,
        caps=[rules_pb2.Cap(field=field, max_results=most) for field, most in caps.items()]
        if isinstance(caps, Mapping)
        else caps,
        pins=[
            rules_pb2.Pin(item_id=item_id, position=position)
            for item_id, position in (pins or {}).items()
        ],
        promotions=promotions,
        promoted_share=promoted_share,
    )


def category_cap(most: int, *, level: int) -> rules_pb2.Cap:
    """Return a cap of `most` results that share the first `level` levels of their category."""
    return rules_pb2.Cap(field="category", max_results=most, category_level=level)
