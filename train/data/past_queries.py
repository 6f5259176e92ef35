"""The past queries of a dataset that may be suggested to other shoppers."""

import pyarrow as pa
import pyarrow.compute as pc

from catalog.dataset.reading import Dataset, split_of
from catalog.item_text import normalise_query
from catalog.schema import TEXT
from lexical.suggestions import PastQueries


def past_queries(dataset: Dataset, min_shoppers: int) -> PastQueries:
    """Return the queries of `train`, never those of `dev` and `test`.

    The queries come from events if any event has a query, otherwise from judgments. A query from
    events can have personal data, so it needs several shoppers. A shopper is a user, or a session
    of an unknown user; events without both count for no shopper. The count of a query from events
    is its number of shoppers, and the count of a judged query is 1.

    Args:
        dataset: The dataset.
        min_shoppers: Minimum number of different shoppers of a query from events.
    """
    splits = _judged_splits(dataset.judgments)
    events = dataset.events
    if events is not None and pc.any(pc.not_equal(events["query"], "")).as_py():
        counts = {
            query: shoppers
            for query, shoppers in _shoppers(events).items()
            if shoppers >= min_shoppers and splits.get(query, split_of(query)) == "train"
        }
    else:
        counts = {query: 1 for query, split in splits.items() if split == "train"}
    return PastQueries(list(counts), list(counts.values()))


def _judged_splits(judgments: pa.Table | None) -> dict[str, str]:
    """Return the split of each judged query, by its normalised text."""
    if judgments is None:
        return {}
    pairs = judgments.group_by(["query", "split"]).aggregate([])
    # If two spellings of a query are in different splits, `test` and `dev` come last and win.
    order = {"train": 0, "dev": 1, "test": 2}
    rows = sorted(
        zip(pairs["query"].to_pylist(), pairs["split"].to_pylist(), strict=True),
        key=lambda pair: order[pair[1]],
    )
    return {normalise_query(query): split for query, split in rows}


def _shoppers(events: pa.Table) -> dict[str, int]:
    """Return the number of different shoppers of each query, by its normalised text."""
    encoded = events["query"].combine_chunks().dictionary_encode()
    normal = pa.array([normalise_query(q) for q in encoded.dictionary.to_pylist()], pa.string())
    user, session, space = (pa.scalar(text, TEXT) for text in ("user", "session", " "))
    users = pc.binary_join_element_wise(user, events["user_id"], space)
    sessions = pc.binary_join_element_wise(session, events["session_id"], space)
    table = pa.table(
        {"query": normal.take(encoded.indices), "shopper": pc.coalesce(users, sessions)}
    )
    counts = table.group_by("query").aggregate([("shopper", "count_distinct")])
    return {
        query: count
        for query, count in zip(
            counts["query"].to_pylist(), counts["shopper_count_distinct"].to_pylist(), strict=True
        )
        if query
    }
