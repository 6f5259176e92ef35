"""Rules: how a merchandiser changes what a search would answer by itself.

They work in one order, each on what the one before has left:

1. Exclusions take items out before anything is recalled.
2. Recall and reranking go on as without rules.
3. Boosts (and demotions) add to the scores of the recalled candidates, which are sorted anew.
4. Diversity re-orders the head of that list (see `diversity`).
5. Caps go down the list and leave out what their value has been shown often enough for. Pinned
   items count first.
6. Pins take the places they name; what is not pinned fills the others, in its order.

Then a page is cut out.
"""

from dataclasses import dataclass
from enum import StrEnum

from catalog.filters import Filter

MAX_EXCLUDED = 1_000  # item ids
MAX_PIN = 50  # the last place there can be a pin for
MAX_BOOSTS = 20
MAX_STRENGTH = 10.0  # of a boost, in units of the final score
MAX_CAPS = 10
MAX_PER_VALUE = 100  # results that a cap leaves of one value
MAX_LEVEL = 20  # of a category


@dataclass(frozen=True)
class Boost:
    """Items that pass a filter are worth more, or less."""

    filter: Filter
    strength: float  # what is added to the final score; below 0 it demotes


@dataclass(frozen=True)
class Cap:
    """Few results with the same value, on all pages together."""

    field: str  # brand, category, group_id or `attributes.NAME`
    most: int  # results of one value; items without a value are never left out
    level: int = 0  # of a category, how many of its levels have to be alike; 0 for all


@dataclass(frozen=True)
class Pin:
    """An item at a place of the ranked list."""

    item_id: str
    position: int  # from 1


@dataclass(frozen=True)
class Rules:
    """What a request changes; without arguments, nothing."""

    excluded_ids: tuple[str, ...] = ()  # items that never appear
    excluded: Filter | None = None  # items that pass it never appear either
    boosts: tuple[Boost, ...] = ()
    diversity: float = 0.0  # from 0, by score alone, to 1, by difference alone
    caps: tuple[Cap, ...] = ()
    pins: tuple[Pin, ...] = ()


NO_RULES = Rules()


class Effect(StrEnum):
    """What a rule did to a result."""

    BOOSTED = "boosted"  # its score was raised or lowered
    DIVERSIFIED = "diversified"  # diversity moved it
    PINNED = "pinned"


@dataclass(frozen=True)
class Adjustment:
    """What one rule did to one result.

    Attributes:
        rule: Which rule, such as "boosts[2]".
        effect: What it did.
        score_change: What it added to the score; 0 but for a boost.
        from_position: The place in the list, from 1, before diversity moved it; else 0.
        to_position: The place it was moved to, by diversity or a pin; else 0.
    """

    rule: str
    effect: Effect
    score_change: float = 0.0
    from_position: int = 0
    to_position: int = 0


class PinProblem(StrEnum):
    """Why a pin shows nothing."""

    UNKNOWN_ITEM = "unknown item"
    FILTERED_OUT = "filtered out"  # it does not pass the filter of the request
    EXCLUDED = "excluded"


@dataclass(frozen=True)
class RuleReport:
    """What one rule did to the list.

    Attributes:
        rule: Which rule, such as "pins[2]".
        affected: How many items it took out (exclusions: of all that pass the filter; caps: of
            those ranked above where the next page begins), changed the score of (boosts), moved
            (diversity) or placed (pins).
        problem: Why a pin was not placed; None for all others.
    """

    rule: str
    affected: int
    problem: PinProblem | None = None
