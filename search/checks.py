"""What the engine accepts; each refusal names the request field and says what would do."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from catalog import facets as counting
from catalog import filters
from catalog.schema import Item
from catalog.text import normalise_query
from search.records import (
    MAX_DEPTH,
    MAX_EMBED_TEXTS,
    MAX_OFFSET,
    MAX_PAGE_SIZE,
    MAX_QUERY_CHARACTERS,
    MAX_RERANK_ITEMS,
    MAX_RETRIEVE,
    RequestError,
)

_MIN_NORM = 1e-6


def query(text: str, field: str = "query") -> str:
    """A query that has something to search for and is no document, in its normal form.

    Letter case, compatibility forms and white space make no difference from here on.
    """
    if not text.strip():
        raise RequestError(field, "is empty; give the words to search for")
    if len(text) > MAX_QUERY_CHARACTERS:
        raise RequestError(
            field, f"has {len(text)} characters; at most {MAX_QUERY_CHARACTERS} are taken"
        )
    return normalise_query(text)


def search_query(text: str, filter: filters.Filter | None) -> str:
    """A search's query in its normal form; "" where there is none and a filter to browse by."""
    return "" if filter is not None and not text.strip() else query(text)


def selection(
    filter: filters.Filter | None,
    facets: Sequence[counting.Facet] = (),
    max_per_group: int = 0,
) -> None:
    """Filter and facets mean something for some catalogue; groups are capped within limits."""
    _within("max_per_group", max_per_group, 0, MAX_PAGE_SIZE)
    if len(facets) > counting.MAX_FACETS:
        raise RequestError(
            "facets", f"has {len(facets)} entries; at most {counting.MAX_FACETS} are taken"
        )
    try:
        if filter is not None:
            filters.check(filter, "filter")
        for place, facet in enumerate(facets):
            counting.check(facet, f"facets[{place}]")
    except filters.FilterError as error:
        raise RequestError(error.path, error.problem) from None


def page(limit: int, offset: int) -> None:
    """A page has a size and lies within reach."""
    _within("limit", limit, 1, MAX_PAGE_SIZE)
    _within("offset", offset, 0, MAX_OFFSET)


def depth(field: str, given: int | None, default: int, *, low: int) -> int:
    """A depth, or the default where none is given."""
    asked = default if given is None else given
    _within(field, asked, low, MAX_DEPTH)
    return asked


def retrieve_limit(limit: int) -> None:
    """How many items stage 1 may be asked for."""
    _within("limit", limit, 1, MAX_RETRIEVE)


def similar(item_id: str, limit: int) -> None:
    """There is an item to start from, and a page for those near it."""
    if not item_id:
        raise RequestError("item_id", "is empty; name the item")
    _within("limit", limit, 1, MAX_PAGE_SIZE)


def vector(values: Float32[np.ndarray, " width"], dim: int) -> Float32[np.ndarray, " dim"]:
    """A query vector of the index's width, brought to unit length."""
    if values.shape != (dim,):
        raise RequestError("vector", f"has {values.size} numbers; the index has {dim} dimensions")
    if not np.isfinite(values).all():
        raise RequestError("vector", "holds a number that is not finite")
    with np.errstate(over="ignore"):
        norm = float(np.linalg.norm(values.astype(np.float64)))
    if norm < _MIN_NORM:
        raise RequestError("vector", "is zero; it points nowhere")
    return (values.astype(np.float64) / norm).astype(np.float32)


def texts(field: str, given: Sequence[str]) -> list[str]:
    """Queries to embed, each in its normal form."""
    _count(field, len(given), MAX_EMBED_TEXTS)
    return [query(text, f"{field}[{place}]") for place, text in enumerate(given)]


def items(field: str, given: Sequence[Item]) -> None:
    """Items to embed."""
    _count(field, len(given), MAX_EMBED_TEXTS)
    for place, item in enumerate(given):
        _title(f"{field}[{place}]", item)


def candidates(given: Sequence[str | Item]) -> None:
    """Items to rerank, by id or inline, each once."""
    _count("items", len(given), MAX_RERANK_ITEMS)
    seen = set()
    for place, item in enumerate(given):
        name = item if isinstance(item, str) else item.item_id
        if name in seen:
            raise RequestError(f"items[{place}]", "comes twice; name each item once")
        seen.add(name)
        if not name:
            raise RequestError(f"items[{place}].item_id", "is empty; name the item")
        if not isinstance(item, str):
            _title(f"items[{place}]", item)


def _title(field: str, item: Item) -> None:
    if not item.title.strip():
        raise RequestError(f"{field}.title", "is empty; an item is known by its title")


def _count(field: str, count: int, most: int) -> None:
    if not 1 <= count <= most:
        raise RequestError(field, f"has {count} entries; give 1 to {most}")


def _within(field: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise RequestError(field, f"is {value}; it must lie between {low} and {high}")
