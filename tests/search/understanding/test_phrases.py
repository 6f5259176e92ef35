"""Phrases of a table in a text."""

from search.understanding.phrases import PhraseTable


def test_a_phrase_at_the_end_may_begin_a_longer_phrase():
    table = PhraseTable({("red",): 1, ("red", "oak"): 2})
    assert list(table.find("lamp , red")) == [("red", 1)]
    assert list(table.find("red oak red")) == [("red oak", 2), ("red", 1)]
