"""Requests to the engine. A request checks its fields when it is created.

The server creates requests from protobuf messages; Python callers create them directly. An invalid
field raises a `RequestError` with the field's path in the contract (the `.proto` files).
"""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, fields
from functools import cached_property

import numpy as np
from jaxtyping import Float32

from catalog.facets import Facet
from catalog.filters import Filter
from catalog.item_text import normalise_query
from catalog.items import Item
from search import validation
from search.config import MAX_DEPTH
from search.errors import RequestError
from search.rules import NO_RULES, Rules

# Names of the recall channels. The contract names them CHANNEL_DENSE and CHANNEL_LEXICAL.
DENSE = "dense"
LEXICAL = "lexical"

MAX_PAGE_SIZE = 100
MAX_OFFSET = 1_000  # largest number of results before a page
MAX_RETRIEVE = 1_000
MAX_RERANK_ITEMS = 500
MAX_EMBED_INPUTS = 128

# Fields of a SearchRequest that select a page or limit the time, but do not define the list.
_PAGE_FIELDS = frozenset({"page_size", "offset", "rerank_limit", "deadline"})


@dataclass(frozen=True)
class SearchRequest:
    """A search: recall candidates, rerank the best, return one page.

    A request with a filter and an empty query is browsing: the engine lists the items that pass the
    filter, most popular first.

    Raises:
        RequestError: a field is out of its limits.
    """

    query: str = ""  # what the shopper typed
    _: KW_ONLY
    filter: Filter | None = None  # only items that pass this filter are candidates
    facets: tuple[Facet, ...] = ()  # fields whose values are counted
    rules: Rules = NO_RULES  # a merchandiser's changes to the result
    # maximum number of results with the same group_id, over all pages; 0: no limit
    max_per_group: int = 0
    recall_depth: int | None = None  # number of candidates to recall; None: the engine's default
    # number of candidates to rerank; None: the engine's default; 0: no reranking
    rerank_depth: int | None = None
    # maximum number of candidates to rerank, including pinned items; if time was short on the first
    # page, requests for later pages set the number of candidates that the first page reranked
    rerank_limit: int | None = None
    page_size: int = 10  # maximum number of results on the page
    offset: int = 0  # number of results before the page
    deadline: float | None = None  # in seconds of time.monotonic(); None: no limit

    def __post_init__(self) -> None:
        """Refuse values out of their limits."""
        if self.filter is None or self.query.strip():
            validation.check_query(self.query, "query")
        validation.check_filter(self.filter, "filter")
        validation.check_facets(self.facets)
        validation.check_rules(self.rules)
        validation.check_range("max_per_group", self.max_per_group, 0, MAX_PAGE_SIZE)
        for name, low in (("recall_depth", 1), ("rerank_depth", 0), ("rerank_limit", 0)):
            if (depth := getattr(self, name)) is not None:
                validation.check_range(name, depth, low, MAX_DEPTH)
        validation.check_range("page_size", self.page_size, 1, MAX_PAGE_SIZE)
        validation.check_range("offset", self.offset, 0, MAX_OFFSET)

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
        named = (field.name for field in fields(self) if field.name not in _PAGE_FIELDS)
        return repr([(name, getattr(self, name)) for name in named])


@dataclass(frozen=True, eq=False)
class RetrieveRequest:
    """Recall only: find items for a query with the channels, or the items nearest to a vector.

    Raises:
        RequestError: a field is out of its limits.
    """

    query: str | Float32[np.ndarray, " dim"]  # a text, or a query vector of any norm above 0
    _: KW_ONLY
    # names of channels; empty: all channels for a text, the dense channel for a vector
    channels: tuple[str, ...] = ()
    filter: Filter | None = None  # only items that pass this filter are returned
    page_size: int = 100  # maximum number of results; the lexical channel alone can find fewer
    with_items: bool = False  # return items, not only their ids
    deadline: float | None = None  # in seconds of time.monotonic(); None: no limit

    def __post_init__(self) -> None:
        """Refuse values out of their limits."""
        if isinstance(self.query, str):
            validation.check_query(self.query, "query")
        else:
            validation.check_vector(self.query, "vector")
            if set(self.channels) - {DENSE}:
                raise RequestError("channels", "must be CHANNEL_DENSE alone for a vector")
        validation.check_filter(self.filter, "filter")
        validation.check_range("page_size", self.page_size, 1, MAX_RETRIEVE)


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
        if not self.item_id:
            raise RequestError("item_id", "is empty; name the item")
        validation.check_filter(self.filter, "filter")
        validation.check_range("page_size", self.page_size, 1, MAX_PAGE_SIZE)


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
