"""The configuration of suggestions."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from base.atomic_files import write_text
from base.errors import InputError
from base.untrusted import limits
from base.untrusted.small_files import read_bytes

_CONFIG_FILE = "config.json"


@dataclass(frozen=True)
class SuggestionConfig:
    """Which texts become suggestions, and how they are ordered."""

    # minimum number of different users or sessions that sent a query, for queries from events; a
    # rare query can have personal data
    min_shoppers: int = 3
    min_results: int = 1  # minimum number of items that have all words of a past query
    min_query_count: int = 2  # minimum number of past queries that have a phrase in common
    min_title_count: int = 3  # minimum number of titles that have a phrase in common
    max_words: int = 4  # maximum number of words of a phrase
    # a phrase is left out if one longer phrase has this share of its occurrences
    fragment_share: float = 0.8
    max_title_phrases: int = 1_000_000  # maximum number of phrases of titles, the most frequent
    # weights of the score: times that the text was a query, past queries and titles that have the
    # text as a phrase, and items of a category or brand
    query_weight: float = 1.0
    query_phrase_weight: float = 1.0
    title_weight: float = 0.02
    items_weight: float = 0.02
    inside_weight: float = 0.01  # weight of a suggestion whose later words the prefix begins

    def __post_init__(self) -> None:
        """Check the limits.

        Raises:
            InputError: a number is below its minimum, or a share or weight is negative.
        """
        for name, value in vars(self).items():
            least = 0 if name.endswith(("weight", "share", "phrases")) else 1
            if not value >= least:
                raise InputError(f"suggestions: {name} is {value}; give at least {least}")

    @classmethod
    def read(cls, directory: Path) -> "SuggestionConfig":
        """Read the configuration of built suggestions.

        Raises:
            InputError: the file is malformed.
        """
        path = directory / _CONFIG_FILE
        try:
            return cls(**json.loads(read_bytes(path, limits.JSON_BYTES)))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise InputError(f"{path}: malformed ({error!r}); build the bundle again") from error

    def write(self, directory: Path) -> None:
        """Write the configuration beside the suggestions."""
        write_text(directory / _CONFIG_FILE, json.dumps(asdict(self), indent=1) + "\n")
