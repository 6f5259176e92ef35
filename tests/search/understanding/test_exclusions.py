"""Exclusions: what a query excludes, and phrasings that exclude nothing."""

from itertools import product

import pytest

from catalog.items import Item
from search.understanding.exclusions import exclusions_in
from search.understanding.interpretation import Exclusion
from search.understanding.mentions import has_excluded
from search.understanding.words import words_of


def never(_left, _right):
    return False


@pytest.mark.parametrize(
    ("query", "rest", "excluded"),
    [
        ("headphones without wires", "headphones", ["wires"]),
        ("wedding dress no lace", "wedding dress", ["lace"]),
        ("no sugar oat milk", "oat milk", ["sugar"]),
        ("conditioner free of silicone", "conditioner", ["silicone"]),
        ("granola except raisins", "granola", ["raisins"]),
        ("phone case anything but black", "phone case", ["black"]),
        ("earbuds -apple", "earbuds", ["apple"]),
        ("non-leather wallet", "wallet", ["leather"]),
        ("non plastic straws", "straws", ["plastic"]),
        ("非真皮沙发", "沙发", ["真皮"]),
        ("除巧克力外的零食", "零食", ["巧克力"]),
        ("手机 排除华为", "手机", ["华为"]),
        ("without sugar oat milk", "oat milk", ["sugar"]),
        ("chips no added salt", "chips", ["salt"]),
        ("shirt with no pockets", "shirt", ["pockets"]),
        ("boots not leather", "boots", ["leather"]),
        ("jacket without a hood for men", "jacket for men", ["hood"]),
        ("shampoo without sulfates and parabens", "shampoo", ["sulfates", "parabens"]),
        ("pillow not memory foam", "pillow", ["memory foam"]),
        ("snacks without peanuts or soy", "snacks", ["peanuts", "soy"]),
        ("coffee w/o caffeine", "coffee", ["caffeine"]),
        ("chocolate sugar free", "chocolate sugar free", ["sugar"]),
        ("gluten-free bread", "gluten-free bread", ["gluten"]),
        ("无糖饮料", "无糖饮料", ["糖"]),
        ("不含酒精的香水", "香水", ["酒精"]),
        ("香水不含酒精", "香水", ["酒精"]),
        ("除了红色的裙子", "裙子", ["红色"]),
        ("不是真皮的沙发", "沙发", ["真皮"]),
        ("不带帽子的外套", "外套", ["帽子"]),
        ("cola ohne zucker", "cola", ["zucker"]),
        ("pull sans capuche", "pull", ["capuche"]),
        ("zapatos sin cordones", "zapatos", ["cordones"]),
    ],
)
def test_what_is_excluded_leaves_the_text(query, rest, excluded):
    text, exclusions = exclusions_in(query, never)
    assert text == rest
    assert [exclusion.excluded for exclusion in exclusions] == excluded
    assert all(exclusion.words in query for exclusion in exclusions)


@pytest.mark.parametrize(
    "query",
    [
        "no. 8 screw",
        "no 8 screw",
        "no drill blinds",
        "curtains no drill",
        "non-stick pan",
        "free of charge sign",
        "没有人的房间",
        "never without",
        "rebel without a cause",
        "doctors without borders",
        "no show socks",
        "hands free car kit",
        "buy one get one free",
        "sin city dvd",
        "sans serif font book",
        "dr no dvd",
        "without",
        "no more tears shampoo",
        "free weights",
        "没有什么大不了",
        "免打孔置物架",
        "无线耳机",
        "无人机",
        "无印良品",
        "不锈钢锅",
        "没有烦恼",
    ],
)
def test_other_phrases_exclude_nothing(query):
    assert exclusions_in(query, never) == (query, ())


def test_a_title_of_the_catalogue_excludes_nothing():
    pairs = {("story", "without"), ("without", "rain")}
    query = "a story without rain coats"

    def follows(left, right):
        return (left, right) in pairs

    assert exclusions_in(query, follows) == (query, ())
    pairs.discard(("without", "rain"))
    assert exclusions_in(query.replace("rain", "wool"), follows)[1]


@pytest.mark.parametrize(
    ("title", "excluded", "has"),
    [
        ("Cola with sugar", "sugar", True),
        ("Cola, no added sugar", "sugar", False),
        ("Sugar-free cola", "sugar", False),
        ("Cola without any sugar", "sugar", False),
        ("Wireless headphones", "wires", False),
        ("白糖 500克", "糖", True),
        ("無糖燕麥奶", "糖", False),
        ("不含糖饮料", "糖", False),
    ],
)
def test_an_item_that_denies_a_thing_does_not_have_it(title, excluded, has):
    item = Item("1", title, description="goes with sugar and 糖")
    assert has_excluded(item, [Exclusion("", excluded)], words_of) is has


@pytest.mark.parametrize("word", ["no", "without", "free", "except", "non", "-", "不含", "除"])
def test_a_query_may_end_after_any_word(word):
    """A shopper who types a query sends each of its beginnings."""
    others = ("vacuum", "bag", "the", "and", ",", "no", "of", "")
    for before, first, second in product(others, repeat=3):
        query = " ".join(filter(None, (before, word, first, second)))
        for follows in (never, lambda *_: True):
            rest, exclusions = exclusions_in(query, follows)
            assert all(exclusion.excluded for exclusion in exclusions)
            assert len(rest) <= len(query)


def test_a_query_that_ends_with_a_word_of_titles_excludes_nothing():
    assert exclusions_in("vacuum without", lambda *_: True) == ("vacuum without", ())
