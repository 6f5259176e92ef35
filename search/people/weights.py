"""Weights of the channels of recommendations, by surface and by what is known of the person.

The home page uses the weights that the bundle's recommender has learned. These weights are for the
other surfaces, and for bundles whose events are too few to learn from.
"""

from collections.abc import Mapping

from search.people.person import Surface

ALSO_BOUGHT = "also_bought"
HISTORY = "history"
POPULAR = "popular"
REPEAT = "repeat"
USER_TOWER = "user_tower"

# The weights for a person with a long history. The scores of a channel are 1 at most.
_KNOWN: Mapping[Surface, Mapping[str, float]] = {
    Surface.HOME: {ALSO_BOUGHT: 1.0, HISTORY: 0.3, REPEAT: 1.0, POPULAR: 0.2},
    Surface.PRODUCT: {ALSO_BOUGHT: 1.0, HISTORY: 1.0, POPULAR: 0.05},
    Surface.BASKET: {ALSO_BOUGHT: 1.0, HISTORY: 0.2, REPEAT: 0.2, POPULAR: 0.05},
    Surface.SIMILAR: {HISTORY: 1.0},
    Surface.COMPLEMENTARY: {ALSO_BOUGHT: 1.0},
}
# What a bundle with a user tower changes, chosen on Online Retail.
_WITH_USER_TOWER: Mapping[Surface, Mapping[str, float]] = {
    Surface.HOME: {USER_TOWER: 2.0, REPEAT: 2.0},
}
# The weight of popularity for an unknown person. It falls with each item that the person has shown
# an interest in.
_UNKNOWN_POPULAR = 1.0


def channel_weights(
    surface: Surface, interests: int, *, has_user_tower: bool = False
) -> dict[str, float]:
    """Return the weight of each channel that takes part.

    Args:
        surface: Where the recommendations are shown.
        interests: Number of items that the person has shown an interest in, and of items of the
            request.
        has_user_tower: Whether the bundle has a user tower.
    """
    weights = dict(_KNOWN[surface])
    if has_user_tower:
        weights |= _WITH_USER_TOWER.get(surface, {})
    if POPULAR in weights:
        weights[POPULAR] = max(weights[POPULAR], _UNKNOWN_POPULAR / (1 + interests))
    return weights
