import datetime
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.item_text import Segment, item_segments, item_text, normalise_query
from catalog.items import Item


def segment(item: Item, name: str) -> str | None:
    return next((s.text for s in item_segments(item) if s.name == name), None)


def test_the_most_informative_segments_come_first():
    item = Item(
        item_id="1",
        title="Cordless drill 18 V",
        description="With two batteries.",
        brand="Bosch",
        category="Tools > Drills",
        attributes={"voltage": "18 V", "colour": "green"},
    )

    assert item_segments(item) == (
        Segment("title", "Cordless drill 18 V"),
        Segment("brand", "Bosch"),
        Segment("category", "Tools > Drills"),
        Segment("attributes", "colour green, voltage 18 V"),
        Segment("description", "With two batteries."),
    )
    assert item_text(item) == (
        "Cordless drill 18 V. Bosch. Tools > Drills. colour green, voltage 18 V. "
        "With two batteries."
    )


def test_the_text_of_an_item_with_all_fields_is_what_models_were_trained_on():
    item = Item(
        item_id="b-7",
        title=" Ladegerät 65 W 充電器 🔌",
        description="Charges a laptop.\nFast. ",
        brand="Voltix",
        category="Electronics > Chargers",
        group_id="voltix-65",
        price=39.9,
        rating=4.5,
        rating_count=12,
        released=datetime.date(2024, 2, 29),
        in_stock=False,
        image_url="https://example.com/b-7.jpg",
        attributes={"ports": "2", " colour ": " black ", "blank": " ", "": "nameless"},
    )

    assert item_text(item) == (
        "Ladegerät 65 W 充電器 🔌. Voltix. Electronics > Chargers. "
        "nameless, colour black, ports 2. Charges a laptop.\nFast."
    )


def test_signs_and_fractions_are_written_as_in_queries():
    assert item_text(Item("a", "LEGO™ elbow, 1½ in.")) == "LEGO  elbow, 1 1/2 in."


def test_several_values_of_an_attribute_are_joined_and_other_new_fields_are_not_read():
    item = Item(
        "1",
        "Shirt",
        categories=("Clothes", "Sale"),
        identifiers=("4006381333931",),
        url="https://example.com/1",
        currency="EUR",
        language="en",
        attributes={"size": ("M", "S"), "colour": "red"},
    )
    assert item_text(item) == "Shirt. Clothes. colour red, size M, S"


def test_missing_and_blank_parts_are_left_out():
    item = Item(
        "1", " Drill ", description="", brand=None, category=" \t", attributes={"a": "", "b": " "}
    )

    assert item_segments(item) == (Segment("title", "Drill"),)
    assert item_text(item) == "Drill"


def test_an_inline_item_may_lack_a_title():
    assert item_text(Item("1", "", brand="Bosch")) == "Bosch"
    assert item_segments(Item("1", "")) == ()


@pytest.mark.parametrize(
    ("title", "brand", "kept"),
    [
        ("Bosch drill", "Bosch", False),
        ("The BOSCH drill", "bosch", False),
        ("Drill by Black & Decker", "Black+Decker", False),
        ("Boschmann drill", "Bosch", True),  # the brand is only part of a word
        ("Black drill, Decker style", "Black Decker", True),  # the words are not consecutive
        ("Straße lamp", "STRASSE", False),  # ß is ss after case folding
        ("\uff2c\uff27 monitor", "LG", False),  # full-width letters
        ("C drill", "+", True),
        ("Canal + box", "+", False),
        ("Drill", "Drill Bosch", True),  # the brand is longer than the title
    ],
)
def test_a_brand_is_left_out_if_the_title_names_it(title, brand, kept):
    assert segment(Item("1", title, brand=brand), "brand") == (brand if kept else None)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("  Angle \t Bracket\n", "angle bracket"),
        ("Straße", "strasse"),
        ("\uff35\uff33\uff22 cable", "usb cable"),
        ("a\u00a0b", "a b"),
        ("", ""),
        ("e\u0301", "é"),
        ("x" * 10_000, "x" * 10_000),
    ],
)
def test_queries_are_normalised(query, expected):
    assert normalise_query(query) == expected


@given(st.text())
def test_normalising_twice_changes_nothing(query):
    once = normalise_query(query)

    assert normalise_query(once) == once


def test_composed_and_decomposed_spellings_are_one_query():
    word = "crème brûlée"

    assert normalise_query(unicodedata.normalize("NFD", word)) == normalise_query(word)
