"""The types of suggestions."""

from dataclasses import dataclass
from enum import IntEnum


class Kind(IntEnum):
    """What a suggestion is. Files store the numbers, so a number never changes."""

    QUERY = 1  # a past query, or words that several past queries have in common
    CATEGORY = 2  # a level of the category paths of items
    BRAND = 3
    TITLE = 4  # words that titles of several items have in common


@dataclass(frozen=True)
class Suggestion:
    """One text of the index.

    Attributes:
        text: The text to show and to search for.
        kind: What the text is.
        score: How often shoppers and items use the text; the index orders suggestions by it.
        row: The row of an item that has all words of the text.
        value: The category path or the brand to filter by; "" for other kinds.
    """

    text: str
    kind: Kind
    score: float
    row: int
    value: str = ""


@dataclass(frozen=True)
class Completion:
    """A suggestion that completes a typed prefix.

    Attributes:
        suggestion: The suggestion.
        start: Where the typed text begins in the key of the suggestion's text.
    """

    suggestion: Suggestion
    start: int = 0
