"""The training step `behaviour`: what it counts."""

from pathlib import Path

import numpy as np
import pytest

from base.errors import InputError
from behaviour.models.item_to_item import ItemToItem
from catalog.store import ItemStore
from search.channels.also_bought import BY_BASKET, BY_PERSON
from search.channels.model_items import read_item_ids
from search.channels.popular_counts import PopularCounts
from tests.shoppers import purchase, table
from tests.tiny import tiny_items
from train.pipeline.behaviour import BehaviourConfig, fit_behaviour

STORE = ItemStore.of(tiny_items())
A, B, C = 0, 1, 2
IDS = [item.item_id for item in tiny_items()]


def fit(directory: Path, rows, **options):
    vectors = np.eye(len(STORE), 64, dtype=np.float32)
    events = None if rows is None else table(rows)
    report = fit_behaviour(directory, events, STORE, vectors, BehaviourConfig(**options))
    assert read_item_ids(directory) == IDS
    counts = PopularCounts.read(directory, len(STORE))
    weights = {
        name: ItemToItem.open(directory / name, len(STORE)).weights
        for name in (BY_PERSON, BY_BASKET)
    }
    return report, counts, weights


def test_items_alone_have_no_counts(tmp_path):
    report, counts, weights = fit(tmp_path, None)
    assert report == {"events": 0, "model": "none", "segments": 0}
    assert not counts.has_events
    assert not any(of.nnz for of in weights.values())


def test_items_of_one_basket_and_of_one_person_are_told_apart(tmp_path):
    rows = [
        row
        for user in ("u", "v", "w")
        for row in (
            purchase(user, IDS[A], 9, f"{user}-1"),
            purchase(user, IDS[B], 9, f"{user}-1"),
            purchase(user, IDS[C], 3, f"{user}-2"),
        )
    ]
    _, _, weights = fit(tmp_path, rows)
    assert weights[BY_BASKET][A, B] > 0
    assert weights[BY_BASKET][A, C] == 0
    assert weights[BY_PERSON][A, B] > 0
    assert weights[BY_PERSON][A, C] > 0


def test_the_counts_have_no_ids_of_people_and_sessions(tmp_path):
    rows = [purchase(f"ada-{n}", IDS[n], 9, f"visit-{n}", query=f"for ada-{n}") for n in range(3)]
    fit(tmp_path, rows)
    content = b"".join(path.read_bytes() for path in sorted(tmp_path.iterdir()))
    assert IDS[A].encode() in content  # the files are not compressed
    assert b"ada-" not in content
    assert b"visit-" not in content


def test_many_items_are_counted_without_ease(tmp_path):
    rows = [purchase(user, IDS[item]) for user in "uv" for item in (A, B)]
    report, _, weights = fit(tmp_path, rows, max_ease_items=1)
    assert report["model"] == "cooccurrence"
    assert weights[BY_PERSON][A, B] > 0
    report, _, _ = fit(tmp_path, rows)
    assert report["model"] == "ease"


def test_popularity_decays_and_leaves_out_returned_goods(tmp_path):
    rows = [
        purchase("u", IDS[A], 1),
        purchase("v", IDS[B], 8),
        purchase("w", IDS[C], 1, quantity=-1),
    ]
    _, counts, _ = fit(tmp_path, rows)
    assert counts.values[0, [A, B, C]].tolist() == [1.0, 0.5, 0.0]


def test_segments_with_enough_events_are_counted(tmp_path):
    rows = [
        purchase(f"u-{n}", IDS[A if n < 6 else B], context=[("country", "UK" if n < 6 else "FR")])
        for n in range(9)
    ]
    _, counts, _ = fit(tmp_path, rows, min_segment_events=4)
    assert counts.segments({"country": "UK"}) == ("country=UK",)
    assert counts.segments({"country": "FR"}) == ()
    assert counts.shares({"country": "UK"})[[A, B]].tolist() == [1.0, 0.25]


def test_of_many_segments_those_with_the_most_events_are_counted(tmp_path, caplog):
    rows = [
        purchase(f"{country}-{n}", IDS[A], context=[("country", country)])
        for country, events in (("AT", 4), ("DE", 6), ("FR", 5), ("UK", 5))
        for n in range(events)
    ]
    _, counts, _ = fit(tmp_path, rows, min_segment_events=5, max_segments=2)
    assert dict(counts.rows) == {"country=DE": 1, "country=FR": 2}
    assert counts.values.shape == (3, len(IDS))
    assert "3 segments have 5 events or more; counting the 2 with the most events" in caplog.text


def test_events_after_the_cut_do_not_count(tmp_path):
    rows = [purchase("u", IDS[A], 40), purchase("v", IDS[B], 5)]
    report, counts, _ = fit(tmp_path, rows, before="2024-02-01")
    assert report["events"] == 1
    assert counts.values[0, [A, B]].tolist() == [1.0, 0.0]


def test_clicks_count_if_nobody_bought_anything(tmp_path):
    clicks = [purchase("u", IDS[A], type="click"), purchase("u", IDS[B], type="click")]
    _, counts, weights = fit(tmp_path, clicks)
    assert counts.values[0, [A, B]].tolist() == [1.0, 1.0]
    assert weights[BY_BASKET][A, B] > 0
    _, counts, _ = fit(tmp_path, [*clicks, purchase("v", IDS[C])])
    assert counts.values[0, [A, B, C]].tolist() == [0.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("before", "yesterday"),
        ("half_life_days", 0.0),
        ("neighbours", 0),
        ("ease_penalty", 0.0),
        ("max_segments", -1),
    ],
)
def test_wrong_options_are_refused(option, value):
    with pytest.raises(InputError, match=option):
        BehaviourConfig(**{option: value})
