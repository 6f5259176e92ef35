"""Guesses at unknown words: completions and corrections from the catalogue's own."""

import pytest

from lexical.vocabulary import Vocabulary

COUNTS = {
    "charger": 9,
    "charge": 5,
    "chart": 7,
    "chain": 2,
    "screwdriv": 4,
    "dcd771c2": 1,
    "dcd791d2": 1,
    "lamp": 8,
    "lump": 1,
    "2017": 3,
    "1234567": 1,
}


@pytest.fixture(scope="module")
def vocabulary():
    return Vocabulary(COUNTS)


@pytest.mark.parametrize(
    ("term", "meant"),
    [
        ("chargr", ["charger", "charge"]),  # one edit from either; more items have the first
        ("chargeer", ["charger"]),
        ("lapm", ["lamp"]),  # neighbours swapped
        ("lxmp", ["lamp", "lump"]),
        ("screwdirvv", ["screwdriv"]),  # long words are forgiven two edits
        ("dcd771c", ["dcd771c2"]),
        ("dcd772c2", ["dcd771c2"]),
        ("2018", []),  # a short number means what it says
        ("123456", ["1234567"]),
        ("lmp", []),  # too short to tell
        ("zebra", []),
        ("", []),
    ],
)
def test_a_misspelt_word_is_what_the_fewest_edits_lead_to(vocabulary, term, meant):
    assert vocabulary.meant(term, unfinished=False) == meant


@pytest.mark.parametrize(
    ("term", "meant"),
    [
        ("char", ["charger", "chart", "charge"]),
        ("cha", ["charger", "chart", "charge"]),
        ("ch", []),
        ("screwd", ["screwdriv"]),
        ("chargr", ["charger", "charge"]),  # begins no word, so it is corrected
    ],
)
def test_an_unfinished_word_is_completed_by_the_commonest(vocabulary, term, meant):
    assert vocabulary.meant(term, unfinished=True) == meant


def test_no_words_means_nothing():
    assert Vocabulary({}).meant("lamp", unfinished=True) == []
