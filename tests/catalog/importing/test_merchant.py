"""Google Merchant feeds: encodings of XML, and what makes a feed dangerous or broken."""

import pytest

from base.errors import InputError
from tests.catalog.importing.imports import items, run, table
from tests.catalog.importing.made.feeds import TSV


def test_the_report_counts_by_field(tmp_path):
    report = run(tmp_path, TSV.files)
    [source] = report.sources
    assert (source.format, source.role) == ("merchant", "products")
    assert report.filled["items", "image link", "images"] == 1
    assert report.filled["items", "price", "price"] == 4
    assert report.written == {"items": 4}
    assert report.quality["filled"]["brand"] == 0.75
    assert report.quality["attributes"]["color"] == 2


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


def test_a_prefix_that_the_feed_does_not_declare(tmp_path):
    feed = "<feed><entry><g:id>7</g:id><title>Lamp</title><g:price>3 USD</g:price></entry></feed>"
    assert items(tmp_path, {"feed.xml": feed}) == [
        {"item_id": "7", "title": "Lamp", "price": 3.0, "currency": "USD"}
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
