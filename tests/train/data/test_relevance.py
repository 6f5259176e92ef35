import datetime

import numpy as np
import pyarrow as pa
import pytest

from catalog.dataset.reading import Dataset, split_of
from catalog.schema import EVENTS, ITEMS, JUDGMENTS, DatasetInfo
from catalog.store import ItemStore
from train.data.relevance import outside_test, relevance_of

INFO = DatasetInfo("shop", grade_min=1.0, relevant_from=2.0)
NOON = datetime.datetime(2024, 1, 31, 12, tzinfo=datetime.UTC)


def dataset_of(judged=None, events=None) -> Dataset:
    items = [{"item_id": f"i{row}", "title": f"item {row}"} for row in range(6)]
    judgments = judged and [
        {"query_id": query_id, "query": query, "item_id": item, "grade": grade, "split": split}
        for query_id, query, item, grade, split in judged
    ]
    events = events and [
        {"time": NOON, "type": kind, "query": query, "item_id": item}
        for kind, query, item in events
    ]
    return Dataset(
        info=INFO,
        items=pa.Table.from_pylist(items, schema=ITEMS.arrow),
        judgments=judgments and pa.Table.from_pylist(judgments, schema=JUDGMENTS.arrow),
        events=events and pa.Table.from_pylist(events, schema=EVENTS.arrow),
        users=None,
        warnings=(),
        fingerprint="",
    )


def found_of(**tables):
    dataset = dataset_of(**tables)
    return relevance_of(dataset, ItemStore(dataset.items))


def as_rows(relevance) -> set[tuple[str, int, float]]:
    return {
        (relevance.queries[query], int(item), float(grade))
        for query, item, grade in zip(relevance.query, relevance.item, relevance.grade, strict=True)
    }


JUDGED = [
    ("q2", "oak desk", "i4", 3.0, "train"),
    ("q1", "red lamp", "i0", 2.0, "dev"),
    ("q2", "oak desk", "i1", 1.0, "train"),
    ("q1", "red lamp", "i5", 1.5, "dev"),
    ("q3", "oak desk!", "i4", 2.0, "test"),
]


def test_judgments_become_graded_pairs_sorted_by_query():
    found = found_of(judged=JUDGED)
    assert as_rows(found) == {
        ("oak desk", 4, 3.0),
        ("oak desk", 1, 1.0),
        ("red lamp", 0, 2.0),
        ("red lamp", 5, 1.5),
    }
    assert (np.diff(found.query) >= 0).all()
    assert dict(zip(found.queries, found.splits, strict=True)) == {
        "oak desk": "train", "red lamp": "dev"
    }  # fmt: skip
    by_query = {
        query: (found.gain[pairs].tolist(), found.relevant[pairs].tolist())
        for number, query in enumerate(found.queries)
        for pairs in [found.pairs_of(number)]
    }
    assert by_query["oak desk"] == ([2.0, 0.0], [True, False])
    assert by_query["red lamp"] == ([1.0, 0.5], [True, False])


def test_a_split_is_taken_with_its_queries_numbered_anew():
    found = found_of(judged=JUDGED)
    dev = found.only("dev")
    assert (dev.queries, dev.splits) == (("red lamp",), ("dev",))
    assert dev.query.tolist() == [0, 0]
    assert as_rows(dev) == {("red lamp", 0, 2.0), ("red lamp", 5, 1.5)}
    assert found.only("nothing").queries == ()
    assert found.only("nothing").pairs_of(0) == slice(0, 0)


EVENTS_SEEN = [
    ("impression", "red lamp", "i0"),
    ("click", "red lamp", "i0"),
    ("purchase", "Red  LAMP", "i0"),
    ("click", "red lamp", "i0"),
    ("click", "red lamp", "i1"),
    ("add_to_cart", "oak desk", "i4"),
    ("impression", "oak desk", "i5"),
    ("purchase", None, "i3"),
]


def test_events_are_worth_the_strongest_thing_anybody_did():
    found = found_of(events=EVENTS_SEEN)
    assert as_rows(found) == {("red lamp", 0, 3.0), ("red lamp", 1, 1.0), ("oak desk", 4, 2.0)}
    assert found.relevant.all()
    assert found.grade_min == 0
    assert found.splits == tuple(split_of(query) for query in found.queries)


def test_impressions_and_events_without_a_query_say_nothing():
    assert found_of(events=[EVENTS_SEEN[0], EVENTS_SEEN[-1]]) is None


def test_judgments_come_before_events_and_items_alone_say_nothing():
    assert as_rows(found_of(judged=JUDGED, events=EVENTS_SEEN)) == as_rows(found_of(judged=JUDGED))
    assert found_of() is None


def test_judgments_of_test_alone_leave_training_to_the_events_of_other_queries():
    judged = [("q3", "Oak desk", "i4", 2.0, "test")]
    assert found_of(judged=judged) is None
    found = found_of(judged=judged, events=EVENTS_SEEN)
    assert as_rows(found) == {("red lamp", 0, 3.0), ("red lamp", 1, 1.0)}
    assert found_of(judged=judged, events=[("click", "oak  DESK", "i4")]) is None


@pytest.mark.parametrize("query", ["STRASSE", "straße", "  Straße\u3000"])
def test_queries_of_events_are_one_in_their_normal_form(query):
    found = found_of(events=[("click", query, "i0"), ("click", "strasse", "i1")])
    assert found.queries == ("strasse",)
    assert found.item.tolist() == [0, 1]


def test_training_sees_events_of_no_test_query():
    queries = [f"lamp {number}" for number in range(60)]
    unjudged = [("click", query, "i0") for query in queries]
    dataset = dataset_of(
        judged=JUDGED, events=[*unjudged, ("click", "Oak  DESK!", "i4"), ("click", None, "i1")]
    )
    kept = outside_test(dataset.events, dataset.judgments)["query"].to_pylist()
    assert kept == [*(query for query in queries if split_of(query) != "test"), None]
    assert 0 < len(kept) - 1 < len(queries)
