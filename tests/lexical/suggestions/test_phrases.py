"""Frequent phrases of texts, compared with a plain count of all runs of words."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexical.suggestions.phrases import frequent_phrases

TEXTS = st.lists(st.lists(st.sampled_from(["aa", "bb", "cc"]), max_size=6), max_size=8)


def counted(texts: list[list[str]], most: int) -> Counter[str]:
    return Counter(
        " ".join(words[start : start + length])
        for words in texts
        for length in range(1, most + 1)
        for start in range(len(words) - length + 1)
    )


@given(TEXTS)
def test_phrases_are_all_frequent_runs_of_words(texts: list[list[str]]) -> None:
    found = frequent_phrases(map(" ".join, texts), min_count=2, max_words=3, fragment=2.0)
    expected = {text: n for text, n in counted(texts, 3).items() if n >= 2}
    assert {phrase.text: phrase.count for phrase in found} == expected
    assert all(phrase.text in " ".join(texts[phrase.row]) for phrase in found)


def test_fragments_of_longer_phrases_are_left_out() -> None:
    keys = ["hampton bay fan", "hampton bay lamp", "hampton bay", "old bay"]
    found = frequent_phrases(keys, min_count=2, max_words=3, fragment=0.8)
    # "hampton" is always followed by "bay"; "bay" has three of its four uses in "hampton bay".
    assert {phrase.text for phrase in found} == {"hampton bay", "bay"}


def test_weights_count_a_text_several_times() -> None:
    [found] = frequent_phrases(["usb"], [5.0], min_count=3, max_words=2, fragment=2.0)
    assert (found.text, found.count, found.row) == ("usb", 5.0, 0)


def test_phrases_of_han_have_no_spaces() -> None:
    found = frequent_phrases(["红手机壳", "蓝手机壳"], min_count=2, max_words=2, fragment=2.0)
    assert {phrase.text for phrase in found} == {"手机", "机壳", "手机壳"}


@pytest.mark.parametrize("keys", [[], ["", ""], ["1 2", "1 2"]])
def test_texts_without_words_have_no_single_word_phrases(keys: list[str]) -> None:
    found = frequent_phrases(keys, min_count=1, max_words=1, fragment=2.0)
    assert found == []


def test_some_words_end_no_phrase() -> None:
    keys = ["fan with light", "fan with remote", "fan with"]
    found = frequent_phrases(
        keys, min_count=2, max_words=2, fragment=2.0, never_last=frozenset(("with",))
    )
    assert {phrase.text for phrase in found} == {"fan"}
