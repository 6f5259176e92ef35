"""Limits of the price: phrasings that are limits, and phrasings that look like limits."""

import pytest

from catalog.filters import Interval
from search.understanding.limits import limits_in, number_of


def below(price):
    return Interval(below=price)


def at_most(price):
    return Interval(at_most=price)


def between(low, high):
    return Interval(at_least=low, at_most=high)


@pytest.mark.parametrize(
    ("query", "rest", "interval"),
    [
        ("running shoes under 50", "running shoes", below(50)),
        ("under 50 headphones", "headphones", below(50)),
        ("sofa under 300 grey", "sofa grey", below(300)),
        ("tv under 500 for gaming", "tv for gaming", below(500)),
        ("shoes below $20", "shoes", below(20)),
        ("less than 30 dollars headphones", "headphones", below(30)),
        ("jeans cheaper than 40", "jeans", below(40)),
        ("laptop under 1,000", "laptop", below(1000)),
        ("laptop under 1k", "laptop", below(1000)),
        ("speaker under 99.99", "speaker", below(99.99)),
        ("lamp priced below 25", "lamp", below(25)),
        ("sub $50 earbuds", "earbuds", below(50)),
        ("perfume <$50", "perfume", below(50)),
        ("earbuds < 50", "earbuds", below(50)),
        ("birthday gifts under twenty dollars", "birthday gifts", below(20)),
        ("kids bike under 100 for 6 year old", "kids bike for 6 year old", below(100)),
        ("jeans size 32 under 50", "jeans size 32", below(50)),
        ("headphones with a budget of 50", "headphones", at_most(50)),
        ("toy for 10 dollars or less", "toy", at_most(10)),
        ("blender max price 80", "blender", at_most(80)),
        ("watch up to 100 dollars", "watch", at_most(100)),
        ("watch max $50", "watch", at_most(50)),
        ("watch $50 or less", "watch", at_most(50)),
        ("budget 200 phone", "phone", at_most(200)),
        ("laptop over 100", "laptop", Interval(above=100)),
        ("more than 200 dollars bag", "bag", Interval(above=200)),
        ("at least 100 dollars ring", "ring", Interval(at_least=100)),
        ("toys between 20 and 50", "toys", between(20, 50)),
        ("20-50 dollars perfume", "perfume", between(20, 50)),
        ("$20 to $40 jeans", "jeans", between(20, 40)),
        ("50元以下 耳机", "耳机", at_most(50)),
        ("<80元雨衣", "雨衣", Interval(below=80)),
        ("台灯 ≤120元", "台灯", at_most(120)),
        ("比300元便宜的背包", "背包", Interval(below=300)),
        ("键盘 价格上限250", "键盘", at_most(250)),
        ("100块以内的耳机", "耳机", at_most(100)),
        ("手机2000以下", "手机", at_most(2000)),
        ("不超过一百块的手机壳", "手机壳", at_most(100)),
        ("两千元以下手机", "手机", at_most(2000)),
        ("1.5万以内笔记本", "笔记本", at_most(15_000)),
        ("低于100的鞋", "鞋", below(100)),
        ("控制在300以内的裙子", "裙子", at_most(300)),
        ("1000预算的椅子", "椅子", at_most(1000)),
        ("三百到五百元的背包", "背包", between(300, 500)),
        ("预算500的手机", "手机", at_most(500)),
        ("耳机200以上", "耳机", Interval(at_least=200)),
        ("高于200元的酒", "酒", Interval(above=200)),
        ("100到200元的裙子", "裙子", between(100, 200)),
        ("schuhe unter 20 €", "schuhe", below(20)),
        ("schuhe unter 20", "schuhe", below(20)),
        ("lampe bis 49,90 euro", "lampe", at_most(49.9)),
        ("uhr zwischen 20 und 50 euro", "uhr", between(20, 50)),
        ("chaussures moins de 30 €", "chaussures", below(30)),
        ("robe jusqu'à 50 €", "robe", at_most(50)),
        ("sac entre 20 et 50 euros", "sac", between(20, 50)),
        ("camisa menos de 20 euros", "camisa", below(20)),
        ("zapatos hasta 50 euros", "zapatos", at_most(50)),
        ("reloj más de 100 euros", "reloj", Interval(above=100)),
    ],
)
def test_a_limit_is_read_and_leaves_the_text(query, rest, interval):
    text, limits = limits_in(query)
    assert text == rest
    assert [limit.interval for limit in limits] == [interval]


@pytest.mark.parametrize(
    "query",
    [
        "under cabinet light",
        "under sink 24",
        "under armour 50",
        "50 ft hose",
        "over the range microwave 30",
        "below 0 degrees sleeping bag",
        "kayak under 50 lbs",
        "hose over 50 ft",
        "monitor over 27 inches",
        'tv under 55"',
        "gifts for men over 50",
        "toys for kids under 5",
        "snacks under 100 calories",
        "cereal less than 3 ingredients",
        "less than 10 minutes meals",
        "over 40 vitamins",
        "up to 50 lbs",
        "$50 gift card",
        "20-50 mm lens",
        "between 2 and 4 person tent",
        "from 12 to 18 months shoes",
        "wx-40871-b under",
        "20 under 40 stories",
        "dogs over 7 years",
        "nike air max 90",
        "under 10% fat",
        "60w以上灯泡",
        "4k以上显示器",
        "5岁以上积木",
        "under 2x4",
        "50寸以上电视",
        "2米以上的床",
        "18岁以上",
        "3到6岁玩具",
        "100以内加减法",
        "体重100以上的衣服",
        "零下20以下羽绒服",
        "5000毫安以上充电宝",
        "千元机",
        "满100减20",
        "tisch unter 100 cm",
        "livre moins de 12 ans",
        "entre 20 y 30 cm",
    ],
)
def test_other_amounts_stay_in_the_text(query):
    assert limits_in(query) == (query, ())


def test_a_query_may_have_a_lower_and_an_upper_limit():
    text, limits = limits_in("watch over $50 under $100")
    assert text == "watch"
    assert {limit.words: limit.interval for limit in limits} == {
        "over $50": Interval(above=50),
        "under $100": below(100),
    }


@pytest.mark.parametrize(
    ("written", "number"),
    [("1,000", 1000), ("1.000", 1000), ("1.000,50", 1000.5), ("19,99", 19.99), ("2.5k", 2500)],
)
def test_separators_are_read_as_shoppers_write_them(written, number):
    assert number_of(written) == number
