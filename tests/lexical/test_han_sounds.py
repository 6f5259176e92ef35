"""Pinyin becomes the Han text that a catalogue has."""

import pytest

from catalog.items import Item
from catalog.store import ItemStore
from lexical.han_sounds import HanSounds
from lexical.index import LexicalIndex

COUNTS = {"手": 3, "机": 4, "壳": 2, "手机": 3, "机壳": 2, "首": 9, "首机": 1, "收": 1, "lamp": 7}


@pytest.mark.parametrize(
    ("syllables", "text"),
    [
        (["shou", "ji", "ke"], "手机壳"),  # a chain of pairs beats the more common character 首
        (["shou"], "首"),
        (["shou", "ke"], "首壳"),  # no pair has this sound
        (["shou", "zhe"], ""),
        ([], ""),
    ],
)
def test_the_text_is_the_best_chain_of_pairs(syllables, text):
    assert HanSounds(COUNTS).text(syllables)[0] == text


def test_the_probability_is_the_smallest_share_of_a_pair():
    assert HanSounds(COUNTS).text(["shou", "ji", "ke"])[1] == pytest.approx(3 / 4)
    assert HanSounds(COUNTS).text(["shou"])[1] == pytest.approx(9 / 13)
    assert HanSounds(COUNTS).text(["shou", "ke"])[1] == 0


def test_added_terms_count_beside_those_of_the_base():
    sounds = HanSounds({"机套": 1, "套": 1}, HanSounds(COUNTS))
    assert sounds.text(["shou", "ji", "tao"])[0] == "手机套"


def test_an_index_turns_pinyin_of_its_items_into_han_text(tmp_path):
    store = ItemStore.of([Item("a", "透明手机壳 iPhone"), Item("b", "USB 收音机")])
    index = LexicalIndex.build(store, tmp_path / "lexical")
    assert [(typed, han) for typed, han, _ in index.pinyin("usb shouji ke")] == [
        ("shouji ke", "手机壳")
    ]
    assert index.pinyin("usb radio") == []
