"""WooCommerce's export of products: variations, escaped commas, sale dates, hidden products."""

from tests.catalog.importing.imports import run, table

EXPORT = (
    'ID,Type,SKU,"GTIN, UPC, EAN, or ISBN",Name,Published,"Is featured?","Visibility in catalog",'
    '"Short description",Description,"Date sale price starts","Date sale price ends","In stock?",'
    'Stock,"Sale price","Regular price",Categories,Tags,Images,Parent,Brands,"Attribute 1 name",'
    '"Attribute 1 value(s)","Attribute 1 visible","Attribute 2 name","Attribute 2 value(s)"\r\n'
    '44,variable,HOOD,,"Hoodie – ""Nord""",1,0,visible,"<p>Warm.</p>",'
    '"Soft &amp; warm\\nFor women",,,1,,,,'
    '"Clothing > Hoodies, Sale\\, now > Clothing","warm, nord",'
    '"https://i/a.jpg, https://i/b.jpg",,Nord,Colour,"Blue, Green",1,Size,"S, M"\r\n'
    "45,variation,HOOD-B,'04006381333931,Hoodie - Blue,1,,visible,,,2024-06-01,2024-06-15,1,3,"
    '"39,90","45,00",,,https://i/blue.jpg,HOOD,,Colour,Blue,,,\r\n'
    '46,variation,HOOD-G,,,1,,visible,,,2024-01-01,2024-02-01,0,,"39,90","45,00",,,,id:44,,Colour,'
    "Green,,,\r\n"
    '50,"simple, virtual",,,Ebook 📘,1,0,visible,,,,,,7,,"1.009,5",,,,,,,,,,\r\n'
    "51,simple,,,Draft,-1,0,visible,,,,,1,,,1,,,,,,,,,,\r\n"
    "52,simple,,,Hidden,1,0,hidden,,,,,1,,,1,,,,,,,,,,\r\n"
)


def test_every_value_of_simple_products_and_variations(tmp_path):
    report = run(tmp_path, {"wc-products.csv": EXPORT}, currency="EUR", language="en")
    hoodie = {
        "description": "Warm. Soft & warm For women",
        "brand": "Nord",
        "category": "Clothing > Hoodies",
        "categories": ["Clothing > Hoodies", "Sale, now > Clothing"],
        "group_id": "44",
        "price": 45.0,
        "currency": "EUR",
        "language": "en",
    }
    tags = [("tags", "warm"), ("tags", "nord")]
    assert table(tmp_path) == [
        hoodie
        | {
            "item_id": "45",
            "title": "Hoodie - Blue",
            "sale_price": 39.9,  # the sale ends with the day of the import
            "in_stock": True,
            "identifiers": ["HOOD-B", "04006381333931"],
            "image_url": "https://i/blue.jpg",
            "attributes": [("Colour", "Blue"), ("Size", "S"), ("Size", "M"), *tags],
        },
        hoodie
        | {
            "item_id": "46",
            "title": 'Hoodie – "Nord"',
            "in_stock": False,
            "identifiers": ["HOOD-G"],
            "image_url": "https://i/a.jpg",
            "attributes": [
                ("Colour", "Green"),
                ("Size", "S"),
                ("Size", "M"),
                *tags,
                ("more images", "https://i/b.jpg"),
            ],
        },
        {
            "item_id": "50",
            "title": "Ebook 📘",
            "price": 1009.5,
            "currency": "EUR",
            "in_stock": True,
            "language": "en",
        },
    ]
    left_out = {reason: entry.rows for reason, entry in report.left_out.items()}
    assert left_out == {
        "a product whose variations are items": 1,
        "a product that is not published or is hidden": 2,
        "a sale price outside of its dates": 1,
    }
    assert report.problems == []
    assert report.sources[0].unused == ["Is featured?", "Attribute 1 visible"]
