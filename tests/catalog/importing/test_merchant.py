"""Google Merchant feeds: every value of messy feeds, in tab-separated text and in XML."""

import pytest

from base.errors import InputError
from tests.catalog.importing.imports import items, run, table

LONG = "word " * 40_000  # 200 kB

HEADER = (
    "id\ttitle\tdescription\tlink\timage link\tadditional_image_link\tprice\tsale price\t"
    "sale_price_effective_date\tavailability\tproduct_type\tgoogle_product_category\tgtin\tmpn\t"
    "brand\titem_group_id\tcolor\tsize\tcondition\tproduct_detail\tshipping\r\n"
)
ROWS = (
    # HTML, an emoji, a script, several images, a decimal comma, a sale that is on
    "A-1\tUSB&nbsp;C <b>charger</b> 🔌\t<p>Fast &amp; small</p><script>track('<p>')</script><ul>"
    "<li>65&nbsp;W</li><li>GaN</li></ul>\thttps://shop.example/a?x=1&y=2\thttps://i.example/1.jpg\t"
    "https://i.example/2.jpg,https://i.example/3.jpg\t1.029,90 EUR\t999,00 EUR\t"
    "2024-06-01T00:00+0200/2024-06-30T23:59+0200\tin_stock\tElectronics > Chargers\t505295\t"
    "0884567890129\tMPN 7\tVoltix\t\tblack/white\t\tnew\tGeneral:Output:65 W,General:Ports:2\t"
    "DE:::4,90 EUR\r\n"
    # two variants of one product, quotes, a sale that is over, German words
    'S-M\t"Shirt ""Nord"", blau"\t\t\t\t\t€ 19,90\t9,90 €\t2023-01-01/2023-02-01\tnicht auf Lager\t'
    '"Clothing > Shirts, Sale > Shirts"\tApparel & Accessories > Clothing\t="00012345670"\t\t'
    "Nord\tS\tblue\tM\tnew\t\t\r\n"
    f"S-L\tShirt\t{LONG}\t\t\t\t19,90\t\t\tauf Lager\tHealth, Beauty > Shirts\t\t\t\tNord\tS\t\tL"
    "\t\t\t\r\n"
    "\r\n"
)


def test_every_value_of_a_tab_separated_feed(tmp_path):
    found = items(tmp_path, {"feed.txt": "\ufeff" + HEADER + ROWS}, currency="EUR")
    assert found == [
        {
            "item_id": "A-1",
            "title": "USB C charger 🔌",
            "description": "Fast & small 65 W GaN",
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
            "attributes": [("color", "blue"), ("condition", "new"), ("size", "M")],
        },
        {
            "item_id": "S-L",
            "title": "Shirt",
            "description": LONG.strip(),
            "brand": "Nord",
            "category": "Health, Beauty > Shirts",
            "group_id": "S",
            "price": 19.9,
            "currency": "EUR",
            "in_stock": True,
            "attributes": [("size", "L")],
        },
    ]


def test_the_report_counts_by_field_and_names_what_is_left_out(tmp_path):
    report = run(tmp_path, {"feed.txt": HEADER + ROWS})
    [source] = report.sources
    assert (source.format, source.role, source.unused) == ("merchant", "products", ["shipping"])
    assert report.filled["items", "image link", "images"] == 1
    assert report.filled["items", "price", "price"] == 3
    assert report.left_out["a sale price outside of its dates"].rows == 1
    assert report.written == {"items": 3}
    assert report.quality["filled"]["brand"] == 1.0
    assert report.quality["attributes"]["color"] == 2
    assert report.problems == []


RSS = """<?xml version="1.0" encoding="{encoding}"?>
<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel>
<title>Shop</title><link>https://shop.example</link>
<item>
  <g:id>7</g:id><title><![CDATA[Café <i>Zürich</i>]]></title>
  <description>&lt;p&gt;Ein &amp;amp; alles&lt;/p&gt;</description>
  <link>https://shop.example/7</link>
  <g:price>12.50 CHF</g:price><g:availability>https://schema.org/InStock</g:availability>
  <g:product_type>Food &gt; Coffee</g:product_type><g:product_type>Gifts</g:product_type>
  <g:additional_image_link>https://i.example/b.jpg</g:additional_image_link>
  <g:image_link>https://i.example/a.jpg</g:image_link>
  <g:additional_image_link>https://i.example/c.jpg</g:additional_image_link>
  <g:shipping><g:country>CH</g:country><g:price>1.00 CHF</g:price></g:shipping>
  <g:product_detail><g:section_name>Info</g:section_name><g:attribute_name>Roast</g:attribute_name>
    <g:attribute_value>dark</g:attribute_value></g:product_detail>
  <g:product_highlight>Fair</g:product_highlight><g:product_highlight>Fresh</g:product_highlight>
</item>
</channel></rss>
"""
CAFE = {
    "item_id": "7",
    "title": "Café Zürich",
    "description": "Ein & alles Fair Fresh",
    "category": "Food > Coffee",
    "categories": ["Food > Coffee", "Gifts"],
    "price": 12.5,
    "currency": "CHF",
    "in_stock": True,
    "image_url": "https://i.example/a.jpg",
    "url": "https://shop.example/7",
    "attributes": [
        ("Roast", "dark"),
        ("more images", "https://i.example/b.jpg"),
        ("more images", "https://i.example/c.jpg"),
    ],
}


@pytest.mark.parametrize("encoding", ["UTF-8", "windows-1252", "ISO-8859-1", "UTF-16"])
def test_every_value_of_an_rss_feed_in_the_encoding_that_it_names(tmp_path, encoding):
    feed = RSS.format(encoding=encoding).encode(encoding)
    assert items(tmp_path, {"feed.xml": feed}) == [CAFE]


def test_an_atom_feed_and_an_undeclared_prefix(tmp_path):
    feed = (
        "<feed><entry><g:id>7</g:id><title>Lamp</title><link href='https://shop.example/7'/>"
        "<g:price>3 USD</g:price><content><p>Warm <b>light</b></p></content></entry></feed>"
    )
    assert items(tmp_path, {"feed.xml": feed}) == [
        {
            "item_id": "7",
            "title": "Lamp",
            "price": 3.0,
            "currency": "USD",
            "url": "https://shop.example/7",
        }
    ]


@pytest.mark.parametrize(
    ("feed", "problem"),
    [
        (
            '<!DOCTYPE x [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]>'
            "<rss><item><id>&b;</id></item></rss>",
            "feed.xml, line 1: has a document type declaration",
        ),
        (
            "<rss>\n<item><id>1</item></rss>",
            "feed.xml, line 2: not well-formed XML (mismatched tag)",
        ),
        ("<rss><item><id>1&undefined;</id></item></rss>", "feed.xml, line 1: not well-formed XML"),
        ("<a>" * 70, "feed.xml, line 1: more than 64 nested elements"),
        ("<rss><item>" + "a" * (2**24 + 1), "feed.xml, line 1: a record with more than 16,777,216"),
        ("<rss><channel/></rss>", "feed.xml: of no known format (columns: none)"),
    ],
    ids=["entities", "mismatch", "undefined entity", "depth", "size", "no records"],
)
def test_dangerous_and_broken_xml_is_refused(tmp_path, feed, problem):
    with pytest.raises(InputError) as caught:
        run(tmp_path, {"feed.xml": feed})
    assert str(caught.value).startswith(problem)
    assert not (tmp_path / "dataset").exists()


def test_a_feed_of_windows_1252_without_a_declaration(tmp_path):
    feed = "id\ttitle\tprice\tavailability\n1\tKäse – 5 €\t5,50 €\tverfügbar\n"
    report = run(tmp_path, {"feed.tsv": feed.encode("cp1252")})
    assert report.sources[0].encoding == "cp1252"
    assert table(tmp_path) == [
        {"item_id": "1", "title": "Käse – 5 €", "price": 5.5, "currency": "EUR", "in_stock": True}
    ]
