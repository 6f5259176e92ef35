"""Public datasets: Home Depot, ESCI, WANDS, UBI events and Amazon Reviews 2023."""

import datetime
import gzip
import io

import pyarrow as pa
import pyarrow.parquet as pq

from tests.catalog.importing.made.export import (
    LONG_HTML,
    LONG_TEXT,
    MadeExport,
    csv_of,
    json_lines,
)

_UTC = datetime.UTC

HOME_DEPOT = MadeExport(
    {
        name: text.encode("cp1252")
        for name, text in {
            "train.csv": (
                '"id","product_uid","product_title","search_term","relevance"\n'
                '2,100001,"Simpson Strong-Tie 12-Gauge Angle ½ in.","angle bracket",3\n'
                '3,100001,"Simpson Strong-Tie 12-Gauge Angle ½ in.","l bracket",2.5\n'
                '9,100003,"Kettle &#x1F4A7;","angle bracket",1\n'
            ),
            "test.csv": (
                '"id","product_uid","product_title","search_term"\r\n'
                '4,100002,"Behr 1 gal. Café &amp; Deck","deck over"\r\n'
                '5,100002,"Behr 1 gal. Café &amp; Deck","paint"\r\n'
            ),
            "solution.csv": '"id","relevance","Usage"\n4,1.67,"Public"\n5,-1,"Ignored"\n',
            "product_descriptions.csv": (
                '"product_uid","product_description"\n100001,"Not only do angles<br />help"\n'
                f'100003,"{LONG_HTML}"\n'
            ),
            "attributes.csv": (
                '"product_uid","name","value"\n100001,"Bullet01","Versatile connector"\n'
                '100001,"Material","Galvanized Steel"\n100001,"MFG Brand Name","Simpson"\n'
                '100001,"Material","Zinc"\n100003,"Color",\n,,\n'
            ),
        }.items()
    },
    [
        {
            "item_id": "100001",
            "title": "Simpson Strong-Tie 12-Gauge Angle ½ in.",
            "description": "Not only do angles help Versatile connector",
            "brand": "Simpson",
            "attributes": [("Material", "Galvanized Steel"), ("Material", "Zinc")],
        },
        {"item_id": "100003", "title": "Kettle 💧", "description": LONG_TEXT},
        {"item_id": "100002", "title": "Behr 1 gal. Café & Deck"},
    ],
    search=("simpson angle", "100001"),
    left_out={"a query and item without a grade": 1},
    judgments=[
        ("angle bracket", "100001", 3.0),
        ("l bracket", "100001", 2.5),
        ("angle bracket", "100003", 1.0),
        ("deck over", "100002", 1.67),
    ],
)


def _parquet(**columns: list[str | int | None]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


ESCI = MadeExport(
    {
        "shopping_queries_dataset_examples.parquet": _parquet(
            example_id=[0, 1, 2, 3],
            query=["led bulb", "led bulb", "# 8 tornillo", "bulb ☀"],
            query_id=[7, 7, 8, 9],
            product_id=["B01", "B02", "B01", "B02"],
            product_locale=["us", "us", "es", "us"],
            esci_label=["E", "C", "E", "S"],
            small_version=[0, 0, 1, 1],
            large_version=[1, 1, 1, 1],
            split=["test", "test", "test", "test"],
        ),
        "shopping_queries_dataset_products.parquet": _parquet(
            product_id=["B01", "B01", "B02"],
            product_title=["Bulb <b>LED</b> 💡", "Bombilla", "Lamp"],
            product_description=["<p>Bright &amp; warm</p>", None, LONG_HTML],
            product_bullet_point=["60 W\nE27", None, ""],
            product_brand=["Lux", "Lux", None],
            product_color=["White", None, None],
            product_locale=["us", "es", "us"],
        ),
    },
    [
        {
            "item_id": "B01",
            "title": "Bulb LED 💡",
            "description": "Bright & warm 60 W E27",
            "brand": "Lux",
            "language": "en",
            "attributes": [("color", "White")],
        },
        {"item_id": "B02", "title": "Lamp", "description": LONG_TEXT, "language": "en"},
    ],
    search=("bulb led", "B01"),
    left_out={"a row in another language than en": 2},
    unused=["example_id", "small_version", "large_version"],
    judgments=[("led bulb", "B01", 3.0), ("led bulb", "B02", 1.0), ("bulb ☀", "B02", 2.0)],
    options={"language": "en"},
)

_WANDS = [
    {
        "product_id": "0",
        "product_name": "solid wood bed – crème",
        "product_class": "Beds|Frames",
        "category hierarchy": "Furniture / Bedroom Furniture / Beds",
        "product_description": "good , deep &amp; <i>sound</i> sleep",
        "product_features": "overallwidth:64.7|style : modern|color : red|color : blue|note",
        "rating_count": "15.0",
        "average_rating": "4.5",
        "review_count": "15.0",
    },
    {"product_id": "1", "product_name": "cup ☕", "product_description": LONG_HTML},
]
WANDS = MadeExport(
    {
        "product.csv": csv_of(_WANDS, delimiter="\t", end="\n").encode(),
        "query.csv": b"query_id\tquery\tquery_class\n0\tsalon chair\tMassage Chairs\n",
        "label.csv": (
            b"id\tquery_id\tproduct_id\tlabel\n0\t0\t0\tExact\n1\t0\t1\tIrrelevant\n"
            b"2\t0\t0\tExact\n"
        ),
    },
    [
        {
            "item_id": "0",
            "title": "solid wood bed – crème",
            "description": "good , deep & sound sleep",
            "category": "Furniture > Bedroom Furniture > Beds",
            "categories": ["Furniture > Bedroom Furniture > Beds", "Beds", "Frames"],
            "rating": 4.5,
            "rating_count": 15,
            "attributes": [
                ("overallwidth", "64.7"),
                ("style", "modern"),
                *(("color", "red"), ("color", "blue")),
            ],
        },
        {"item_id": "1", "title": "cup ☕", "description": LONG_TEXT},
    ],
    search=("wood bed", "0"),
    left_out={"a repeated row of judgments": 1},
    unused=["review_count", "query_class", "id"],
    judgments=[("salon chair", "0", 2.0), ("salon chair", "1", 0.0)],
)

_EVENT = {
    "application": "shop",
    "action_name": "item_click",
    "query_id": "q1",
    "client_id": "u1",
    "session_id": "s1",
    "timestamp": "2024-05-01T10:00:00.5+02:00",
    "message_type": "INFO",
    "event_attributes": {
        "object": {"object_id": "A", "object_id_field": "sku"},
        "position": {"ordinal": 0, "x": 1},
    },
}
_OF_A = {"item_id": "A", "session_id": "s1", "user_id": "u1"}
UBI = MadeExport(
    {
        "feed.tsv": b"id\ttitle\tprice\tavailability\nA\tLamp\t5,50 EUR\tin stock\n",
        "ubi_queries.ndjson": json_lines(
            {"_source": {"query_id": "q1", "user_query": "desk lamp 💡", "client_id": "u1"}}
        ),
        "ubi_events.ndjson": b"\xef\xbb\xbf"
        + json_lines(
            _EVENT,
            {"_index": "ubi_events", "_source": _EVENT | {"action_name": "purchase"}},
            _EVENT
            | {
                "action_name": "add-to-cart",
                "timestamp": 1714557600000,
                "event_attributes": {
                    "object": {"object_id": "A"},
                    "position": {"ordinal": 2},
                    "note": LONG_HTML,
                },
            },
            _EVENT | {"action_name": "page_scroll"},
            _EVENT | {"event_attributes": {"object": {}}},
        ),
    },
    [{"item_id": "A", "title": "Lamp", "price": 5.5, "currency": "EUR", "in_stock": True}],
    search=("lamp", "A"),
    left_out={"an event page_scroll": 1, "an event without an item": 1},
    unused=["application", "message_type", "_index", "_source"],
    events=[
        _OF_A
        | {
            "time": datetime.datetime(2024, 5, 1, 8, 0, 0, 500_000, tzinfo=_UTC),
            "type": kind,
            "query": "desk lamp 💡",
            "position": 1,
        }
        for kind in ("click", "purchase")
    ]
    + [
        _OF_A
        | {
            "time": datetime.datetime(2024, 5, 1, 10, tzinfo=_UTC),
            "type": "add_to_cart",
            "query": "desk lamp 💡",
            "position": 3,
        }
    ],
)

AMAZON_REVIEWS = MadeExport(
    {
        "meta_All_Beauty.jsonl.gz": gzip.compress(
            json_lines(
                {
                    "main_category": "All Beauty",
                    "title": "Howard &amp; Sons Leather <b>Conditioner</b> ✨",
                    "average_rating": 4.8,
                    "rating_number": 10,
                    "features": ["Made in the USA", "8 oz"],
                    "description": ["For all <b>leather</b>", LONG_HTML],
                    "price": "from 12.99",
                    "images": [
                        {"thumb": "t", "large": "https://i/l.jpg", "hi_res": None},
                        {"thumb": "t", "large": "l", "hi_res": "https://i/h.jpg"},
                    ],
                    "videos": [],
                    "store": "Howard",
                    "categories": ["Beauty", "Skin"],
                    "details": {"Package Weight": "0.4 kg", "Sizes": ["S", "M"]},
                    "parent_asin": "B01",
                    "bought_together": None,
                },
                {"title": "Gift", "price": "None", "average_rating": 3, "parent_asin": "B02"},
            )
        ),
        "All_Beauty.jsonl": json_lines(
            *(
                {
                    "rating": 5.0,
                    "title": "Great",
                    "text": "So good 😊",
                    "images": [],
                    "asin": "B01X",
                    "parent_asin": "B01",
                    "user_id": "U",
                    "timestamp": 1588687728923,
                    "helpful_vote": 0,
                    "verified_purchase": verified,
                }
                for verified in (True, False)
            )
        ),
    },
    [
        {
            "item_id": "B01",
            "title": "Howard & Sons Leather Conditioner ✨",
            "description": f"For all leather {LONG_TEXT} Made in the USA 8 oz",
            "brand": "Howard",
            "category": "All Beauty > Beauty > Skin",
            "price": 12.99,
            "rating": 4.8,
            "rating_count": 10,
            "image_url": "https://i/l.jpg",
            "attributes": [
                *(("Package Weight", "0.4 kg"), ("Sizes", "S"), ("Sizes", "M")),
                ("more images", "https://i/h.jpg"),
            ],
        },
        {"item_id": "B02", "title": "Gift", "rating": 3.0},
    ],
    search=("leather conditioner", "B01"),
    left_out={"a review without a verified purchase": 1},
    unused=["videos", "bought_together", "rating", "text", "asin", "helpful_vote"],
    events=[
        {
            "time": datetime.datetime(2020, 5, 5, 14, 8, 48, 923_000, tzinfo=_UTC),
            "item_id": "B01",
            "type": "purchase",
            "user_id": "U",
        }
    ],
)
