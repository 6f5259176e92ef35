"""Small stores in several languages, with the expected first results."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from base.errors import InputError
from catalog.items import Item
from catalog.store import ItemStore
from lexical.analysers.compounds import COMPOUNDS_FILE
from lexical.config import LexicalConfig
from lexical.index import LexicalIndex
from lexical.live_index import LiveLexicalIndex

STORES = {
    "de": {
        "kettle": "Edelstahl Wasserkocher 1,7 Liter",
        "egg": "Kocher für sechs Eier",
        "bottle": "Flasche für Wasser, 1.500 ml",
        "shoe": "Rote Schuhe für Damen",
        "door": "Haustür aus Eiche, 98,5 cm",
    },
    "es": {
        "shoe": "Zapatos rojos de cuero para mujer",
        "boot": "Botas negras de niño",
        "shirt": "Camisón de algodón rojo",
        "coffee": "Cafetera italiana para 6 tazas",
    },
    "ja": {
        "garden": "日本の庭 写真集",
        "ramen": "ラーメン どんぶり 赤",
        "kettle": "電気ケトル 1.2L",
        "knife": "包丁 三徳 ステンレス",
    },
    "zh": {
        "case": "透明硅胶手机壳 iPhone15 防摔",
        "milk": "無糖燕麥奶 1L",
        "coffee": "全自动家用咖啡机 意式",
        "oats": "燕麦片 无添加",
        "phone": "小米智能手机 256GB",
        "shelf": "鞋架 三层",
    },
}
QUERIES = {
    "de": [
        ("Wasserkocher", ["kettle"]),
        ("kocher", ["egg", "kettle"]),
        ("schuh", ["shoe"]),
        ("haustuer", ["door"]),
        ("1,5 l flasche 1500 ml", ["bottle"]),
        ("wasser", ["bottle", "kettle"]),
    ],
    "es": [
        ("zapato rojo", ["shoe"]),
        ("bota nino", ["boot"]),
        ("camison", ["shirt"]),
        ("cafeteras", ["coffee"]),
    ],
    "ja": [
        ("日本", ["garden"]),
        ("らーめん", ["ramen"]),
        ("ﾗｰﾒﾝ", ["ramen"]),
        ("ケトル 1.2 l", ["kettle"]),
        ("包丁", ["knife"]),
    ],
    "zh": [
        ("苹果手机壳", ["case"]),
        ("手機殼", ["case"]),
        ("ｉＰｈｏｎｅ１５手机壳", ["case"]),
        ("shouji ke", ["case"]),
        ("shoujike", ["case"]),
        ("无糖 燕麦", ["milk"]),
        ("咖非机", ["coffee"]),
        ("kafeiji", ["coffee"]),
        ("xiaomi 256 gb", ["phone"]),
        ("xie jia", ["shelf"]),
    ],
}


@pytest.fixture(scope="module")
def indexes(tmp_path_factory) -> Callable[[str], LexicalIndex]:
    built = {}

    def index(language: str) -> LexicalIndex:
        if language not in built:
            directory = tmp_path_factory.mktemp(language) / "lexical"
            config = LexicalConfig(default_language="en" if language == "zh" else language)
            built[language] = LexicalIndex.build(store(language), directory, config)
        return built[language]

    return index


def store(language: str) -> ItemStore:
    return ItemStore.of([Item(item_id, title) for item_id, title in STORES[language].items()])


@pytest.mark.parametrize(
    ("language", "query", "first"),
    [(language, *case) for language, cases in QUERIES.items() for case in cases],
)
def test_the_first_results_of_a_query(indexes, language, query, first):
    rows, _ = indexes(language).search(query, 5)
    ids = list(STORES[language])
    assert [ids[row] for row in rows[: len(first)]] == first


def test_words_of_latin_letters_are_read_as_pinyin_only_without_a_better_reading(tmp_path):
    titles = ["women shoes", "pan, cast iron", "我们的盘子", "Nike 女鞋", "mi band"]
    items = ItemStore.of([Item(str(row), title) for row, title in enumerate(titles)])
    index = LexicalIndex.build(items, tmp_path / "lexical")
    for query, row in (("women", 0), ("pan", 1), ("women shoes", 0), ("nike", 3), ("mi", 4)):
        assert index.search(query, 5)[0].tolist() == [row]
    assert index.search("women de panzi", 5)[0][0] == 2
    assert index.search("nike nvxie", 5)[0][0] == 3
    assert index.search("nike nüxie", 5)[0][0] == 3


def test_an_index_keeps_its_default_language_and_words_of_compounds(tmp_path):
    config = LexicalConfig(default_language="de")
    LexicalIndex.build(store("de"), tmp_path / "lexical", config)
    opened = LexicalIndex.open(tmp_path / "lexical")
    live = LiveLexicalIndex(tmp_path / "lexical", opened, tmp_path)
    after = live.update({5: Item("new", "Teekocher mit Wasserfilter")}, [], 6)
    live.close()
    assert after.languages == ["de"]
    assert after.search("kocher", 6)[0].tolist()[:1] == [1]
    assert set(after.search("wasser", 6)[0].tolist()) == {0, 2}
    assert set(after.search("wasserkocher", 6)[0].tolist()) >= {0, 1, 2}


@pytest.mark.parametrize("values", [[], {"de": 1}, {"de": [1]}, None, {"de": None}])
def test_malformed_words_of_compounds_are_refused_with_their_path(tmp_path, values):
    LexicalIndex.build(store("de"), tmp_path / "lexical")
    path: Path = tmp_path / "lexical" / COMPOUNDS_FILE
    path.write_text(json.dumps(values))
    with pytest.raises(InputError, match=f"^{path}: .*malformed"):
        LexicalIndex.open(tmp_path / "lexical")


def test_a_query_without_a_language_is_read_in_all_languages_of_the_items(tmp_path):
    texts = [("en", "red shoes"), ("es", "zapatos rojos"), ("de", "1.500 Zapfen"), ("zh", "跑鞋")]
    items = [Item(title, title, language=language) for language, title in texts]
    mixed = LexicalIndex.build(ItemStore.of(items), tmp_path / "lexical")
    assert mixed.languages == ["en", "de", "es"]  # by number of items: Chinese counts as English
    for query, rows in (("zapato", [1]), ("shoe", [0]), ("1500 zapfen", [2]), ("跑鞋", [3])):
        assert mixed.search(query, 5)[0].tolist() == rows
    assert mixed.search("zapato", 5, "es")[0].tolist() == [1]
    assert mixed.terms("zapatos", "es") == ["zapat"]
    assert mixed.terms("zapatos", "zh") == ["zapato"]
