"""Magento's export of products: additional attributes, variants, store views, American dates."""

from tests.catalog.importing.imports import run, table

HEADER = (
    "sku,store_view_code,attribute_set_code,product_type,categories,product_websites,name,"
    "description,short_description,weight,product_online,visibility,price,special_price,"
    "special_price_from_date,special_price_to_date,base_image,additional_images,"
    "additional_attributes,qty,is_in_stock,configurable_variations\n"
)
ROWS = (
    'MH01-S-Red,,Top,simple,"Default Category,Default Category/Men/Hoodies",base,Hoodie-S-Red,,,1,'
    "1,Not Visible Individually,52.0000,40.0000,6/1/24,6/30/24,/m/h/red.jpg,,"
    '"color=Red,size=S,activity=Gym|Hiking, outside,ean=04006381333931",3.0000,1,\n'
    "MH01-M-Red,,Top,simple,,base,Hoodie-M-Red,,,1,1,Not Visible Individually,52.0000,,,,,,"
    '"color=Red,size=M",0.0000,0,\n'
    'MH01,,Top,configurable,"Default Category/Men/Hoodies,Default Category/Sale",base,Hoodie,'
    '"<p>Warm &amp; soft</p>",,1,1,"Catalog, Search",52.0000,,,,/m/h/main.jpg,'
    '"/m/h/main.jpg,/m/h/back.jpg","manufacturer=Nord,""material=Cotton|Wool 12""""""",0,1,'
    '"sku=MH01-S-Red,size=S,color=Red|sku=MH01-M-Red,size=M,color=Red"\n'
    "MH01,de,Top,configurable,,base,Kapuzenpulli,,,,,,,,,,,,,,,\n"
    "24-BAG,,Bag,simple,Default Category/Gear/Bags,base,Bag 👜,,,1,1,,34.0000,,,,,,,5,,\n"
    "OFF,,Bag,simple,Default Category/Gear/Bags,base,Off,,,1,2,,34.0000,,,,,,,5,,\n"
    "PART,,Bag,simple,,base,Part,,,1,1,Not Visible Individually,4.0000,,,,,,,5,,\n"
)


def test_every_value_of_simple_and_configurable_products(tmp_path):
    report = run(tmp_path, {"export.csv": HEADER + ROWS})
    shared = {
        "description": "Warm & soft",
        "brand": "Nord",
        "group_id": "MH01",
        "price": 52.0,
    }
    material = [("material", "Cotton"), ("material", 'Wool 12"')]
    assert table(tmp_path) == [
        shared
        | {
            "item_id": "MH01-S-Red",
            "title": "Hoodie-S-Red",
            "category": "Men > Hoodies",
            "sale_price": 40.0,
            "in_stock": True,
            "image_url": "/m/h/red.jpg",
            "identifiers": ["04006381333931"],
            "attributes": [
                *material,
                ("color", "Red"),
                ("size", "S"),
                ("activity", "Gym"),
                ("activity", "Hiking, outside"),
                ("more images", "/m/h/main.jpg"),
                ("more images", "/m/h/back.jpg"),
            ],
        },
        shared
        | {
            "item_id": "MH01-M-Red",
            "title": "Hoodie-M-Red",
            "category": "Men > Hoodies",
            "categories": ["Men > Hoodies", "Sale"],
            "in_stock": False,
            "image_url": "/m/h/main.jpg",
            "attributes": [
                *material,
                ("color", "Red"),
                ("size", "M"),
                ("more images", "/m/h/back.jpg"),
            ],
        },
        {
            "item_id": "24-BAG",
            "title": "Bag 👜",
            "category": "Gear > Bags",
            "price": 34.0,
            "in_stock": True,
        },
    ]
    left_out = {reason: entry.rows for reason, entry in report.left_out.items()}
    assert left_out == {
        "a text of another store view": 1,
        "a product whose variants are items": 1,
        "a product that is not online": 1,
        "a product that is not visible": 1,
    }
    assert report.problems == []
    assert report.sources[0].unused == [
        "attribute_set_code",
        "product_type",
        "product_websites",
        "weight",
    ]
