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


def test_items_alone_say_nothing():
    assert found_of() is None


def queries_in(*splits: str) -> list[str]:
    """Return queries of the given splits, by the hash of their texts."""
    texts = (f"shelf {number}" for number in range(1000))
    return [next(text for text in texts if split_of(text) == split) for split in splits]


def with_events(events, weight, judged=JUDGED):
    dataset = dataset_of(judged=judged, events=events)
    return relevance_of(dataset, ItemStore(dataset.items), weight)


def weights_of(relevance) -> dict[tuple[str, int], float]:
    return {
        (relevance.queries[query], int(item)): float(weight)
        for query, item, weight in zip(
            relevance.query, relevance.item, relevance.weight, strict=True
        )
    }


def test_events_join_judgments_with_a_weight_and_grades_of_the_same_scale():
    train, dev, test = queries_in("train", "dev", "test")
    events = [
        ("click", "oak desk", "i0"),  # judged in train, the item is not
        ("purchase", "oak desk", "i1"),  # the pair is judged with grade 1
        ("purchase", train, "i2"),
        ("add_to_cart", train, "i3"),
        ("click", dev, "i2"),
        ("click", test, "i2"),
        ("click", "red lamp", "i2"),  # judged in dev
    ]
    found = with_events(events, 0.25)
    added = {("oak desk", 0): 2.0, (train, 2): 3.0, (train, 3): 2.5, (dev, 2): 2.0}
    grades = {(query, item): grade for query, item, grade in as_rows(found)}
    assert grades == added | {
        (query, item): grade for query, item, grade in as_rows(found_of(judged=JUDGED))
    }
    assert weights_of(found) == dict.fromkeys(grades, 1.0) | {
        ("oak desk", 0): 0.25, (train, 2): 0.25, (train, 3): 0.25
    }  # fmt: skip
    assert found.gain[found.grade == 2.5].tolist() == [1.5 * 0.25]  # (2.5 - grade_min) * weight
    assert (np.diff(found.query) >= 0).all()
    assert dict(zip(found.queries, found.splits, strict=True)) == {
        "oak desk": "train", "red lamp": "dev", train: "train", dev: "dev"
    }  # fmt: skip


def test_without_a_weight_events_train_nothing_but_fill_a_small_dev_split():
    train, dev = queries_in("train", "dev")
    events = [("click", "oak desk", "i0"), ("click", train, "i2"), ("click", dev, "i2")]
    found = with_events(events, 0.0)
    assert as_rows(found) == as_rows(found_of(judged=JUDGED)) | {(dev, 2, 2.0)}
    enough = [(f"d{number}", f"chair {number}", "i0", 3.0, "dev") for number in range(30)]
    assert dev not in with_events(events, 1.0, [*JUDGED, *enough]).queries


def test_a_share_of_the_training_queries_keeps_all_dev_queries():
    judged = [
        (f"{split}{number}", f"{split} {number}", "i0", 3.0, split)
        for split in ("train", "dev")
        for number in range(100)
    ]
    found = found_of(judged=judged).thinned(0.3, seed=1)
    assert found.splits.count("dev") == 100
    assert 15 < found.splits.count("train") < 45
    assert len(found.item) == len(found.queries)


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
