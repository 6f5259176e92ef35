"""Public datasets: the files of each, joined; items, judgments and events."""

import datetime
import json

import pyarrow as pa
import pyarrow.parquet as pq

from catalog.dataset.reading import read_dataset, split_of
from catalog.importing.importer import import_exports
from tests.catalog.importing.imports import NOW, run, table


def time(*parts):
    return datetime.datetime(*parts, tzinfo=datetime.UTC)


def lines(*records):
    return "".join(json.dumps(record) + "\n" for record in records)


def test_home_depot_joins_four_files(tmp_path):
    folder = tmp_path / "home-depot"
    folder.mkdir()
    files = {
        "train.csv": (
            '"id","product_uid","product_title","search_term","relevance"\n'
            '2,100001,"Simpson Strong-Tie 12-Gauge Angle","angle bracket",3\n'
            '3,100001,"Simpson Strong-Tie 12-Gauge Angle","l bracket",2.5\n'
        ),
        "test.csv": (
            '"id","product_uid","product_title","search_term"\n'
            '4,100002,"Behr 1 gal. Café &amp; Deck","deck over",\n'.replace(",\n", "\n")
            + '5,100002,"Behr 1 gal. Café &amp; Deck","paint"\n'
        ),
        "solution.csv": '"id","relevance","Usage"\n4,1.67,"Public"\n5,-1,"Ignored"\n',
        "product_descriptions.csv": (
            '"product_uid","product_description"\n100001,"Not only do angles<br />help"\n'
        ),
        "attributes.csv": (
            '"product_uid","name","value"\n100001,"Bullet01","Versatile connector"\n'
            '100001,"Material","Galvanized Steel"\n100001,"MFG Brand Name","Simpson"\n,,\n'
        ),
    }
    for name, text in files.items():
        (folder / name).write_bytes(text.encode("cp1252"))
    report = import_exports([folder], tmp_path / "dataset", now=NOW)
    assert table(tmp_path) == [
        {"item_id": "100002", "title": "Behr 1 gal. Café & Deck"},
        {
            "item_id": "100001",
            "title": "Simpson Strong-Tie 12-Gauge Angle",
            "description": "Not only do angles help Versatile connector",
            "brand": "Simpson",
            "attributes": [("Material", "Galvanized Steel")],
        },
    ]
    judged = [(j["query"], j["item_id"], j["grade"]) for j in table(tmp_path, "judgments")]
    assert judged == [
        ("deck over", "100002", 1.67),
        ("angle bracket", "100001", 3.0),
        ("l bracket", "100001", 2.5),
    ]
    info = read_dataset(tmp_path / "dataset").info
    assert (info.name, info.grade_min) == ("Home Depot product search relevance", 1.0)
    assert report.left_out["a query and item without a grade"].rows == 1
    assert report.problems == []


def test_esci_takes_one_language_and_makes_a_dev_split(tmp_path):
    queries = [f"query {n}" for n in range(40)]
    examples = {
        "query": [*queries, "# 8 tornillo", "bulb"],
        "query_id": [*range(40), 40, 41],
        "product_id": ["B01"] * 42,
        "product_locale": ["us"] * 40 + ["es", "us"],
        "esci_label": [*"ESCI" * 10, "E", "S"],
        "split": ["train"] * 40 + ["train", "test"],
    }
    products = {
        "product_id": ["B01", "B01", "B02"],
        "product_title": ["Bulb 💡", "Bombilla", "Lamp"],
        "product_description": ["<p>Bright</p>", None, None],
        "product_bullet_point": ["60 W\nE27", None, None],
        "product_brand": ["Lux", "Lux", None],
        "product_color": ["White", None, None],
        "product_locale": ["us", "es", "us"],
    }
    exports = []
    for name, content in (("examples", examples), ("products", products)):
        exports.append(tmp_path / f"shopping_queries_dataset_{name}.parquet")
        pq.write_table(pa.table(content), exports[-1])
    report = import_exports(exports, tmp_path / "dataset", language="en")
    assert table(tmp_path) == [
        {
            "item_id": "B01",
            "title": "Bulb 💡",
            "description": "Bright 60 W E27",
            "brand": "Lux",
            "language": "en",
            "attributes": [("color", "White")],
        },
        {"item_id": "B02", "title": "Lamp", "language": "en"},
    ]
    judgments = table(tmp_path, "judgments")
    assert [j["grade"] for j in judgments] == [3, 2, 1, 0] * 10 + [2]
    expected = ["dev" if split_of(query) == "dev" else "train" for query in queries]
    assert "dev" in expected
    assert [j["split"] for j in judgments] == [*expected, "test"]
    assert judgments[-1]["query_id"] == "41"
    assert report.left_out["a row in another language than en"].rows == 2


def test_wands_joins_queries_and_labels(tmp_path):
    run(
        tmp_path,
        {
            "product.csv": (
                "product_id\tproduct_name\tproduct_class\tcategory hierarchy\tproduct_description\t"
                "product_features\trating_count\taverage_rating\treview_count\n"
                "0\tsolid wood bed\tBeds\tFurniture / Bedroom Furniture / Beds\tgood , deep sleep\t"
                "overallwidth:64.7|dsprimaryproductstyle : modern|color : red|color : blue\t15.0\t"
                "4.5\t15.0\n1\tcup\t\t\t\t\t\t\t\n"
            ),
            "query.csv": "query_id\tquery\tquery_class\n0\tsalon chair\tMassage Chairs\n",
            "label.csv": (
                "id\tquery_id\tproduct_id\tlabel\n0\t0\t0\tExact\n1\t0\t1\tIrrelevant\n"
                "2\t9\t1\tPartial\n"
            ),
        },
    )
    bed, cup = table(tmp_path)
    assert bed == {
        "item_id": "0",
        "title": "solid wood bed",
        "description": "good , deep sleep",
        "category": "Furniture > Bedroom Furniture > Beds",
        "categories": ["Furniture > Bedroom Furniture > Beds", "Beds"],
        "rating": 4.5,
        "rating_count": 15,
        "attributes": [
            ("overallwidth", "64.7"),
            ("dsprimaryproductstyle", "modern"),
            ("color", "red"),
            ("color", "blue"),
        ],
    }
    assert cup == {"item_id": "1", "title": "cup"}
    judgments = [(j["query"], j["item_id"], j["grade"]) for j in table(tmp_path, "judgments")]
    assert judgments == [("salon chair", "0", 2.0), ("salon chair", "1", 0.0)]


def event(action, item, ordinal, **others):
    attributes = {"object": {"object_id": item}, "position": {"ordinal": ordinal}}
    shared = {"action_name": action, "query_id": "q1", "client_id": "u1", "session_id": "s1"}
    return shared | {"timestamp": "2024-05-01T10:00:00.5Z", "event_attributes": attributes} | others


def test_ubi_events_join_their_queries_and_a_feed(tmp_path):
    report = run(
        tmp_path,
        {
            "feed.tsv": "id\ttitle\tprice\tavailability\nA\tLamp\t5 EUR\tin stock\n",
            "ubi_queries.ndjson": lines({"query_id": "q1", "user_query": "desk lamp"}),
            "ubi_events.ndjson": lines(
                event("item_click", "A", 0),
                {"_index": "ubi_events", "_source": event("purchase", "A", None, user_query="x")},
                event("add-to-cart", "A", 2, timestamp=1714557600000),
                event("search", None, None),
                event("click", None, None),
            ),
        },
    )
    shared = {"item_id": "A", "session_id": "s1", "user_id": "u1"}
    start = time(2024, 5, 1, 10, 0, 0, 500_000)
    assert table(tmp_path, "events") == [
        shared | {"time": start, "type": "click", "query": "desk lamp", "position": 1},
        shared | {"time": start, "type": "purchase", "query": "x"},
        shared
        | {
            "time": time(2024, 5, 1, 10),
            "type": "add_to_cart",
            "query": "desk lamp",
            "position": 3,
        },
    ]
    assert report.left_out["an event search"].rows == 1
    assert report.left_out["an event without an item"].rows == 1


def test_amazon_reviews_give_items_and_purchases(tmp_path):
    product = {
        "main_category": "All Beauty",
        "title": "Howard LC0008 Leather Conditioner",
        "average_rating": 4.8,
        "rating_number": 10,
        "features": ["Made in the USA", "8 oz"],
        "description": ["For all <b>leather</b>"],
        "price": "from 12.99",
        "images": [{"thumb": "t", "large": "https://i/l.jpg", "hi_res": None}, {"hi_res": "h"}],
        "store": "Howard",
        "categories": ["Beauty", "Skin"],
        "details": {"Package Weight": "0.4 kg", "Sizes": ["S", "M"]},
        "parent_asin": "B01",
        "bought_together": None,
    }
    bare = {"title": "Gift", "price": "None", "average_rating": 3, "parent_asin": "B02"}
    review = {"rating": 5.0, "title": "Great", "parent_asin": "B01", "user_id": "U"}
    report = run(
        tmp_path,
        {
            "meta_All_Beauty.jsonl": lines(product, bare),
            "All_Beauty.jsonl": lines(
                review | {"timestamp": 1588687728923, "verified_purchase": True},
                review | {"timestamp": 1588687728923, "verified_purchase": False},
            ),
        },
    )
    assert table(tmp_path) == [
        {
            "item_id": "B01",
            "title": "Howard LC0008 Leather Conditioner",
            "description": "For all leather Made in the USA 8 oz",
            "brand": "Howard",
            "category": "All Beauty > Beauty > Skin",
            "price": 12.99,
            "rating": 4.8,
            "rating_count": 10,
            "image_url": "https://i/l.jpg",
            "attributes": [
                ("Package Weight", "0.4 kg"),
                ("Sizes", "S"),
                ("Sizes", "M"),
                ("more images", "h"),
            ],
        },
        {"item_id": "B02", "title": "Gift", "rating": 3.0},
    ]
    assert table(tmp_path, "events") == [
        {
            "time": time(2020, 5, 5, 14, 8, 48, 923_000),
            "item_id": "B01",
            "type": "purchase",
            "user_id": "U",
        }
    ]
    assert report.left_out["a review without a verified purchase"].rows == 1
    assert report.problems == []
