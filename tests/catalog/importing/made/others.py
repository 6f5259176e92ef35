"""Exports of other shops with a mapping file (csv and JSON), and Shortlist's own tables."""

import json

from tests.catalog.importing.made.export import LONG_HTML, LONG_TEXT, MadeExport, csv_of

_MAPPING = """
[items]
item_id = "Art.-Nr."
title = "Bezeichnung"
description = ["Kurztext", "Langtext"]
categories = {column = "Pfad", split = "|", levels = "/"}
price = "Preis brutto"
list_price = "UVP"
in_stock = {column = "Lager", values = {rot = "no", "grün" = "yes"}}
identifiers = "EAN"
images = {column = "Bilder", split = " "}

[items.attributes]
colour = "Farbe"
size = {column = "Größen", split = ","}

[judgments]
query = "suche"
item_id = "artikel"
grade = {column = "note", values = {gut = 2, schlecht = 0}}
"""
_ARTICLES = [
    {
        "Art.-Nr.": "007",
        "Bezeichnung": "Stuhl „Köln“ &#x1FA91;",
        "Kurztext": "Bequem",
        "Langtext": "<p>Aus Holz</p>",
        "Pfad": "Möbel/Stühle|Büro/Stühle",
        "Preis brutto": "1.099,00 €",
        "UVP": "1.199,00 €",
        "Lager": "grün",
        "EAN": "'4006381333931",
        "Bilder": "https://i/1.jpg https://i/2.jpg",
        "Farbe": "rot",
        "Größen": "S, M",
        "Intern": "x",
    },
    {
        "Art.-Nr.": "008",
        "Bezeichnung": "Tisch",
        "Langtext": LONG_HTML,
        "Pfad": "Möbel/Tische",
        "Preis brutto": "89,5",
        "Lager": "rot",
        "EAN": "NULL",
    },
]
_GRADES = "suche,artikel,note\nstuhl,007,gut\nstuhl,008,schlecht\nSTUHL,007,gut\n"
MAPPED_CSV = MadeExport(
    {
        "artikel.csv": ("sep=;\r\n" + csv_of(_ARTICLES, delimiter=";")).encode("cp1252"),
        "noten.csv": _GRADES.encode("utf-16"),
    },
    [
        {
            "item_id": "007",
            "title": "Stuhl „Köln“ 🪑",
            "description": "Bequem Aus Holz",
            "category": "Möbel > Stühle",
            "categories": ["Möbel > Stühle", "Büro > Stühle"],
            "price": 1199.0,
            "sale_price": 1099.0,
            "currency": "EUR",
            "language": "de",
            "in_stock": True,
            "identifiers": ["4006381333931"],
            "image_url": "https://i/1.jpg",
            "attributes": [
                *(("colour", "rot"), ("size", "S"), ("size", "M")),
                ("more images", "https://i/2.jpg"),
            ],
        },
        {
            "item_id": "008",
            "title": "Tisch",
            "description": LONG_TEXT,
            "category": "Möbel > Tische",
            "price": 89.5,
            "currency": "EUR",
            "language": "de",
            "in_stock": False,
        },
    ],
    search=("stuhl köln", "007"),
    left_out={"a repeated row of judgments": 1},
    unused=["Intern"],
    judgments=[("stuhl", "007", 2.0), ("stuhl", "008", 0.0)],
    options={"currency": "EUR", "language": "de"},
    mapping=_MAPPING,
)

_RECORDS = [
    {
        "Sku": 7,
        "Names": {"En": "Lamp &amp; shade 💡"},
        "Text": LONG_HTML,
        "Cost": {"gross": "$1,299.50"},
        "Stock": 0,
        "Made": {"of": ["steel", 2.0], "in": "Köln"},
        "Pictures": ["https://i/1.jpg", "https://i/2.jpg"],
        "Paths": ["Home > Lamps", "Sale"],
    },
    {"Sku": 8, "Names": {"En": "Desk"}, "Cost": {"gross": 15}, "Stock": True, "Made": None},
]
MAPPED_JSON = MadeExport(
    {
        "shop.json": json.dumps({"total": 2, "products": _RECORDS}, indent=1).encode("utf-8-sig"),
    },
    [
        {
            "item_id": "7",
            "title": "Lamp & shade 💡",
            "description": LONG_TEXT,
            "category": "Home > Lamps",
            "categories": ["Home > Lamps", "Sale"],
            "price": 1299.5,
            "currency": "USD",
            "in_stock": False,
            "image_url": "https://i/1.jpg",
            "attributes": [
                *(("of", "steel"), ("of", "2"), ("in", "Köln")),
                ("more images", "https://i/2.jpg"),
            ],
        },
        {
            "item_id": "8",
            "title": "Desk",
            "price": 15.0,
            "currency": "USD",
            "in_stock": True,
        },
    ],
    search=("desk", "8"),
    options={"currency": "USD"},
    mapping="""
[items]
item_id = "sku"
title = "names.en"
description = "text"
price = "cost.gross"
in_stock = "stock"
attributes = "made"
images = "pictures"
categories = "paths"
""",
)

OWN = MadeExport(
    {
        "items.csv": (
            "\ufeffitem_id;title;description;price;attributes\r\n"
            'a;<b>Lamp</b> 💡;"<p>Warm &amp;<br>small</p>";12,50;'
            '"{""colour"": [""red"", ""blue""]}"\r\n'
            f'b;Desk;"{LONG_HTML}";1.000,00;\r\n'
        ).encode(),
        "judgments.jsonl": b'{"query": "lamp", "item_id": "a", "grade": 2, "split": "test"}\n',
    },
    [
        {
            "item_id": "a",
            "title": "Lamp 💡",
            "description": "Warm & small",
            "price": 12.5,
            "attributes": [("colour", "red"), ("colour", "blue")],
        },
        {"item_id": "b", "title": "Desk", "description": LONG_TEXT, "price": 1000.0},
    ],
    search=("desk", "b"),
    judgments=[("lamp", "a", 2.0)],
)
