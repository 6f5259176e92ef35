"""Graded query-item pairs, from human judgments and from shoppers' events.

Training, mining and the choice of the best step all read `Relevance`. A shop that has clicks but no
judgments therefore trains with the same code as a shop with human grades.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float32, Int32

from catalog.dataset.reading import Dataset, split_of
from catalog.item_text import normalise_query
from catalog.store import ItemStore
from train.evaluation.metrics import MIN_QUERIES

# Grades of events, from 0 to 3. Impressions have no grade, because items that were shown but not
# clicked are worse negatives than random items (Huang et al., 2020, arXiv 2006.11632).
EVENT_GRADES: Mapping[str, float] = {"click": 1.0, "add_to_cart": 2.0, "purchase": 3.0}


@dataclass(frozen=True)
class Relevance:
    """Graded query-item pairs, sorted by query.

    Attributes:
        queries: Text of each query, normalised.
        splits: `train`, `dev` or `test` of each query.
        query: Query of each pair, as an index into `queries`, in ascending order.
        item: Item row of each pair.
        grade: Grade of each pair.
        grade_min: The lowest grade, which has gain 0.
        relevant_from: The grade from which an item counts as relevant.
        weight: Factor of each pair's gain; None for 1. Pairs of events have a weight beside judged
            pairs.
    """

    queries: tuple[str, ...]
    splits: tuple[str, ...]
    query: Int32[np.ndarray, "pairs"]
    item: Int32[np.ndarray, "pairs"]
    grade: Float32[np.ndarray, "pairs"]
    grade_min: float
    relevant_from: float
    weight: Float32[np.ndarray, "pairs"] | None = None

    @property
    def relevant(self) -> Bool[np.ndarray, "pairs"]:
        """Whether each pair's item counts as relevant."""
        return self.grade >= np.float32(self.relevant_from)

    @property
    def gain(self) -> Float32[np.ndarray, "pairs"]:
        """The gain of each pair: its grade minus `grade_min`, times its weight."""
        gain = self.grade - np.float32(self.grade_min)
        return gain if self.weight is None else gain * self.weight

    def queries_with_gain(self, split: str) -> list[int]:
        """Return the queries of a split that have an item with a gain.

        All rankings of another query are equally good, so it compares no models.
        """
        found = np.unique(self.query[self.gain > 0]).tolist()
        return [query for query in found if self.splits[query] == split]

    def only(self, *splits: str) -> "Relevance":
        """Return the pairs and queries of the given splits, with queries renumbered."""
        return self._of_queries(np.isin(np.array(self.splits, dtype=object), splits))

    def thinned(self, share: float, seed: int) -> "Relevance":
        """Return a share of the `train` queries, drawn at random, and all other queries."""
        random = np.random.default_rng(seed).random(len(self.splits))
        return self._of_queries((random < share) | (np.array(self.splits, object) != "train"))

    def _of_queries(self, chosen: Bool[np.ndarray, " queries"]) -> "Relevance":
        number = np.cumsum(chosen, dtype=np.int32) - 1
        in_splits = chosen[self.query]
        return Relevance(
            tuple(q for q, keep in zip(self.queries, chosen, strict=True) if keep),
            tuple(s for s, keep in zip(self.splits, chosen, strict=True) if keep),
            number[self.query[in_splits]].astype(np.int32),
            self.item[in_splits],
            self.grade[in_splits],
            self.grade_min,
            self.relevant_from,
            None if self.weight is None else self.weight[in_splits],
        )

    def pairs_of(self, query: int) -> slice:
        """Return the range of a query's pairs."""
        start, end = np.searchsorted(self.query, [query, query + 1])
        return slice(int(start), int(end))


def relevance_of(dataset: Dataset, store: ItemStore, event_weight: float = 0.0) -> Relevance | None:
    """Return the pairs of `train` and `dev`, never those of `test`; None without pairs.

    Args:
        dataset: The dataset.
        store: The items of the dataset.
        event_weight: Weight of the pairs of events beside judged pairs; 0 trains on judged pairs
            alone. Without judgments in `train` or `dev`, all pairs come from events.
    """
    judged, clicked = judged_pairs(dataset, store), clicked_pairs(dataset, store)
    if judged is None or clicked is None:
        return clicked or judged
    return combined(judged, clicked, event_weight)


def judged_pairs(dataset: Dataset, store: ItemStore) -> Relevance | None:
    """Return the judged pairs of `train` and `dev`; None if there are none."""
    if dataset.judgments is None:
        return None
    relevance = _from_judgments(dataset, dataset.judgments, store).only("train", "dev")
    return relevance if relevance.queries else None


def clicked_pairs(dataset: Dataset, store: ItemStore) -> Relevance | None:
    """Return the pairs of events with a query in `train` and `dev`; None if there are none."""
    if dataset.events is None:
        return None
    return _from_events(dataset.events, store, dataset.judgments)


def combined(judged: Relevance, clicked: Relevance, weight: float) -> Relevance:
    """Add the pairs of events to judged pairs.

    A click counts as the lowest relevant grade, and a purchase as the best grade that was given.
    If a pair is judged, its events do not count. A query that is judged in `dev` gets no pairs of
    events. If enough judged queries are in `dev` to compare models, `dev` gets no queries of events
    at all.

    Args:
        judged: The judged pairs.
        clicked: The pairs of events.
        weight: Weight of the pairs of events in `train`; 0 adds no pairs to `train`. In `dev`, the
            weight is 1.
    """
    added_splits = {"train"} if weight else set()
    if len(judged.queries_with_gain("dev")) < MIN_QUERIES:
        added_splits.add("dev")
    number = {text: n for n, text in reversed(list(enumerate(judged.queries)))}
    texts, splits = list(judged.queries), list(judged.splits)
    new = np.full(len(clicked.queries), -1)  # the query in the result; -1 leaves a query out
    for old, (text, split) in enumerate(zip(clicked.queries, clicked.splits, strict=True)):
        if text in number:
            in_train = judged.splits[number[text]] == "train"
            new[old] = number[text] if in_train and weight else -1
        elif split in added_splits:
            new[old] = len(texts)
            texts.append(text)
            splits.append(split)
    query, items = new[clicked.query], np.int64(max(judged.item.max(), clicked.item.max()) + 1)
    is_judged = np.isin(query * items + clicked.item, judged.query * items + judged.item)
    added = (query >= 0) & ~is_judged
    span = max(float(judged.grade.max()), judged.relevant_from) - judged.relevant_from
    best, least = EVENT_GRADES["purchase"], EVENT_GRADES["click"]
    grade = judged.relevant_from + span * (clicked.grade[added] - least) / (best - least)
    is_train = np.array([split == "train" for split in splits])[query[added]]
    weights = np.concatenate([np.ones(len(judged.query)), np.where(is_train, weight, 1.0)])
    return _sorted(
        texts,
        splits,
        np.concatenate([judged.query, query[added]]),
        np.concatenate([judged.item, clicked.item[added]]),
        np.concatenate([judged.grade, grade]),
        judged.grade_min,
        judged.relevant_from,
        weights,
    )


def _from_judgments(dataset: Dataset, judgments: pa.Table, store: ItemStore) -> Relevance:
    keys = judgments["query_id"].to_numpy(zero_copy_only=False)
    _, first, number = np.unique(keys, return_index=True, return_inverse=True)
    # The engine normalises queries in the same way.
    texts = [normalise_query(query) for query in judgments["query"].take(first).to_pylist()]
    splits = judgments["split"].to_numpy(zero_copy_only=False)[first]
    return _sorted(
        texts,
        splits.tolist(),
        number,
        store.rows(judgments["item_id"].to_pylist()),
        judgments["grade"].to_numpy(),
        dataset.info.grade_min,
        dataset.info.relevant_from,
    )


def _from_events(events: pa.Table, store: ItemStore, judged: pa.Table | None) -> Relevance | None:
    events = outside_test(events, judged)
    events = events.filter(
        pc.and_(
            pc.not_equal(pc.utf8_trim_whitespace(events["query"]), ""),
            pc.is_in(events["type"], value_set=pa.array(list(EVENT_GRADES))),
        )
    )
    if not events.num_rows:
        return None
    texts = [normalise_query(query) for query in events["query"].to_pylist()]
    grades = np.array([EVENT_GRADES[kind] for kind in events["type"].to_pylist()], np.float32)
    queries, number = np.unique(np.array(texts, dtype=object), return_inverse=True)
    rows = store.rows(events["item_id"].to_pylist())
    # The grade of a pair is the grade of its strongest event.
    keys, inverse = np.unique(number * np.int64(len(store)) + rows, return_inverse=True)
    best = np.zeros(len(keys), np.float32)
    np.maximum.at(best, inverse, grades)
    texts = queries.tolist()
    relevance = _sorted(
        texts,
        [split_of(text) for text in texts],
        keys // len(store),
        keys % len(store),
        best,
        0.0,
        EVENT_GRADES["click"],
    )
    return relevance if relevance.queries else None


def outside_test(events: pa.Table, judgments: pa.Table | None) -> pa.Table:
    """Return the events that training may use: all events whose query is not in `test`.

    Events without a query are kept. If a query is judged in `test`, its events are in `test`, too.
    """
    judged = set()
    if judgments is not None:
        queries = judgments.filter(pc.equal(judgments["split"], "test"))["query"].unique()
        judged = {normalise_query(query) for query in queries.to_pylist()}

    def is_in_test(query: str) -> bool:
        text = normalise_query(query)
        return bool(text) and (text in judged or split_of(text) == "test")

    queries = events["query"].combine_chunks().dictionary_encode()
    in_test = pa.array([is_in_test(query) for query in queries.dictionary.to_pylist()], pa.bool_())
    return events.filter(pc.invert(pc.fill_null(in_test.take(queries.indices), False)))


def _sorted(
    texts: list[str],
    splits: list[str],
    query: np.ndarray,
    item: np.ndarray,
    grade: np.ndarray,
    grade_min: float,
    relevant_from: float,
    weight: np.ndarray | None = None,
) -> Relevance:
    order = np.argsort(query, kind="stable")
    return Relevance(
        tuple(texts),
        tuple(splits),
        query[order].astype(np.int32),
        item[order].astype(np.int32),
        grade[order].astype(np.float32),
        float(grade_min),
        float(relevant_from),
        None if weight is None else weight[order].astype(np.float32),
    )
