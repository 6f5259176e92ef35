"""Texts and their terms in each language: one spelling for each word, number, size and code."""

import time
import unicodedata

import pytest

from lexical.analysers.multilingual import MultilingualReader

READER = MultilingualReader("en", {})


def terms(text: str, language: str = "") -> list[str]:
    return READER.terms(text, language)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # numbers
        ("5,000 apples", "5000 appl"),
        ("1,234,567", "1234567"),
        ("1'000", "1000"),
        ("1\u202f000", "1000"),
        ("1.50 and .5 and 2.0", "1.5 and 0.5 and 2"),
        ("1,5 litre", "1.5l 1.5 l"),
        ("1,2,3", "1 2 3"),  # a list
        ("v1.2.3", "v123 v1 2 3"),
        ("12", "12"),
        # fractions
        ("1½", "1.5"),
        ("1 1/2", "1.5"),
        ("1-1/2", "1.5"),
        ("⅝", "0.625"),
        ("2/3", "0.6667"),
        ("24/7 help", "24⁄7 help"),  # no part of a whole
        ("10/100/1000", "10 100 1000"),
        ("LWM 623 1/2 in.", "lwm 623 0.5in 0.5 in"),  # 623 is the number of a model
        ("1/0", "1⁄0"),
        # sizes
        ("1/2in. pipe", "0.5in 0.5 in pipe"),
        ("1/2-inch pipe", "0.5in 0.5 in pipe"),
        ("5,000 BTU", "5000btu 5000 btu"),
        ("12-Gauge wire", "12gauge 12 gauge wire"),
        ("6' ladder", "6ft 6 ft ladder"),
        ("24″ × 36″", "24x36 24in 24 in 36in 36 in"),
        ('24"x36"', "24x36 24in 24 in 36in 36 in"),
        ("65 W", "65w 65 w"),
        # dimensions
        ("2x4", "2x4 2 4"),
        ("2 X 4", "2x4 2 4"),
        ("2 by 4", "2x4 2 4"),
        ("2 in. x 4 in. x 8 ft.", "2x4x8 2x4 4x8 2in 2 in 4in 4 in 8ft 8 ft"),
        ("2 x 4 in.", "2x4 2in 2 in 4in 4 in"),  # 2 has the unit of 4
        ("18 in. W x 12.75 in. H", "18x12.75 18in 18 in 12.75in 12.75 in h"),
        ("M4x20", "m4x20"),
        # signs
        ("LEGO™ castle", "lego castl"),
        ("Core™2 Duo®", "core 2 duo"),
        # codes
        ("F8J042bt04-BLK", "f8j042bt04blk f8j042bt04 blk"),
        ("WD-40", "wd40 wd 40"),
        ("USB-C cable", "usb c cabl"),
        ("2019-2021", "2019 2021"),
        ("AB-12V", "ab12v ab 12v 12 v"),
        # letters
        ("İstanbul", "istanbul"),
        ("bistro\u0301 BISTRÓ", "bistro bistro"),
        ("ﬁlter \ud800", "filter"),
        ("Ｔａｐ１２", "tap12"),
        ("", ""),
        ("!? ~ --", ""),
        # plurals
        ("knives knife", "knive knive"),
        ("shelves shelf shelving", "shelv shelv shelv"),
        ("women's woman", "women women"),
        # Chinese, Japanese and Korean
        ("无糖 無糖", "无 糖 无糖 无 糖 无糖"),
        ("手机壳iPhone15", "手 机 壳 手机 机壳 iphone15"),
        ("燕麥奶 1L", "燕 麦 奶 燕麦 麦奶 1l 1 l"),
        ("日本の庭", "日 本 庭 日本 本の の庭"),
        ("ラーメン らーめん ﾗｰﾒﾝ", "らー ーめ めん らー ーめ めん らー ーめ めん"),
        ("전기 주전자", "전기 주전 전자"),
        ("\u1109\u1169\u11ab", "손"),  # letters of hangul, one by one
        ("лампы лампа", "ламп ламп"),
    ],
)
def test_terms_of_a_text_without_a_language(text, expected):
    assert " ".join(terms(text)) == expected


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("de", "Küche Kueche Küchen", "kuch kuch kuch"),
        ("de", "Straße STRASSE", "strass strass"),
        ("de", "neue Steuer", "neu steu"),  # no umlauts
        ("de", "1.500 W, 1,7 l", "1500w 1500 w 1.7l 1.7 l"),
        ("es", "zapatos rojos, zapato rojo", "zapat roj zapat roj"),
        ("es", "niña camiones camión", "nin camion camion"),
        ("fr", "brodées brodé", "brod brode brod"),
        ("fr", "l'eau", "l eau"),
        ("it", "scarpe scarpa", "scarp scarp"),
        ("pt", "sapatos sapato", "sapat sapat"),
        ("nl", "schoenen schoen", "schoen schoen"),
        ("ru", "чайники чайник, case", "чайник чайник case"),
        ("pl", "Żółte buty", "zolte buty"),  # a language without a stemmer
        (
            "zh",
            "running shoes 跑鞋",
            "run shoe 跑 鞋 跑鞋",
        ),
    ],
)
def test_terms_of_a_text_in_a_language(language, text, expected):
    assert " ".join(terms(text, language)) == expected


def test_a_compound_has_the_terms_of_its_parts():
    reader = MultilingualReader("de", {"de": frozenset(("wasser", "kocher", "teller"))})
    assert reader.terms("Wasserkocher", "de") == ["wasserkoch", "wass", "koch"]
    assert reader.terms("Wasserkocher", "nl") == reader.terms("wasserkocher", "nl")
    assert len(reader.terms("Wasserkocher", "nl")) == 1
    *parts, whole = reader.query_words("Wasserkocher", ["de"])
    assert whole.readings == ("wasserkoch",)
    assert [(*part.readings, part.part_of) for part in parts] == [
        ("wass", "wasserkoch"),
        ("koch", "wasserkoch"),
    ]


def test_a_word_of_a_query_is_read_in_all_languages():
    (word,) = READER.query_words("zapatos", ["en", "es"])
    assert word.readings == ("zapato", "zapat")
    (size, *_) = READER.query_words("1.500 W", ["de"])
    assert size.readings == ("1500w",)
    sizes = {word.readings[0] for word in READER.query_words("1.500 W", ["de", "en"])}
    assert sizes == {"1500w", "1500", "w", "1.5w", "1.5"}


@pytest.mark.parametrize(
    "text",
    [
        "1" * 50_000, "a-" * 25_000, "1/" * 25_000, "1-1." * 12_500, "a1-" * 16_000,
        "1x" * 25_000, "1 x " * 12_500, "1 in. w x " * 5_000, "1,000" * 10_000, "1'" * 25_000,
        ",1" * 25_000, " " * 50_000, "1 " * 25_000, "龍" * 50_000, "か" * 50_000, "ﷺ" * 3_000,
    ],
    ids=lambda text: text[:10].strip() or "spaces",
)  # fmt: skip
def test_a_long_text_has_a_bounded_number_of_terms_in_bounded_time(text):
    start = time.perf_counter()
    found = terms(text)
    assert len(found) <= 2 * len(unicodedata.normalize("NFKC", text)) + 1
    assert max(map(len, found), default=0) <= 100
    assert time.perf_counter() - start < 5
