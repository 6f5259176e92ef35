"""Merchant feeds: tab-separated with a byte order mark, RSS in Windows-1252, and Atom."""

from tests.catalog.importing.made.export import LONG_HTML, LONG_TEXT, MadeExport, csv_of

_TSV = [
    {
        "id": "A-1",
        "title": "USB&nbsp;C <b>charger</b> 🔌",
        "description": "<p>Fast &amp; small</p><script>track('<p>')</script><ul><li>65 W</ul>",
        "link": "https://shop.example/a?x=1&y=2",
        "image link": "https://i.example/1.jpg",
        "additional image link": "https://i.example/2.jpg,https://i.example/3.jpg",
        "price": "1.029,90 EUR",
        "sale price": "€ 999,00",
        "sale price effective date": "2020-01-01T00:00+0100/2099-12-31T23:59+0100",
        "availability": "in_stock",
        "product type": "Electronics > Chargers",
        "google product category": "505295",
        "gtin": "0884567890129",
        "mpn": "MPN 7",
        "brand": "Voltix",
        "color": "black/white",
        "condition": "new",
        "product detail": "General:Output:65 W,General:Ports:2",
        "product weight": "120 g",
        "identifier exists": "yes",
    },
    {  # a variant with German words, a quoted code and a sale that is over
        "id": "S-M",
        "title": 'Shirt "Nord", blau',
        "description": "N/A",
        "price": "19,90\u00a0€",
        "sale price": "9,90 €",
        "sale price effective date": "2023-01-01/2023-02-01",
        "availability": "nicht auf Lager",
        "product type": "Clothing > Shirts, Sale > Shirts",
        "google product category": "Apparel & Accessories > Clothing",
        "gtin": '="00012345670"',
        "brand": "Nord",
        "item group id": "S",
        "color": "blue",
        "size": "M",
    },
    {
        "id": "S-L",
        "title": "Shirt",
        "description": LONG_HTML,
        "price": "EUR 19.90".replace(".", ","),
        "availability": "out of stock",
        "product type": "Health, Beauty > Shirts",
        "brand": "Nord",
        "item group id": "S",
        "size": "L",
    },
    {  # a title that a model has written, and a single category
        "id": "K 9",
        "structured title": 'trained_algorithmic_media:"Käse: 12 Monate"',
        "structured description": "trained_algorithmic_media:<i>Kräftig</i>",
        "price": "5 EUR",
        "availability": "preorder",
        "product type": "Käse",
    },
]
TSV = MadeExport(
    {"feed.txt": ("\ufeff" + csv_of(_TSV, delimiter="\t")).encode()},
    [
        {
            "item_id": "A-1",
            "title": "USB C charger 🔌",
            "description": "Fast & small 65 W",
            "brand": "Voltix",
            "category": "Electronics > Chargers",
            "price": 1029.9,
            "sale_price": 999.0,
            "currency": "EUR",
            "in_stock": True,
            "image_url": "https://i.example/1.jpg",
            "url": "https://shop.example/a?x=1&y=2",
            "identifiers": ["0884567890129", "MPN 7"],
            "attributes": [
                ("Output", "65 W"),
                ("Ports", "2"),
                ("color", "black"),
                ("color", "white"),
                ("condition", "new"),
                ("product weight", "120 g"),
                ("more images", "https://i.example/2.jpg"),
                ("more images", "https://i.example/3.jpg"),
            ],
        },
        {
            "item_id": "S-M",
            "title": 'Shirt "Nord", blau',
            "brand": "Nord",
            "category": "Clothing > Shirts",
            "categories": [
                "Clothing > Shirts",
                "Sale > Shirts",
                "Apparel & Accessories > Clothing",
            ],
            "group_id": "S",
            "price": 19.9,
            "currency": "EUR",
            "in_stock": False,
            "identifiers": ["00012345670"],
            "attributes": [("color", "blue"), ("size", "M")],
        },
        {
            "item_id": "S-L",
            "title": "Shirt",
            "description": LONG_TEXT,
            "brand": "Nord",
            "category": "Health, Beauty > Shirts",
            "group_id": "S",
            "price": 19.9,
            "currency": "EUR",
            "in_stock": False,
            "attributes": [("size", "L")],
        },
        {
            "item_id": "K 9",
            "title": "Käse: 12 Monate",
            "description": "Kräftig",
            "category": "Käse",
            "price": 5.0,
            "currency": "EUR",
            "in_stock": False,
        },
    ],
    search=("usb c charger", "A-1"),
    left_out={"a sale price outside of its dates": 1},
    unused=["identifier exists"],
)

_RSS = f"""<?xml version="1.0" encoding="windows-1252"?>\r
<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel>\r
<title>Shop</title><link>https://shop.example</link>\r
<item>
  <title>RSS title</title><g:title><![CDATA[Café <i>Zürich</i> &#x1F50C;]]></g:title>
  <g:description>&lt;p&gt;Ein &amp;amp; alles&lt;/p&gt;</g:description>
  <link>https://shop.example/7</link><g:id>7</g:id>
  <g:price>1,299.50 CHF</g:price><g:availability>https://schema.org/InStock</g:availability>
  <g:product_type>Food &gt; Coffee</g:product_type><g:product_type>Gifts</g:product_type>
  <g:additional_image_link>https://i.example/b.jpg</g:additional_image_link>
  <g:image_link>https://i.example/a.jpg</g:image_link>
  <g:additional_image_link>https://i.example/c.jpg</g:additional_image_link>
  <g:shipping><g:country>CH</g:country><g:price>1.00 CHF</g:price></g:shipping>
  <g:product_detail><g:section_name>Info</g:section_name><g:attribute_name>Roast</g:attribute_name>
    <g:attribute_value>dark</g:attribute_value></g:product_detail>
  <g:product_highlight>Fair</g:product_highlight><g:product_highlight>Fresh</g:product_highlight>
</item>
<item><g:id>8</g:id><g:title>Kettle – Größe M</g:title><g:price>CHF 20.-</g:price>
  <g:description>{LONG_HTML.replace("&", "&amp;").replace("<", "&lt;")}</g:description>
  <g:sale_price/><g:availability>backorder</g:availability><g:gtin>4006381333931</g:gtin></item>
</channel></rss>
"""
RSS = MadeExport(
    {"feed.xml": _RSS.encode("cp1252")},
    [
        {
            "item_id": "7",
            "title": "Café Zürich 🔌",
            "description": "Ein & alles Fair Fresh",
            "category": "Food > Coffee",
            "categories": ["Food > Coffee", "Gifts"],
            "price": 1299.5,
            "currency": "CHF",
            "in_stock": True,
            "image_url": "https://i.example/a.jpg",
            "url": "https://shop.example/7",
            "attributes": [
                ("Roast", "dark"),
                ("more images", "https://i.example/b.jpg"),
                ("more images", "https://i.example/c.jpg"),
            ],
        },
        {
            "item_id": "8",
            "title": "Kettle – Größe M",
            "description": LONG_TEXT,
            "price": 20.0,
            "currency": "CHF",
            "in_stock": False,
            "identifiers": ["4006381333931"],
        },
    ],
    search=("café zürich", "7"),
    unused=["shipping"],
)

_ATOM = f"""<?xml version="1.0"?>
<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0">
<title>Shop</title><id>tag:shop.example,2024:/</id>
<entry><id>tag:shop.example,2024:/lamp</id><g:id>L/1</g:id><title>Desk lamp 💡</title>
<link rel="alternate" href="https://shop.example/lamp"/>
<summary>Warm &lt;b&gt;light&lt;/b&gt;</summary>
<g:price>$1,250.00</g:price><g:availability>in stock</g:availability></entry>
<entry><g:id>L/2</g:id><title>Floor lamp</title><content><p>Tall <b>light</b></p></content>
<summary>{LONG_TEXT.replace("&", "&amp;")}</summary><g:price>15 USD</g:price></entry>
</feed>
"""
ATOM = MadeExport(
    {"atom.xml": _ATOM.encode("utf-8-sig")},
    [
        {
            "item_id": "L/1",
            "title": "Desk lamp 💡",
            "description": "Warm light",
            "price": 1250.0,
            "currency": "USD",
            "in_stock": True,
            "url": "https://shop.example/lamp",
        },
        {
            "item_id": "L/2",
            "title": "Floor lamp",
            "description": LONG_TEXT + " Tall light",
            "price": 15.0,
            "currency": "USD",
        },
    ],
    search=("desk lamp", "L/1"),
)
