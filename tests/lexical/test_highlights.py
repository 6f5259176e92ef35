"""Highlights: which words of an item match, and which part of a long text is shown."""

import pytest

from catalog.items import Item
from lexical.config import LexicalConfig
from lexical.highlights import Highlight, cut, highlights, matches
from lexical.schema import IndexSchema

TERMS = IndexSchema(LexicalConfig()).terms


def characters(text: str) -> list[str]:
    """Return the terms of an analyser that has single characters and pairs of them."""
    return [*text, *(text[at : at + 2] for at in range(len(text) - 1))]


def matching(query: str, text: str, terms=TERMS) -> list[str]:
    return [text[begin:end] for begin, end in matches(text, set(terms(query)), terms)]


@pytest.mark.parametrize(
    ("query", "text", "words"),
    [
        ("running shoe", "Shoes for runners: he runs fast", ["Shoes", "runs"]),
        ("1/2 in", "Bit 1/2 in. and 1/2-inch, 3/4 in.", ["1/2 in", "1/2-inch", "in"]),
        ("3.5mm", "jack of 3.5 mm, 3 cm", ["3.5 mm"]),
        ("f8j042blk", "Belkin F8J042-BLK cable, F8J042", ["F8J042-BLK"]),
        ("usb", "USB-C/USB-A", ["USB", "USB"]),
        ("café", "CAFE, Cafe\u0301, caffeine", ["CAFE", "Cafe\u0301"]),
        ("lamp", "Desk without light", []),
        ("lamp", "", []),
    ],
)
def test_words_match_as_in_the_lexical_index(query, text, words):
    assert matching(query, text) == words


def test_characters_of_chinese_match_one_by_one_and_in_pairs():
    assert matching("手机", "苹果手机壳 phone", characters) == ["手机"]

    def pairs(text: str) -> list[str]:
        return [term for term in characters(text) if len(term) == 2]

    assert matching("手机", "手提电话机, 手机壳", pairs) == ["手机"]


def test_an_item_shows_its_fields_with_matches_in_the_order_of_its_text():
    item = Item(
        "a",
        "Red lamp",
        description="A lamp for desks",
        brand="Lampco",
        category="Home > Lamps",
        attributes={"kind": "desk lamp", "colour": "green", "fits": ("lamp", "bulb", "lamps")},
    )
    assert highlights(item, {"lamp", "desk"}, TERMS) == (
        Highlight("title", "Red lamp", ((4, 8),)),
        Highlight("category", "Home > Lamps", ((7, 12),)),
        Highlight("attributes.kind", "desk lamp", ((0, 4), (5, 9))),
        Highlight("attributes.fits", "lamp", ((0, 4),)),
        Highlight("attributes.fits", "lamps", ((0, 5),)),
        Highlight("description", "A lamp for desks", ((2, 6), (11, 16))),
    )


def test_positions_are_code_points():
    assert highlights(Item("a", "🔌🔌 lamp"), {"lamp"}, TERMS)[0].spans == ((3, 7),)


def test_a_long_text_is_cut_at_words_around_the_most_matches():
    text = "lamp " + "dull words " * 50 + "a desk lamp here " + "more words " * 50
    spans = matches(text, {"lamp", "desk"}, TERMS)
    snippet, within = cut(text, spans)
    assert [snippet[begin:end] for begin, end in within] == ["desk", "lamp"]
    assert 180 < len(snippet) <= 200
    assert f" {snippet} " in text
    # The matches are about in the middle.
    assert 80 < within[0][0] < 110


@pytest.mark.parametrize("at", [0, 5, 250, 493])
def test_a_text_without_spaces_is_cut_around_its_match(at):
    text = "壳" * at + "手机" + "壳" * (500 - at)
    snippet, [(begin, end)] = cut(text, [(at, at + 2)])
    assert (len(snippet), snippet[begin:end]) == (200, "手机")


def test_a_match_longer_than_a_snippet_is_cut():
    snippet, spans = cut("x" * 500 + " end", [(0, 500)])
    assert (snippet, spans) == ("x" * 200, ((0, 200),))
