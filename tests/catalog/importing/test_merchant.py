"""Google Merchant feeds: encodings of XML, and what makes a feed dangerous or broken."""

import pytest

from base.errors import InputError
from tests.catalog.importing.imports import items, run, table
from tests.catalog.importing.made.feeds import RSS, TSV


def test_the_report_counts_by_field(tmp_path):
    report = run(tmp_path, TSV.files)
    [source] = report.sources
    assert (source.format, source.role) == ("merchant", "products")
    assert report.filled["items", "image link", "images"] == 1
    assert report.filled["items", "price", "price"] == 4
    assert report.written == {"items": 4}
    assert report.quality["filled"]["brand"] == 0.75
    assert report.quality["attributes"]["color"] == 2


@pytest.mark.parametrize("encoding", ["UTF-8", "windows-1252", "ISO-8859-1", "UTF-16"])
def test_every_value_of_an_rss_feed_in_the_encoding_that_it_names(tmp_path, encoding):
    text = RSS.files["feed.xml"].decode("cp1252").replace("windows-1252", encoding)
    feed = text.encode(encoding, "xmlcharrefreplace")
    assert items(tmp_path, {"feed.xml": feed}) == RSS.items


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
