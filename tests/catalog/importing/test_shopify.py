"""Shopify's export of products: variants apart from their product, and newer columns."""

from tests.catalog.importing.imports import items, run, table


def test_a_variant_row_far_from_its_product_joins_it_by_handle(tmp_path):
    export = (
        "Handle,Title,Body (HTML),Option1 Name,Option1 Value,Variant Price\n"
        "mug,Mug,Big,Colour,Red,12\ncup,Cup,,,,5\nmug,,,,Blue,12\n"
    )
    run(tmp_path, {"products.csv": export})
    assert [(i["item_id"], i["title"], i.get("description")) for i in table(tmp_path)] == [
        ("mug/Red", "Mug", "Big"),
        ("mug/Blue", "Mug", "Big"),
        ("cup", "Cup", None),
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


def test_the_row_with_the_title_may_follow_a_variant(tmp_path):
    export = (
        "Handle,Title,Vendor,Option1 Name,Option1 Value,Variant Price\n"
        "mug,,,,Blue,12\nmug,Mug,Kiln,Colour,Red,12\n"
    )
    found = items(tmp_path, {"products.csv": export})
    assert [(i["item_id"], i["title"], i["brand"]) for i in found] == [
        ("mug/Blue", "Mug", "Kiln"),
        ("mug/Red", "Mug", "Kiln"),
    ]
