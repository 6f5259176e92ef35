"""Rules: a merchandiser's changes to the result of one search.

They come with the request, or from the curation that has the query (see `search.curation`). If both
have rules, all apply, but for two conflicts: the diversity of the request comes first, and a pin of
the curation is left out if a pin of the request has the same item or position.

The engine takes these steps. Each step changes the result of the step before:

1. Exclusions remove items before recall.
2. Recall and reranking run as without rules.
3. Boosts (and demotions) add to the scores of the candidates. The list is then sorted again.
4. Diversity reorders the head of the list (see `search/pipeline/rule_effects/diversity.py`).
5. Items that are out of stock go behind the other items, unless the request or a setting says
   otherwise. This step runs without rules, too.
6. A cap removes an item if earlier items in the list with the same value already reach the cap's
   limit. Pinned items are counted before all other items.
7. Pins put items at fixed positions. The other items fill the remaining positions in list order.
8. Promotions move items up to the first positions of blocks (see
   `search/pipeline/rule_effects/promotions.py`).

If the request asks for an order, the list is sorted before step 3. Boosts then change scores only,
and steps 4, 5 and 8 are left out.

The page is cut from the list after these steps.
"""

from dataclasses import dataclass
from enum import StrEnum

from catalog.filters import Filter

MAX_EXCLUDED_ITEM_IDS = 1_000
MAX_PINS = 50  # largest number of pins, and largest position of a pin
MAX_BOOSTS = 20
MAX_STRENGTH = 10.0  # largest strength of a boost, in units of the final score
MAX_CAPS = 10
CAPPED_COLUMNS = ("brand", "category", "group_id")  # fields of caps, besides attributes
MAX_PROMOTIONS = 20
MAX_PROMOTED_ITEMS = 100  # of one promotion
MAX_PROMOTION_ID = 64  # characters
MAX_PROMOTED_SHARE = 0.5  # largest share of the positions that promotions can have
DEFAULT_PROMOTED_SHARE = 0.2
CHARGED = ("impression", "click")  # types of events that a promotion can pay for
MAX_BUDGET = 1e12
MAX_PER_VALUE = 100  # largest number of results per value that a cap can allow


@dataclass(frozen=True)
class Boost:
    """Raise or lower the score of items that pass a filter."""

    filter: Filter
    strength: float  # added to the final score; a negative strength demotes


@dataclass(frozen=True)
class Cap:
    """Limit the number of results with the same value, over all pages together."""

    field: str  # one of `CAPPED_COLUMNS`, or `attributes.NAME`, whose first value counts
    max_results: int  # maximum number of results per value; items without a value always stay
    category_level: int = 0  # number of category levels that are compared; 0 compares all


@dataclass(frozen=True)
class Pin:
    """Put an item at a fixed position of the ranked list."""

    item_id: str
    position: int  # from 1


@dataclass(frozen=True)
class Promotion:
    """Show items higher for money, until the budget of the day is spent."""

    promotion_id: str  # the name of the budget; events that the promotion pays for name it
    item_ids: tuple[str, ...]
    daily_budget: float  # largest spending in a day (UTC)
    cost: float = 1.0  # of one event, in the unit of the budget
    charged: str = "click"  # the type of events that the promotion pays for: one of CHARGED
    min_relevance: float = 0.5  # items with a lower relevance are not promoted


@dataclass(frozen=True)
class Rules:
    """The rules of one request; the defaults change nothing."""

    excluded_item_ids: tuple[str, ...] = ()  # items that never appear
    excluded: Filter | None = None  # items that pass this filter never appear
    boosts: tuple[Boost, ...] = ()
    diversity: float = 0.0  # 0 sorts by score only, 1 by difference between items only
    caps: tuple[Cap, ...] = ()
    pins: tuple[Pin, ...] = ()
    promotions: tuple[Promotion, ...] = ()
    # largest share of the positions that promotions have; 0: the default
    promoted_share: float = 0.0


NO_RULES = Rules()


@dataclass(frozen=True)
class NamedRules:
    """Rules with their source."""

    rules: Rules
    curation_id: str = ""  # the curation that has the rules; "": the request


@dataclass(frozen=True)
class RuleName:
    """The name of one rule of a search."""

    rule: str  # the rule in its source, such as "pins[2]"
    curation_id: str = ""  # the source, as in `NamedRules`


class Effect(StrEnum):
    """How a rule changed a result."""

    BOOSTED = "boosted"  # the score was raised or lowered
    DIVERSIFIED = "diversified"  # diversity moved the result
    OUT_OF_STOCK = "out of stock"  # the result is out of stock, so it comes behind the others
    PINNED = "pinned"
    PROMOTED = "promoted"


@dataclass(frozen=True)
class Adjustment:
    """The effect of one rule on one result.

    Attributes:
        rule: The rule of the request or the curation, such as "boosts[2]".
        effect: How the rule changed the result.
        score_change: The number that a boost added to the score; 0 for other rules.
        from_position: The position, from 1, before diversity moved the result; 0 for other rules.
        to_position: The position, from 1, after diversity, a pin or a promotion moved the result; 0
            otherwise.
        curation_id: The id of the curation that has the rule; "" for other rules.
    """

    rule: str
    effect: Effect
    score_change: float = 0.0
    from_position: int = 0
    to_position: int = 0
    curation_id: str = ""


class PinProblem(StrEnum):
    """Why an item was not pinned."""

    UNKNOWN_ITEM = "unknown item"
    FILTERED_OUT = "filtered out"  # the item does not pass the filter of the request
    EXCLUDED = "excluded"
    REPLACED = "replaced"  # a pin of the request has the same item or position


@dataclass(frozen=True)
class RuleReport:
    """The effect of one rule on the whole list.

    Attributes:
        rule: The rule of the request or the curation, such as "pins[2]".
        affected_count: Number of items that the rule changed. An exclusion counts removed items,
            out of all items that pass the filter. A cap counts removed items that rank above the
            next page. A boost counts changed scores, diversity counts moved items, and a pin counts
            1 if its item is placed.
        pin_problem: Why a pin was not placed; None for other rules.
        curation_id: The id of the curation that has the rule; "" for other rules.
    """

    rule: str
    affected_count: int
    pin_problem: PinProblem | None = None
    curation_id: str = ""
