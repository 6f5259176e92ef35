"""The interpretation of a query, and the switches for the kinds of understanding."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal, TypeAlias

from catalog.filters import Interval

# The effect of a limit or an exclusion. "filter": other items are left out. "demote": other items
# follow behind. "none": no effect, because it is switched off or because no item would be left.
Effect: TypeAlias = Literal["filter", "demote", "none"]


@dataclass(frozen=True)
class Understanding:
    """The kinds of understanding that apply to a request."""

    spelling: bool = True  # correct mistyped words
    compounds: bool = True  # join and split words
    synonyms: bool = True  # search for synonyms too
    stop_words: bool = True  # leave stop words out of the lexical search
    limits: bool = True  # read limits of the price
    exclusions: bool = True  # read what the shopper does not want
    values: bool = True  # recognise brands, categories and attribute values
    codes: bool = True  # put items with a code of the query first
    sizes: bool = True  # prefer items with the sizes of the query
    curated_rules: bool = True  # apply the rules that a curation has for the query

    def __and__(self, other: "Understanding") -> "Understanding":
        """Return the kinds that both sets of switches have on."""
        return Understanding(
            **{name: value and getattr(other, name) for name, value in vars(self).items()}
        )


EVERYTHING = Understanding()
"""All kinds of understanding."""

UNCURATED = replace(EVERYTHING, curated_rules=False)
"""All kinds of understanding, without the rules of curations: measurements compare scores."""

NOTHING = Understanding(**dict.fromkeys(vars(EVERYTHING), False))
"""No understanding: the query is searched as it was typed."""

CORRECTED = replace(NOTHING, spelling=True, compounds=True)
"""The kinds that apply when given items are reranked."""

RECALLED = replace(CORRECTED, synonyms=True, stop_words=True)
"""The kinds that apply when items are only recalled."""


class Change(StrEnum):
    """Why a text has other words than the query."""

    SPELLING = "spelling"  # a mistyped word
    JOINED = "joined"  # two words that the catalogue writes as one
    SPLIT = "split"  # one word that the catalogue writes as two
    PINYIN = "pinyin"  # pinyin for Han characters


PINYIN_WEIGHT = 0.5
"""Weight of the sound of a word in the lexical channel; a word of the query has weight 1."""


@dataclass(frozen=True)
class Rewrite:
    """Words of the query, and the words that they probably stand for.

    Attributes:
        change: The kind of the change.
        words: The words as typed, normalised.
        replacement: The words that they probably stand for.
        probability: The estimated probability that the shopper means the replacement, in (0, 1].
        applied: Whether the text has the replacement. If not, the text keeps the words as typed,
            and the lexical channel searches for both.
    """

    change: Change
    words: str
    replacement: str
    probability: float
    applied: bool


@dataclass(frozen=True)
class Synonym:
    """Words of the query, and other words that the lexical channel searches for too."""

    words: str
    alternative: str
    weight: float  # weight of the alternative's terms; a word of the query itself has weight 1
    curation_id: str = ""  # the curation that has the rule; "": the file of synonyms has it


@dataclass(frozen=True)
class Limit:
    """A limit of the price in currency units."""

    words: str
    interval: Interval
    effect: Effect = "none"


@dataclass(frozen=True)
class Exclusion:
    """Something that the shopper does not want."""

    words: str  # such as "without sugar"
    excluded: str  # such as "sugar"
    effect: Effect = "none"


@dataclass(frozen=True)
class RecognisedValue:
    """A value of a field of items that occurs in the query."""

    words: str
    field: str  # such as "brand" or "attributes.colour"
    value: str  # as the catalogue writes it; for a category the path down to the named level


@dataclass(frozen=True)
class Interpretation:
    """What a query was understood as. Each part has the words of the query that it comes from.

    Attributes:
        typed: The query, normalised.
        text: The text that both stages read: corrected, without limits and exclusions.
        uncorrected: The text before spelling and compounds are corrected: without limits and
            exclusions, and with Han characters for pinyin.
        language: The language of the request; "": not given.
        rewrites: Corrections, and joined or split words, in the order of the query.
        synonyms: Other words that the lexical channel searches for.
        stop_words: Words that the lexical channel leaves out.
        limits: Limits of the price.
        exclusions: What the shopper does not want.
        values: Brands, categories and attribute values.
        curation_id: The id of the curation whose rules apply to the query; "": none.
    """

    typed: str
    text: str
    uncorrected: str = ""
    language: str = ""
    rewrites: tuple[Rewrite, ...] = ()
    synonyms: tuple[Synonym, ...] = ()
    stop_words: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    values: tuple[RecognisedValue, ...] = ()
    curation_id: str = ""

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the parts that are not empty, such as "rewrites"; without any text."""
        names = ("rewrites", "synonyms", "stop_words", "limits", "exclusions", "values")
        return tuple(name for name in names if getattr(self, name))

    @property
    def lexical_text(self) -> str:
        """The text without stop words, for the lexical channel."""
        if not self.stop_words:
            return self.text
        left_out = set(self.stop_words)
        return " ".join(word for word in self.text.split() if word not in left_out)

    @property
    def alternatives(self) -> tuple[tuple[str, float], ...]:
        """The texts that the lexical channel searches for too, each with its weight."""
        unsure = [(r.replacement, r.probability) for r in self.rewrites if not r.applied]
        # Other Han characters may have the same sound.
        sounds = [(r.words, PINYIN_WEIGHT) for r in self.rewrites if r.change is Change.PINYIN]
        return (*unsure, *sounds, *((s.alternative, s.weight) for s in self.synonyms))
