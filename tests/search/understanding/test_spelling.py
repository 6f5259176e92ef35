"""Words of a catalogue, and corrections of mistyped words."""

import pytest
from rapidfuzz.distance import OSA

from catalog.catalogue import Catalogue
from catalog.items import Item
from catalog.store import ItemStore
from search.understanding.compounds import joined_words, split_words
from search.understanding.interpretation import Change
from search.understanding.near_words import NearWords
from search.understanding.spelling import Speller, edit_score
from search.understanding.words import Words

TITLES = {
    "Thin 14 inch laptop": 20,
    "Laptop stand, aluminium": 10,
    "Air conditioner 5,000 BTU": 8,
    "Dishwasher, built-in": 6,
    "Dish rack": 5,
    "Pressure washer": 5,
    "Cat bed": 9,
    "Car seat": 9,
    "Straße map": 3,
    "Wireless headphones": 12,
}


@pytest.fixture(scope="module")
def words():
    titles = [title for title, count in TITLES.items() for _ in range(count)]
    items = [Item(str(row), title, category="Toys > Cars") for row, title in enumerate(titles)]
    return Words.of(Catalogue.of(ItemStore.of(items)))


def speller(words, real=()):
    return Speller(words, lambda word: word in words, lambda word: word in real)


def test_words_and_pairs_are_counted(words):
    assert words.count("laptop") == 30
    assert words.pair_count("air", "conditioner") == 8
    assert words.pair_count("conditioner", "air") == 0
    assert words.count("toys") == sum(TITLES.values())
    assert words.count("strasse") == 3  # as queries are casefolded
    assert "14" not in words


def test_pairs_do_not_cross_the_ends_of_titles(words):
    assert words.pair_count("laptop", "laptop") == 0


def test_words_of_later_items_count_too(words):
    extended = words.extended([Item("new", "Zeppelin laptop"), Item("new2", "Zeppelin")])
    assert extended.count("zeppelin") == 2
    assert extended.count("laptop") == 31
    assert extended.pair_count("zeppelin", "laptop") == 1
    assert extended.near_words("zepelin") == {"zeppelin": 1}
    assert "zeppelin" not in words


def test_near_words_are_those_of_a_full_comparison():
    known = [
        "laptop",
        "lamp",
        "labtops",
        "headphones",
        "headphone",
        "head",
        "phones",
        "screwdriver",
    ]
    near = NearWords(known)
    for word in ("labtop", "aptop", "laptpo", "lpatop", "headphnoes", "hedphones", "xead", "lmap"):
        within = {k: d for k in known if (d := OSA.distance(word, k)) == 1}
        assert near.find(word) == within
    assert near.find("screwdirvr") == {"screwdriver": 2}


@pytest.mark.parametrize(
    ("query", "corrected"),
    [
        ("labtop", "laptop"),
        ("hedphones wireless", "headphones wireless"),
        ("lpatop", "laptop"),
        ("aptop", "laptop"),
        ("airconditioner", "air conditioner"),
        ("dishwashr", "dishwasher"),
    ],
)
def test_a_mistyped_word_is_corrected(words, query, corrected):
    tokens = query.split()
    for position, rewrite in speller(words).corrections(tokens).items():
        assert rewrite.applied
        assert 0.5 <= rewrite.probability <= 1
        tokens[position] = rewrite.replacement
    assert " ".join(tokens) == corrected


@pytest.mark.parametrize("word", ["laptop", "xqzvw", "wx40871b", "xq", "笔记本电脑"])
def test_known_words_codes_and_short_words_stay(words, word):
    assert speller(words).corrections([word]) == {}


def test_a_real_word_is_only_an_unsure_typo(words):
    [correction] = speller(words, real={"seal"}).corrections(["seal"]).values()
    assert (correction.replacement, correction.applied) == ("seat", False)


def test_neighbours_choose_between_equal_corrections(words):
    extended = words.extended([Item(str(n), "Salt sear") for n in range(9)])
    [after_car] = speller(extended).corrections(["car", "seax"]).values()
    [after_salt] = speller(extended).corrections(["salt", "seax"]).values()
    assert (after_car.replacement, after_salt.replacement) == ("seat", "sear")


def test_a_stem_of_the_index_is_no_proof_that_a_word_is_right(words):
    def indexed(word):
        return word == "lapto"

    [correction] = Speller(words, indexed, lambda _: False).corrections(["lapto"]).values()
    assert correction.replacement == "laptop"
    assert Speller(words, indexed, indexed).corrections(["lapto"]) == {}


def test_likely_edits_score_higher():
    assert edit_score("lpatop", "laptop") > edit_score("lxptop", "laptop")  # swap
    assert edit_score("lapptop", "laptop") > edit_score("laxptop", "laptop")  # doubled letter
    assert edit_score("laptip", "laptop") > edit_score("laptzp", "laptop")  # vowel
    assert edit_score("laptop", "laptops") > edit_score("aptop", "laptop")  # first letter


def test_words_are_joined_as_the_catalogue_writes_them(words):
    def is_known(word):
        return word in words

    [(position, change)] = joined_words(words, ["a", "dish", "washer"], is_known)
    assert (position, change.change, change.replacement) == (1, Change.JOINED, "dishwasher")
    assert not change.applied  # both words exist
    [(_, change)] = joined_words(words, ["dishw", "asher"], is_known)
    assert change.applied
    assert list(joined_words(words, ["air", "conditioner"], is_known)) == []


def test_a_known_word_is_split_if_the_catalogue_mostly_writes_two(words):
    extended = words.extended([Item("new", "Airconditioner")])
    [change] = split_words(extended, ["airconditioner"])
    assert (change.replacement, change.applied) == ("air conditioner", False)
    assert change.probability == pytest.approx(8 / 9)
