"""Guesses at unknown terms: completions and corrections from the terms of the catalogue."""

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
    ("term", "expected"),
    [
        ("chargr", ["charger", "charge"]),  # both need one edit; more items have "charger"
        ("chargeer", ["charger"]),
        ("lapm", ["lamp"]),  # two neighbouring letters are swapped
        ("lxmp", ["lamp", "lump"]),
        ("screwdirvv", ["screwdriv"]),  # a long term may need two edits
        ("dcd771c", ["dcd771c2"]),
        ("dcd772c2", ["dcd771c2"]),
        ("2018", []),  # a short number is not corrected
        ("123456", ["1234567"]),
        ("lmp", []),  # too short for a correction
        ("zebra", []),
        ("", []),
    ],
)
def test_a_misspelt_term_is_corrected_by_the_fewest_edits(vocabulary, term, expected):
    assert vocabulary.guesses(term, is_prefix=False) == expected


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("char", ["charger", "chart", "charge"]),
        ("cha", ["charger", "chart", "charge"]),
        ("ch", []),
        ("screwd", ["screwdriv"]),
        ("chargr", ["charger", "charge"]),  # no term begins so, so corrections follow
    ],
)
def test_an_unfinished_term_is_completed_by_the_most_common_terms(vocabulary, term, expected):
    assert vocabulary.guesses(term, is_prefix=True) == expected


def test_an_empty_vocabulary_guesses_nothing():
    assert Vocabulary({}).guesses("lamp", is_prefix=True) == []
