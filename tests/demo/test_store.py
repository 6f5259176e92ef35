import dataclasses
import datetime
import json
import math
import re
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from base.errors import InputError
from catalog.dataset.reading import read_dataset
from demo import DemoConfig, write_demo_store
from demo.departments import LEAVES
from demo.judgments import grades, text_grades
from demo.products import Product
from demo.queries import Intent

SMALL = DemoConfig(products=300, queries=120, users=30, sessions=80)
TABLES = ("items.parquet", "judgments.parquet", "events.parquet", "users.parquet")


class Store:
    """A demo store, read from its files without our own reader."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.items, self.judgments, self.events, self.users = (
            pq.read_table(directory / name).to_pylist() for name in TABLES
        )
        self.truth = json.loads((directory / "truth.json").read_text())
        self.item = {row["item_id"]: row for row in self.items}
        self.query_ids = {row["query"]: row["query_id"] for row in self.judgments}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    directory = tmp_path_factory.mktemp("demo")
    write_demo_store(directory, seed=11)
    return Store(directory)


def expected_grade(want: dict, item: dict) -> int:
    """Return the grade by the documented rules, from rows of the files."""
    attributes = dict(item["attributes"])
    held = [attributes.get(name) == value for name, value in want["asked"].items()]
    if want["brand"]:
        held.append(item["brand"] == want["brand"])
    if want["max_price"]:
        held.append(item["price"] <= want["max_price"])
    if item["category"] == want["category"]:
        value = 3 if all(held) else 2 if len(held) >= 2 and held.count(False) == 1 else 1
    else:
        same_section = item["category"].split(" > ")[:2] == want["category"].split(" > ")[:2]
        value = int(same_section and all(held))
    value -= not item["in_stock"]
    value -= item["rating_count"] >= 10 and item["rating"] < 3.6
    return max(value, 0)


def test_the_same_seed_writes_equal_bytes_and_another_seed_does_not(tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_demo_store(tmp_path / name, seed=seed, config=SMALL)
    for name in (*TABLES, "dataset.json", "truth.json"):
        first = (tmp_path / "a" / name).read_bytes()
        assert first == (tmp_path / "b" / name).read_bytes(), name
        assert name == "dataset.json" or first != (tmp_path / "c" / name).read_bytes(), name


def test_more_sessions_leave_products_queries_and_users_as_they_were(tmp_path):
    write_demo_store(tmp_path / "a", seed=3, config=SMALL)
    write_demo_store(tmp_path / "b", seed=3, config=dataclasses.replace(SMALL, sessions=90))
    for name in ("items.parquet", "judgments.parquet", "users.parquet"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_the_default_store_has_the_promised_size(store):
    assert len(store.items) == 3000
    assert len({row["category"] for row in store.items}) == len(LEAVES) >= 40
    splits = Counter({row["query_id"]: row["split"] for row in store.judgments}.values())
    assert splits["train"] >= 900
    assert splits["dev"] >= 130
    assert splits["test"] >= 450
    assert 30_000 <= len(store.events) <= 60_000
    assert {len(row["category"].split(" > ")) for row in store.items} == {3}


def test_the_reader_finds_nothing_wrong(store):
    dataset = read_dataset(store.directory)
    assert dataset.warnings == ()
    assert (dataset.info.name, dataset.info.grade_min, dataset.info.relevant_from) == ("demo", 0, 2)
    assert dataset.items.num_rows == 3000


def test_variants_share_brand_category_and_rating_and_differ_in_one_attribute(store):
    groups = defaultdict(list)
    for row in store.items:
        groups[row["group_id"]].append(row)
    assert sum(len(group) > 1 for group in groups.values()) > 500
    for group in groups.values():
        for name in ("brand", "category", "rating", "rating_count", "released"):
            assert len({row[name] for row in group}) == 1
        varies = LEAVES[group[0]["category"].split(" > ")[2]].varies
        rest = {
            tuple(pair for pair in sorted(row["attributes"]) if pair[0] != varies) for row in group
        }
        assert len(rest) == 1
        assert len({dict(row["attributes"])[varies] for row in group}) == len(group)


def test_larger_variants_of_a_product_cost_more(store):
    rising = 0
    prices = defaultdict(list)
    for row in store.items:
        leaf = LEAVES[row["category"].split(" > ")[2]]
        if leaf.varies == "storage":
            size = leaf.options["storage"].index(dict(row["attributes"])["storage"])
            prices[row["group_id"]].append((size, row["price"]))
    for group in prices.values():
        ordered = [price for _, price in sorted(group)]
        assert ordered == sorted(ordered)
        rising += len(ordered) > 1
    assert rising > 10


def test_titles_never_use_the_words_that_only_people_type(store):
    for row in store.items:
        leaf = LEAVES[row["category"].split(" > ")[2]]
        told = f"{row['title']}. {row['description'] or ''}".lower()
        assert any(noun in row["title"].lower() for noun in leaf.nouns)
        for word in leaf.words:
            assert not re.search(rf"\b{re.escape(word)}\b", told), (word, told)


def test_titles_are_short(store):
    words = [len(row["title"].split()) for row in store.items]
    assert 4 <= np.median(words) <= 9
    assert max(words) <= 18


def test_no_query_is_in_two_splits_and_kinds_are_mixed_alike(store):
    splits = defaultdict(set)
    for row in store.judgments:
        splits[" ".join(row["query"].casefold().split())].add((row["split"], row["query_id"]))
    assert all(len(found) == 1 for found in splits.values())
    kinds = defaultdict(Counter)
    for found in splits.values():
        for split, query_id in found:
            kinds[split][store.truth["queries"][query_id]["kind"]] += 1
    for kind, number in kinds["test"].items():
        for split in ("train", "dev"):
            share = kinds[split][kind] / kinds[split].total()
            assert share == pytest.approx(number / kinds["test"].total(), abs=0.03)


def test_no_intent_of_a_test_query_is_asked_for_in_train(store):
    split_of = {row["query_id"]: row["split"] for row in store.judgments}
    asked = defaultdict(set)
    for query_id, want in store.truth["queries"].items():
        if want["asked"] or want["brand"] or want["max_price"]:
            key = (want["category"], str(want["asked"]), want["brand"], want["max_price"])
            asked[key].add(split_of[query_id])
    assert all(len(splits) == 1 for splits in asked.values())


def test_judgments_follow_the_documented_rules(store):
    by_query = defaultdict(dict)
    for row in store.judgments:
        want = store.truth["queries"][row["query_id"]]
        assert row["grade"] == expected_grade(want, store.item[row["item_id"]])
        assert row["item_id"] not in by_query[row["query_id"]]
        by_query[row["query_id"]][row["item_id"]] = row["grade"]
    for judged in by_query.values():
        assert 15 <= len(judged) <= 50
        assert sum(value == 0 for value in judged.values()) >= 8
    with_relevant = sum(max(judged.values()) >= 2 for judged in by_query.values())
    assert with_relevant >= 0.95 * len(by_query)


def test_no_unjudged_item_is_better_than_a_judged_one(store):
    grades = defaultdict(dict)
    for row in store.judgments:
        grades[row["query_id"]][row["item_id"]] = row["grade"]
    for query_id in list(grades)[:60]:
        want = store.truth["queries"][query_id]
        judged = [value for value in grades[query_id].values() if value > 0]
        left = max(
            expected_grade(want, row)
            for row in store.items
            if row["item_id"] not in grades[query_id]
        )
        assert left == 0 or (len(judged) == 40 and left <= min(judged))


def make_product(leaf: str, **changes) -> Product:
    product = Product(
        item_id="P1",
        title="",
        description=None,
        brand="Oakline",
        leaf=LEAVES[leaf],
        group_id="G1",
        price=100.0,
        rating=4.5,
        rating_count=50,
        released=datetime.date(2024, 1, 1),
        in_stock=True,
        attributes={"colour": "grey", "material": "velvet"},
    )
    return dataclasses.replace(product, **changes)


@pytest.mark.parametrize(
    ("leaf", "asked", "brand", "max_price", "expected"),
    [
        ("Sofas", (), None, None, 3),
        ("Sofas", (("colour", "grey"),), "Oakline", 100.0, 3),
        ("Sofas", (("colour", "navy"),), None, None, 1),
        ("Sofas", (("colour", "grey"), ("material", "linen")), None, None, 2),
        ("Sofas", (("colour", "navy"), ("material", "linen")), None, None, 1),
        ("Sofas", (("colour", "grey"), ("seats", "2 seater")), None, None, 2),  # seats unknown
        ("Sofas", (("colour", "grey"),), "Velmora", None, 2),
        ("Sofas", (), None, 99.99, 1),
        ("Armchairs", (), None, None, 1),  # in the same section as sofas
        ("Armchairs", (("colour", "grey"),), None, None, 1),
        ("Armchairs", (("colour", "navy"),), None, None, 0),
        ("Sofa Covers", (), None, None, 0),  # only an accessory of sofas
        ("Laptops", (), None, None, 0),
    ],
)
def test_text_grades_of_a_grey_velvet_oakline_sofa(leaf, asked, brand, max_price, expected):
    intent = Intent(LEAVES[leaf], asked, brand, max_price)
    assert text_grades(intent, [make_product("Sofas")]).tolist() == [expected]
    assert grades(intent, [make_product("Sofas")]).tolist() == [expected]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"in_stock": False}, 2),
        ({"rating": 3.5, "rating_count": 10}, 2),
        ({"rating": 3.5, "rating_count": 9}, 3),  # fewer than 10 ratings do not count
        ({"rating": 3.6}, 3),
        ({"rating": None, "rating_count": 0}, 3),
        ({"in_stock": False, "rating": 2.0}, 1),
    ],
)
def test_stock_and_poor_ratings_lower_the_grade(changes, expected):
    sofa = make_product("Sofas", **changes)
    assert grades(Intent(LEAVES["Sofas"]), [sofa]).tolist() == [expected]
    assert text_grades(Intent(LEAVES["Sofas"]), [sofa]).tolist() == [3]
    assert grades(Intent(LEAVES["Laptops"]), [sofa]).tolist() == [0]


def test_events_reference_known_items_users_and_train_queries(store):
    users = {row["user_id"] for row in store.users}
    train = {row["query"] for row in store.judgments if row["split"] == "train"}
    times = [row["time"] for row in store.events]
    assert times == sorted(times)
    assert max(times) - min(times) <= datetime.timedelta(days=60)
    assert all(time.utcoffset() == datetime.timedelta(0) for time in times[:5])
    for row in store.events:
        assert row["item_id"] in store.item
        assert row["user_id"] in users
        assert row["query"] in train
        assert 1 <= row["position"] <= 10
        assert (row["quantity"] is None) == (row["type"] in ("impression", "click"))


def test_every_step_follows_the_one_before(store):
    seen = defaultdict(set)
    for row in store.events:
        seen[row["type"]].add((row["session_id"], row["query"], row["item_id"]))
    assert seen["click"] <= seen["impression"]
    assert seen["add_to_cart"] <= seen["click"]
    assert seen["purchase"] <= seen["add_to_cart"]
    assert len(seen["purchase"]) > 300
    assert all(store.item[item_id]["in_stock"] for _, _, item_id in seen["add_to_cart"])


def pages(store: Store) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """Return the attractiveness and the clicks of each page's items, by click model.

    Attractiveness is computed from truth.json alone.
    """
    shown, clicked = defaultdict(dict), defaultdict(set)
    for row in store.events:
        key = (row["session_id"], row["user_id"], row["query"])
        if row["type"] == "impression":
            shown[key][row["position"]] = store.item[row["item_id"]]
        elif row["type"] == "click":
            clicked[key].add(row["position"])
    by_category = defaultdict(list)
    for row in store.items:
        by_category[row["category"]].append(row["price"])
    median = {category: float(np.median(prices)) for category, prices in by_category.items()}
    model = store.truth["config"]["behaviour"]
    found = defaultdict(list)
    for (session_id, user_id, query), items in shown.items():
        user = store.truth["users"][user_id]
        want = store.truth["queries"][store.query_ids[query]]
        attractive = []
        for position in range(1, 11):
            item = items[position]
            logit = (
                model["bias"]
                + model["grade_weight"] * expected_grade(want, item)
                + model["brand_weight"] * (item["brand"] in user["favourite_brands"])
                - model["price_weight"]
                * user["price_sensitivity"]
                * math.log(item["price"] / median[item["category"]])
            )
            attractive.append(1 / (1 + math.exp(-logit)))
        name = "cascade" if int(session_id[1:]) % 2 else "position"
        clicks = [position in clicked[session_id, user_id, query] for position in range(1, 11)]
        found[name].append((np.array(attractive), np.array(clicks)))
    return found


@pytest.mark.parametrize("name", ["position", "cascade"])
def test_clicks_follow_the_documented_model(store, name):
    attractive, clicks = (np.stack(part) for part in zip(*pages(store)[name], strict=True))
    assert len(clicks) > 1500
    if name == "position":
        chance = attractive * np.array(store.truth["click_models"]["position"]["theta"])
    else:
        assert clicks.sum(axis=1).max() == 1
        chance = attractive * (np.cumsum(clicks, axis=1) - clicks == 0)
    # The clicks at each position are within four standard deviations of the model's expectation.
    deviation = np.sqrt((chance * (1 - chance)).sum(axis=0))
    assert np.all(np.abs(clicks.sum(axis=0) - chance.sum(axis=0)) < 4 * deviation)
    # At some position, the clicks are far from the expectation of the other model.
    other = attractive if name == "position" else chance / np.arange(1, 11) ** 0.9
    deviation = np.sqrt((other * (1 - other)).sum(axis=0))
    assert np.any(np.abs(clicks.sum(axis=0) - other.sum(axis=0)) > 6 * deviation)


def test_truth_says_theta_and_tastes_and_segments_hint_at_them(store):
    theta = store.truth["click_models"]["position"]["theta"]
    assert theta == pytest.approx([1, 2**-0.9, 3**-0.9, *(k**-0.9 for k in range(4, 11))])
    assert store.truth["seed"] == 11
    sensitivity = defaultdict(list)
    for row in store.users:
        taste = store.truth["users"][row["user_id"]]
        sensitivity[row["segment"]].append(taste["price_sensitivity"])
        assert sum(taste["departments"].values()) == pytest.approx(1)
    means = {segment: np.mean(values) for segment, values in sensitivity.items()}
    assert means["premium"] < means["regular"] < means["saver"]


def test_nothing_but_the_generator_knows_the_truth():
    root = Path(__file__).parents[2]
    for package in ("lexical", "bert", "towers", "rerank", "search", "train", "server"):
        for path in (root / package).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert "truth.json" not in text, path
            assert not re.search(r"catalog\.demo\.", text), path  # no mention of the generator


@pytest.mark.parametrize("field", ["products", "queries", "users", "sessions", "days"])
def test_sizes_out_of_range_are_refused(field):
    with pytest.raises(InputError, match=field):
        DemoConfig(**{field: 0})


def test_a_negative_seed_is_refused(tmp_path):
    with pytest.raises(InputError, match="seed"):
        write_demo_store(tmp_path / "none", seed=-1)
    assert not (tmp_path / "none").exists()
