"""What the engine accepts; each refusal names the request field and says what would do."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from catalog import facets as counting
from catalog import filters
from catalog.fields import DISTINCT
from catalog.item_text import normalise_query
from catalog.schema import Item
from search.result import (
    MAX_DEPTH,
    MAX_EMBED_TEXTS,
    MAX_OFFSET,
    MAX_PAGE_SIZE,
    MAX_QUERY_CHARACTERS,
    MAX_RERANK_ITEMS,
    MAX_RETRIEVE,
    RequestError,
)
from search.rules import (
    MAX_BOOSTS,
    MAX_CAPS,
    MAX_EXCLUDED,
    MAX_LEVEL,
    MAX_PER_VALUE,
    MAX_PIN,
    MAX_STRENGTH,
    Cap,
    Rules,
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


def search(
    text: str,
    limit: int,
    offset: int,
    filter: filters.Filter | None,
    facets: Sequence[counting.Facet],
    max_per_group: int,
    given: Rules,
) -> str:
    """A search's query in its normal form; "" where there is none and a filter to browse by."""
    found = "" if filter is not None and not text.strip() else query(text)
    page(limit, offset)
    selection(filter, facets, max_per_group)
    rules(given)
    return found


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


def rules(given: Rules) -> None:
    """Rules mean something for some catalogue, and lie within limits."""
    _at_most("rules.excluded_item_ids", len(given.excluded_ids), MAX_EXCLUDED)
    _at_most("rules.boosts", len(given.boosts), MAX_BOOSTS)
    _at_most("rules.caps", len(given.caps), MAX_CAPS)
    _at_most("rules.pins", len(given.pins), MAX_PIN)
    for place, item_id in enumerate(given.excluded_ids):
        if not item_id:
            raise RequestError(f"rules.excluded_item_ids[{place}]", "is empty; name the item")
    if not 0 <= given.diversity <= 1:
        raise RequestError("rules.diversity", f"is {given.diversity}; it must lie between 0 and 1")
    try:
        if given.excluded is not None:
            filters.check(given.excluded, "rules.excluded")
        for place, boost in enumerate(given.boosts):
            filters.check(boost.filter, f"rules.boosts[{place}].filter")
            if not 0 < abs(boost.strength) <= MAX_STRENGTH:  # nor NaN
                raise RequestError(
                    f"rules.boosts[{place}].strength",
                    f"is {boost.strength}; give one from -{MAX_STRENGTH:g} to {MAX_STRENGTH:g} "
                    "other than 0",
                )
        for place, cap in enumerate(given.caps):
            _cap(f"rules.caps[{place}]", cap)
    except filters.FilterError as error:
        raise RequestError(error.path, error.problem) from None
    ids, positions = set[str](), set[int]()
    for place, pin in enumerate(given.pins):
        path = f"rules.pins[{place}]"
        _within(f"{path}.position", pin.position, 1, MAX_PIN)
        if not pin.item_id:
            raise RequestError(f"{path}.item_id", "is empty; name the item")
        if pin.item_id in ids:
            raise RequestError(f"{path}.item_id", "is pinned already; pin each item once")
        if pin.position in positions:
            raise RequestError(f"{path}.position", "is taken already; pin one item to each")
        ids.add(pin.item_id)
        positions.add(pin.position)


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


def inputs(given: Sequence[str | Item]) -> list[str | Item]:
    """What to embed: queries, each in its normal form, and items."""
    _count("inputs", len(given), MAX_EMBED_TEXTS)
    checked: list[str | Item] = []
    for place, one in enumerate(given):
        if isinstance(one, str):
            checked.append(query(one, f"inputs[{place}]"))
        else:
            _title(f"inputs[{place}]", one)
            checked.append(one)
    return checked


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


def _cap(path: str, cap: Cap) -> None:
    kind = filters.check_field(cap.field, f"{path}.field")
    if kind != "text" or cap.field in DISTINCT:
        raise RequestError(
            f"{path}.field", "cannot be capped; give brand, category, group_id or an attribute"
        )
    _within(f"{path}.max_results", cap.most, 1, MAX_PER_VALUE)
    _within(f"{path}.category_level", cap.level, 0, MAX_LEVEL)
    if cap.level and cap.field != "category":
        raise RequestError(f"{path}.category_level", "is for the category alone; leave it out")


def _title(field: str, item: Item) -> None:
    if not item.title.strip():
        raise RequestError(f"{field}.title", "is empty; an item is known by its title")


def _at_most(field: str, count: int, most: int) -> None:
    if count > most:
        raise RequestError(field, f"has {count} entries; at most {most:,} are taken")


def _count(field: str, count: int, most: int) -> None:
    if not 1 <= count <= most:
        raise RequestError(field, f"has {count} entries; give 1 to {most}")


def _within(field: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise RequestError(field, f"is {value}; it must lie between {low} and {high}")
