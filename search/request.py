"""Requests to the engine. A request checks its fields when it is created.

The server creates requests from protobuf messages; Python callers create them directly. An invalid
field raises a `RequestError` with the field's path in the contract (the `.proto` files).
"""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields
from functools import cached_property

import numpy as np
from jaxtyping import Float32

from base.errors import RequestError, check_count, check_range
from behaviour.questions import MAX_QUESTIONS
from catalog.facets import Facet
from catalog.filters import Filter
from catalog.item_text import normalise_query
from catalog.items import Item, check_id
from lexical.suggestions import Kind
from search import validation
from search.config import MAX_DEPTH, MAX_PER_GROUP, MAX_RERANK_ITEMS
from search.exploration.request import Exploration
from search.people.person import Person, Recommending, check_context, check_person
from search.ranking.sorting import SortKey, sort_keys
from search.rules import NO_RULES, Rules
from search.understanding.interpretation import EVERYTHING, UNCURATED, Understanding

# Names of the recall channels, such as "dense" for CHANNEL_DENSE of the contract.
DENSE = "dense"
LEXICAL = "lexical"

MAX_PAGE_SIZE = 100
MAX_OFFSET = 1_000  # largest number of results before a page
MAX_RETRIEVE = 1_000
MAX_EMBED_INPUTS = 128
MAX_BATCH_GET = 100
MAX_LISTED = 1_000
DEFAULT_LISTED = 100
MAX_PREFIX_CHARACTERS = 200
MAX_SUGGESTIONS = 50
MAX_LANGUAGE_CHARACTERS = 35  # the longest tag that RFC 5646 asks programs to accept

# The least and the greatest value of each depth of a SearchRequest.
_DEPTHS = (
    ("recall_depth", 1, MAX_DEPTH),
    ("rerank_depth", 0, MAX_RERANK_ITEMS),
    ("rerank_limit", 0, MAX_DEPTH),
)
# Fields of a SearchRequest that select a page, limit the time or add to results, but do not define
# the list.
_PAGE_FIELDS = frozenset(
    {"page_size", "offset", "rerank_limit", "active_promotions", "deadline", "highlight"}
)


@dataclass(frozen=True)
class SearchRequest:
    """A search: recall candidates, rerank the best, return one page.

    A request with a filter and an empty query is browsing: the engine lists the items that pass the
    filter, most popular first. A request with `recommending` has no query: the engine recommends
    items to the person.

    Raises:
        RequestError: a field is out of its limits.
    """

    query: str = ""  # what the shopper typed
    _: KW_ONLY
    recommending: Recommending | None = None  # recommend items; None: search
    person: Person | None = None  # the person for whom the results are ranked
    # attributes of the situation, such as {"country": "France"}
    context: Mapping[str, str] = field(default_factory=dict)
    filter: Filter | None = None  # only items that pass this filter are candidates
    facets: tuple[Facet, ...] = ()  # fields whose values are counted
    rules: Rules = NO_RULES  # a merchandiser's changes to the result
    language: str = ""  # the language of the query, such as "en" or "pt-BR"; "": the default
    understanding: Understanding = EVERYTHING  # the kinds of understanding to apply
    # maximum number of results with the same group_id, over all pages; 0: the engine's default
    max_per_group: int = 0
    show_variants: bool = False  # set no maximum of results with the same group_id
    ignore_stock: bool = False  # leave results that are out of stock where they rank
    # order of the results, such as "price desc, rating"; "": by relevance or, when browsing, by
    # popularity (see `search.ranking.sorting`)
    order_by: str = ""
    exploration: Exploration | None = None  # show uncertain items at some positions; None: do not
    highlight: bool = False  # find the words of each result that match the query
    recall_depth: int | None = None  # number of candidates to recall; None: the engine's default
    # number of candidates to rerank; None: the engine's default, or 0 with `order_by`; 0: no
    # reranking
    rerank_depth: int | None = None
    # maximum number of candidates to rerank, including pinned items; if time was short on the first
    # page, requests for later pages set the number of candidates that the first page reranked
    rerank_limit: int | None = None
    # results with a lower relevance are left out; None: the engine's default
    min_relevance: float | None = None
    # a number whose n-th bit says whether the n-th promotion may spend, as the first page found;
    # None: find it
    active_promotions: int | None = None
    page_size: int = 10  # maximum number of results on the page
    offset: int = 0  # number of results before the page
    deadline: float | None = None  # in seconds of time.monotonic(); None: no limit

    def __post_init__(self) -> None:
        """Refuse values out of their limits."""
        if self.recommending is None and (self.filter is None or self.query.strip()):
            validation.check_query(self.query, "query")
        check_person(self.person)
        check_context(self.context)
        validation.check_filter(self.filter, "filter")
        validation.check_facets(self.facets)
        validation.check_rules(self.rules)
        validation.check_language(self.language, "language")
        check_range(self.max_per_group, "max_per_group", 0, MAX_PER_GROUP)
        if self.show_variants and self.max_per_group:
            raise RequestError("show_variants", "is set beside max_per_group; give one of them")
        if sort_keys(self.order_by, "order_by") and self.exploration is not None:
            raise RequestError("exploration", "is set beside order_by; give one of them")
        for name, low, high in _DEPTHS:
            if (depth := getattr(self, name)) is not None:
                check_range(depth, name, low, high)
        if self.min_relevance is not None:
            check_range(self.min_relevance, "min_relevance", 0, 1)
        check_range(self.page_size, "page_size", 1, MAX_PAGE_SIZE)
        check_range(self.offset, "offset", 0, MAX_OFFSET)

    @classmethod
    def by_score(
        cls, query: str, *, page_size: int = 10, rerank_depth: int | None = None
    ) -> "SearchRequest":
        """Return a search whose results are ordered by score alone.

        Groups are not collapsed, results that are out of stock stay where they rank, and rules of
        curations are not applied. Golden queries, evaluation and the choice of weights compare such
        results.
        """
        return cls(
            query,
            understanding=UNCURATED,
            show_variants=True,
            ignore_stock=True,
            rerank_depth=rerank_depth,
            page_size=page_size,
        )

    @cached_property
    def sort_keys(self) -> tuple[SortKey, ...]:
        """The fields by which results are sorted; empty without `order_by`."""
        return sort_keys(self.order_by, "order_by")

    @cached_property
    def text(self) -> str:
        """The normalised query; "" when browsing."""
        return normalise_query(self.query) if self.query.strip() else ""

    @property
    def end(self) -> int:
        """The number of results up to and including the page."""
        return self.offset + self.page_size

    @property
    def identity(self) -> str:
        """A text of all fields that define the list of results: all fields but `_PAGE_FIELDS`."""
        named = (known.name for known in fields(self) if known.name not in _PAGE_FIELDS)
        return repr([(name, getattr(self, name)) for name in named])


@dataclass(frozen=True, eq=False)
class RetrieveRequest:
    """Recall only: find items for a text with the channels, or the items nearest to a vector.

    Raises:
        RequestError: a field is out of its limits.
    """

    query: str | None = None  # a text
    _: KW_ONLY
    vector: Float32[np.ndarray, " dim"] | None = None  # a query vector of any norm above 0
    # names of channels; empty: all channels for a text, the dense channel for a vector
    channels: tuple[str, ...] = ()
    filter: Filter | None = None  # only items that pass this filter are returned
    page_size: int = 100  # maximum number of results; the lexical channel alone can find fewer
    with_items: bool = False  # return items, not only their ids
    deadline: float | None = None  # in seconds of time.monotonic(); None: no limit

    def __post_init__(self) -> None:
        """Refuse values out of their limits."""
        if (self.query is None) == (self.vector is None):
            problem = "is empty" if self.query is None else "has a query and a vector"
            raise RequestError("input", f"{problem}; give one of query and vector")
        if self.query is not None:
            validation.check_query(self.query, "query")
        if self.vector is not None:
            validation.check_vector(self.vector, "vector")
            if set(self.channels) - {DENSE}:
                problem = "has a channel that needs a text; give the dense channel or none"
                raise RequestError("channels", problem)
        validation.check_filter(self.filter, "filter")
        check_range(self.page_size, "page_size", 1, MAX_RETRIEVE)


@dataclass(frozen=True)
class RerankRequest:
    """Reranking only: sort candidates from any source, given by id or as whole items.

    Raises:
        RequestError: a field is out of its limits.
    """

    query: str
    candidates: Sequence[str | Item]  # ids of catalogue items, or whole items
    _: KW_ONLY
    deadline: float | None = None  # in seconds of time.monotonic(); None: no limit

    def __post_init__(self) -> None:
        """Refuse values out of their limits."""
        validation.check_query(self.query, "query")
        validation.check_candidates(self.candidates, MAX_RERANK_ITEMS)


@dataclass(frozen=True)
class SimilarItemsRequest:
    """The items nearest to an item of the catalogue, without that item.

    Raises:
        RequestError: a field is out of its limits.
    """

    item_id: str
    _: KW_ONLY
    filter: Filter | None = None  # only items that pass this filter are returned
    exclude_variants: bool = False  # leave out items with the same group_id
    page_size: int = 10  # maximum number of results
    deadline: float | None = None  # in seconds of time.monotonic(); None: no limit

    def __post_init__(self) -> None:
        """Refuse values out of their limits."""
        check_id(self.item_id, "item_id")
        validation.check_filter(self.filter, "filter")
        check_range(self.page_size, "page_size", 1, MAX_PAGE_SIZE)


@dataclass(frozen=True)
class EmbedRequest:
    """Encode queries (texts) and items; the items need not be in the catalogue.

    Raises:
        RequestError: a field is out of its limits.
    """

    inputs: Sequence[str | Item]
    _: KW_ONLY
    deadline: float | None = None  # in seconds of time.monotonic(); None: no limit

    def __post_init__(self) -> None:
        """Refuse values out of their limits."""
        validation.check_inputs(self.inputs, MAX_EMBED_INPUTS)


@dataclass(frozen=True)
class SuggestRequest:
    """Completions of what a shopper has typed so far.

    Raises:
        RequestError: a field is out of its limits.
    """

    prefix: str  # a space at the end finishes the last word
    _: KW_ONLY
    language: str = ""  # BCP 47 tag of the language of suggestions; "": any language
    kinds: Sequence[int] = tuple(Kind)  # the kinds of suggestions to return
    page_size: int = 10  # maximum number of suggestions
    deadline: float | None = None  # in seconds of time.monotonic(); None: no limit

    def __post_init__(self) -> None:
        """Refuse values out of their limits."""
        validation.check_prefix(self.prefix, MAX_PREFIX_CHARACTERS)
        check_count(len(self.language), "language", None, MAX_LANGUAGE_CHARACTERS, "characters")
        for index, kind in enumerate(self.kinds):
            if kind not in tuple(Kind):
                names = ", ".join(known.name for known in Kind)
                raise RequestError(f"kinds[{index}]", f"names no kind of suggestion; give {names}")
        check_range(self.page_size, "page_size", 1, MAX_SUGGESTIONS)


@dataclass(frozen=True)
class ProfileRequest:
    """What is believed of a person.

    Raises:
        RequestError: a field is out of its limits, or names nobody.
    """

    person: Person

    def __post_init__(self) -> None:
        """Refuse values out of their limits."""
        check_person(self.person)
        if not (self.person.user_id or self.person.session_id or self.person.history):
            raise RequestError("person", "names nobody; give a user_id, a session_id or a history")


@dataclass(frozen=True)
class QuestionsRequest:
    """Preference questions for a new person.

    Raises:
        RequestError: a field is out of its limits.
    """

    _: KW_ONLY
    page_size: int = 8  # maximum number of questions
    filter: Filter | None = None  # only items that pass this filter are asked about
    # attributes of the situation, such as {"country": "France"}
    context: Mapping[str, str] = field(default_factory=dict)
    deadline: float | None = None  # in seconds of time.monotonic(); None: no limit

    def __post_init__(self) -> None:
        """Refuse values out of their limits."""
        check_range(self.page_size, "page_size", 1, MAX_QUESTIONS)
        validation.check_filter(self.filter, "filter")
        check_context(self.context)


@dataclass(frozen=True)
class GetItemRequest:
    """One item of the catalogue.

    Raises:
        RequestError: the id is empty.
    """

    item_id: str

    def __post_init__(self) -> None:
        """Refuse an empty id."""
        check_id(self.item_id, "item_id")

    @property
    def ids(self) -> tuple[str, ...]:
        """The id of the item."""
        return (self.item_id,)


@dataclass(frozen=True)
class ListItemsRequest:
    """A page of all items, in the order of their ids.

    Raises:
        RequestError: the size is negative.
    """

    page_size: int = 0  # maximum number of items; 0: DEFAULT_LISTED; more than MAX_LISTED is cut
    after: str = ""  # id of the last item of the page before; "" for the first page

    def __post_init__(self) -> None:
        """Refuse a negative size."""
        check_range(self.page_size, "page_size", 0, None)

    @property
    def size(self) -> int:
        """The maximum number of items on the page."""
        return min(self.page_size, MAX_LISTED) or DEFAULT_LISTED


@dataclass(frozen=True)
class BatchGetItemsRequest:
    """Several items of the catalogue.

    Raises:
        RequestError: there are too few or too many ids, or an id is empty.
    """

    item_ids: Sequence[str]

    def __post_init__(self) -> None:
        """Refuse values out of their limits."""
        check_count(len(self.item_ids), "item_ids", 1, MAX_BATCH_GET)
        validation.check_ids(self.item_ids, "item_ids")

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids, each once, in their order."""
        return tuple(dict.fromkeys(self.item_ids))
