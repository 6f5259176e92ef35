"""Texts, codes, prices, availability, dates and categories, as exports write them."""

import datetime
import time

import pytest

from catalog.importing.cleaning import values
from catalog.importing.cleaning.html_text import plain_text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>two</p>", "One two"),
        ("Un<b>believ</b>able &amp; good&nbsp;&#x1F50C;", "Unbelievable & good 🔌"),
        ("a<script>if (a<b) { x('<p>') }</script>b<style>p {}</style>c", "a b c"),
        ("<!-- <p>hidden</p> -->seen", "seen"),
        ("&lt;p&gt;twice &amp;amp; more&lt;/p&gt;", "twice & more"),
        ("<![CDATA[<i>inside</i>]]>", "inside"),
        ("a <3 b, 5 < 6 & 7 > 6", "a <3 b, 5 < 6 & 7 > 6"),
        ("<p>1 < 2</p>", "1 < 2"),
        ("zero\u200bwidth\ufeff \x07bell\tand\r\nlines", "zerowidth bell and lines"),
        ("half \ud83d", "half \ufffd"),
        ("<ul><li>a<li>b</ul><br/>c", "a b c"),
        ("Men&rsquo;s shirt &ndash; blue", "Men\u2019s shirt \u2013 blue"),
        ("5 &times; 3 &euro;", "5 × 3 €"),
        ("salt &pepper; R&D;", "salt &pepper; R&D;"),
        *((f"<{tag}>hidden</{tag}>seen", "seen") for tag in ("noscript", "svg", "title", "head")),
    ],
)
def test_html_becomes_text(html, text):
    assert plain_text(html) == text


@pytest.mark.parametrize(
    "part", ["<p ", "<!--", "<![", "&amp;<", "<script>", "</", "<a href='", "&", "&aa "]
)
def test_hostile_html_of_200_kilobytes_takes_little_time(part):
    start = time.process_time()
    plain_text("<p>" + part * (200_000 // len(part)))
    assert time.process_time() - start < 5.0


@pytest.mark.parametrize(
    ("cell", "comma", "default", "price"),
    [
        ("12.50", False, "", (12.5, None)),
        ("12,50 €", True, "", (12.5, "EUR")),
        ("EUR 1.299,00", True, "", (1299.0, "EUR")),
        ("1 299,00\u00a0zł", True, "", (1299.0, "PLN")),
        ("$1,299.95", False, "", (1299.95, "USD")),
        ("$5", False, "CAD", (5.0, "CAD")),
        ("CHF 1'299.50", False, "", (1299.5, "CHF")),
        ("R$ 19,90", True, "", (19.9, "BRL")),
        ("15 usd", False, "EUR", (15.0, "USD")),
        ("20.-", False, "CHF", (20.0, "CHF")),
        ("<b>9.99</b>", False, "", (9.99, None)),
        ("19.99 &euro;", False, "", (19.99, "EUR")),
        ("kr 95", False, "", (95.0, None)),
        ("95 Kr.", False, "SEK", (95.0, "SEK")),
        ("$19.99 USD", False, "", (19.99, "USD")),
        ("USD $19.99", False, "", (19.99, "USD")),
        ("$19.99 CAD", False, "", (19.99, "CAD")),
        ("¥ 1,299円", False, "", (1299.0, "JPY")),
        ("US $19.99", False, "CAD", (19.99, "USD")),
        ("AU$20", False, "", (20.0, "AUD")),
        ("NT$ 300", False, "", (300.0, "TWD")),
        ("R 1,299.00", False, "", (1299.0, "ZAR")),
        ("RM 12.00", False, "", (12.0, "MYR")),
        ("Rp 10.000", True, "", (10000.0, "IDR")),
        ("From $19.99*", False, "", (19.99, "USD")),
        ("ab 19,99 €", True, "", (19.99, "EUR")),
        ("$10.50", False, "EUR", (10.5, "USD")),
        ("$10.50", False, "MXN", (10.5, "MXN")),
    ],
)
def test_prices_have_an_amount_and_a_currency(cell, comma, default, price):
    assert values.price(cell, comma, default) == price


@pytest.mark.parametrize(
    "cell",
    [
        *("", "call us", "10.00 - 20.00", "-5", "5 per piece", "a 5 b", "1,23", "9" * 400, "٣"),
        *("19.99 TTC", "12.50 Stk", "$5 EUR"),
    ],
)
def test_what_is_no_price_is_refused(cell):
    with pytest.raises(ValueError, match=r"is not|is below|different currencies"):
        values.price(cell, False, "")


@pytest.mark.parametrize(
    ("cell", "in_stock"),
    [
        ("in_stock", True),
        ("Auf Lager", True),
        ("en stock", True),
        ("Disponibile", True),
        ("http://schema.org/OutOfStock", False),
        ("out-of-stock", False),
        ("preorder", False),
        ("Ausverkauft!", False),
        ("agotado", False),
        ("缺货", False),
        ("在庫あり", True),
        ("12", True),
        ("0.0000", False),
        ("-1", False),
        ("TRUE", True),
    ],
)
def test_words_for_availability(cell, in_stock):
    assert values.availability(cell) is in_stock


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ('="0012"', "0012"),
        ("'0012", "0012"),
        ("04006381333931", "04006381333931"),
        ("12.0", "12"),
        (" A 7 ", "A 7"),
    ],
)
def test_codes_stay_texts(cell, code):
    assert values.code(cell) == code


def test_a_code_that_a_spreadsheet_rounded_is_refused():
    with pytest.raises(ValueError, match="a spreadsheet rounded"):
        values.code("4.00638E+12")


def test_gtins_have_a_check_digit():
    assert values.is_gtin("4006381333931")
    assert values.is_gtin("96385074")
    assert not values.is_gtin("4006381333932")
    assert not values.is_gtin("400638133393")
    assert not values.is_gtin("٤006381333931")


@pytest.mark.parametrize(
    ("cell", "paths"),
    [
        ("A > B>C", ["A > B > C"]),
        ("A / B", ["A > B"]),
        ("TV/Video", ["TV/Video"]),
        ("A|B", ["A > B"]),
        ("A > B | C > D", ["A > B", "C > D"]),
        ("A > B, C > D", ["A > B", "C > D"]),
        ("Health, Beauty > Soap", ["Health, Beauty > Soap"]),
        ("A » B &amp; C", ["A > B & C"]),
        (" > ", []),
    ],
)
def test_signs_between_levels_and_paths_of_categories(cell, paths):
    assert values.categories(cell, "") == paths


@pytest.mark.parametrize(
    ("cell", "date"),
    [
        ("2024-01-31T09:30:00Z", (2024, 1, 31)),
        ("2024/1/5", (2024, 1, 5)),
        ("September 4, 2019", (2019, 9, 4)),
    ],
)
def test_dates(cell, date):
    assert values.date(cell) == datetime.date(*date)


@pytest.mark.parametrize("cell", ["31.01.2024", "2024-02-30", "0000-01-01", "Foo 1, 2020", "1" * 9])
def test_what_is_no_date_is_refused(cell):
    with pytest.raises(ValueError, match="is not a date"):
        values.date(cell)


def test_languages():
    assert [values.language(text) for text in ("en_US", "de-AT", "German", "FR")] == [
        *("en", "de", "de", "fr")
    ]
    with pytest.raises(ValueError, match="is not a language"):
        values.language("??")


def test_eight_digits_are_a_date_and_other_numbers_are_seconds():
    day = datetime.datetime(2020, 2, 1, tzinfo=datetime.UTC)
    assert values.time("20200201") == day
    assert values.date("20200201") == day.date()
    assert values.end_of("20200201") == day + datetime.timedelta(days=1)
    assert values.time("1580515200") == values.time("1580515200000") == day
    assert values.time("20200201093000") == day + datetime.timedelta(hours=9.5)
    with pytest.raises(ValueError, match="'20209901' is not a time"):
        values.time("20209901")
