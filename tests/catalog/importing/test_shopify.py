"""Shopify's export of products: variants, images, compare-at prices, stock."""

from tests.catalog.importing.imports import items, run, table

HEADER = (
    "Handle,Title,Body (HTML),Vendor,Product Category,Type,Tags,Published,Option1 Name,"
    "Option1 Value,Option2 Name,Option2 Value,Variant SKU,Variant Grams,"
    "Variant Inventory Tracker,Variant Inventory Qty,Variant Inventory Policy,Variant Price,"
    "Variant Compare At Price,Variant Barcode,Image Src,Image Position,Variant Image,Status\r\n"
)
ROWS = (
    'mug,"Mug, ""Höhe""","<p>Holds<br>0.3&nbsp;l</p>\n<style>p {}</style>",Kesta,'
    'Home & Garden > Kitchen > Mugs,Mugs,"gift, tea",true,Colour,Red,Size,S,MUG-R-S,300,shopify,'
    "0,deny,12.00,15.00,'4006381333931,https://i/1.jpg,1,https://i/red.jpg,active\r\n"
    "mug,,,,,,,,,Blue,,S,MUG-B-S,300,shopify,4,deny,12.00,,,https://i/2.jpg,2,,\r\n"
    "mug,,,,,,,,,,,,,,,,,,,,https://i/3.jpg,3,,\r\n"
    "gift-card,Gift card 🎁,,Kesta,,,,true,Title,Default Title,,,,0,,0,deny,25.00,,,,,,active\r\n"
    "old,Old mug,,Kesta,,,,false,Title,Default Title,,,,0,,0,deny,5.00,,,,,,active\r\n"
    "draft,New mug,,Kesta,,,,true,Title,Default Title,,,,0,shopify,-2,continue,5.00,,,,,,draft\r\n"
    "cup,Cup,,Kesta,,,,TRUE,Title,Default Title,,,,0,shopify,-2,continue,5.00,4.00,,,,,active\r\n"
)


def product(**values):
    shared = {
        "title": 'Mug, "Höhe"',
        "description": "Holds 0.3 l",
        "brand": "Kesta",
        "category": "Home & Garden > Kitchen > Mugs",
        "categories": ["Home & Garden > Kitchen > Mugs", "Mugs"],
        "group_id": "mug",
        "currency": "EUR",
    }
    return shared | values


def test_every_value_of_variants_that_leave_the_product_blank(tmp_path):
    tags = [("tags", "gift"), ("tags", "tea")]
    assert items(tmp_path, {"products.csv": HEADER + ROWS}, currency="EUR") == [
        product(
            item_id="mug/Red/S",
            price=15.0,
            sale_price=12.0,
            in_stock=False,
            image_url="https://i/red.jpg",
            identifiers=["MUG-R-S", "4006381333931"],
            attributes=[
                ("Colour", "Red"),
                ("Size", "S"),
                *tags,
                ("more images", "https://i/1.jpg"),
                ("more images", "https://i/2.jpg"),
                ("more images", "https://i/3.jpg"),
            ],
        ),
        product(
            item_id="mug/Blue/S",
            price=12.0,
            in_stock=True,
            image_url="https://i/1.jpg",
            identifiers=["MUG-B-S"],
            attributes=[
                ("Colour", "Blue"),
                ("Size", "S"),
                *tags,
                ("more images", "https://i/2.jpg"),
                ("more images", "https://i/3.jpg"),
            ],
        ),
        {
            "item_id": "gift-card",
            "title": "Gift card 🎁",
            "brand": "Kesta",
            "price": 25.0,
            "currency": "EUR",
            "in_stock": True,
        },
        {
            "item_id": "cup",
            "title": "Cup",
            "brand": "Kesta",
            "price": 5.0,
            "currency": "EUR",
            "in_stock": True,
        },
    ]


def test_products_that_are_not_published_are_left_out_and_counted(tmp_path):
    report = run(tmp_path, {"products.csv": HEADER + ROWS})
    assert report.left_out["a product that is not published"].rows == 2
    assert report.sources[0].unused == ["Variant Grams", "Image Position"]
    assert report.written == {"items": 4}
    assert report.problems == []


def test_a_variant_row_far_from_its_product_joins_it_by_handle(tmp_path):
    first, second, *_ = ROWS.split("\r\n")
    moved = "\r\n".join([first, ROWS.split("\r\n")[3], second, ""])
    run(tmp_path, {"products.csv": HEADER + moved})
    assert [(i["item_id"], i.get("title")) for i in table(tmp_path)] == [
        ("mug/Red/S", 'Mug, "Höhe"'),
        ("mug/Blue/S", 'Mug, "Höhe"'),
        ("gift-card", "Gift card 🎁"),
    ]


def test_the_newer_names_of_columns(tmp_path):
    export = (
        "Title,URL handle,Description,Vendor,Status,SKU,Barcode,Option1 name,Option1 value,Price,"
        "Compare-at price,Inventory tracker,Inventory quantity,Product image URL\n"
        "Hat,hat,<b>Warm</b>,Pacer,Active,H-1,,Size,M,20.00,25.00,shopify,3,https://i/h.jpg\n"
        ",hat,,,,H-2,,,L,20.00,,shopify,0,\n"
    )
    found = items(tmp_path, {"products.csv": export})
    assert [(i["item_id"], i["title"], i["in_stock"]) for i in found] == [
        ("hat/M", "Hat", True),
        ("hat/L", "Hat", False),
    ]
    assert (found[0]["price"], found[0]["sale_price"], found[0]["identifiers"]) == (25, 20, ["H-1"])
    assert found[1]["description"] == "Warm"
