"""Completions, compared with a scan of all suggestions, and the check for results."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from catalog.items import Item
from catalog.store import ItemStore
from lexical.config import LexicalConfig
from lexical.index import LexicalIndex
from lexical.suggestions import (
    Kind,
    PastQueries,
    Suggestion,
    SuggestionConfig,
    SuggestionIndex,
    build_suggestions,
)
from lexical.suggestions.files import write_suggestions

ROWS = 5_000


def opened(directory: Path, suggestions: list[Suggestion]) -> SuggestionIndex:
    directory.mkdir(exist_ok=True)
    write_suggestions(directory, suggestions)
    SuggestionConfig().write(directory)
    return SuggestionIndex.open(directory, ROWS)


def texts(index: SuggestionIndex, prefix: str, most: int = 10, **options: object) -> list[str]:
    completions = index.complete(prefix, most, lambda suggestion: suggestion.row, **options)
    return [completion.suggestion.text for completion in completions.found]


def test_the_best_scores_come_first_however_many_texts_begin_with_the_prefix(
    tmp_path: Path,
) -> None:
    """More keys than several blocks of the index, so that block maxima are used."""
    chance = np.random.default_rng(0)
    letters = np.array(list("abc"))
    words = {"".join(chance.choice(letters, size=8)) for _ in range(3_000)}
    scores = chance.permutation(len(words)).tolist()
    suggestions = [
        Suggestion(word, Kind.TITLE, float(score), 0)
        for word, score in zip(sorted(words), scores, strict=True)
    ]
    index = opened(tmp_path, suggestions)
    for prefix in ("a", "b", "ab", "abca"):
        expected = sorted(
            (s for s in suggestions if s.text.startswith(prefix)), key=lambda s: -s.score
        )
        assert texts(index, prefix, 7) == [s.text for s in expected[:7]]


PHRASES = [
    Suggestion("ceiling fan", Kind.QUERY, 9.0, 0),
    Suggestion("ceiling fan with light", Kind.TITLE, 5.0, 1),
    Suggestion("Ceiling Fans", Kind.CATEGORY, 4.0, 2, "Lighting > Ceiling Fans"),
    Suggestion("Célina", Kind.BRAND, 3.0, 3, "Célina"),
    Suggestion("red fan", Kind.QUERY, 2.0, 4),
    Suggestion("手机壳", Kind.TITLE, 1.0, 5),
]


@pytest.fixture
def phrases(tmp_path: Path) -> SuggestionIndex:
    return opened(tmp_path, PHRASES)


def test_a_prefix_finds_every_kind_without_case_and_accents(phrases: SuggestionIndex) -> None:
    assert texts(phrases, "CÉ") == [
        "ceiling fan",
        "ceiling fan with light",
        "Ceiling Fans",
        "Célina",
    ]


def test_kinds_and_scripts_restrict_suggestions(phrases: SuggestionIndex) -> None:
    assert texts(phrases, "cei", kinds=(Kind.CATEGORY,)) == ["Ceiling Fans"]
    assert texts(phrases, "手") == ["手机壳"]
    assert texts(phrases, "手", scripts=("latin",)) == []


def test_a_space_ends_the_last_word(phrases: SuggestionIndex) -> None:
    assert texts(phrases, "ceiling fan ", kinds=(Kind.QUERY, Kind.TITLE)) == [
        "ceiling fan with light"
    ]


def test_a_later_word_is_found_after_the_first_words(phrases: SuggestionIndex) -> None:
    assert texts(phrases, "fan")[0:2] == ["ceiling fan", "Ceiling Fans"]
    assert "red fan" in texts(phrases, "fan")


def test_last_words_are_completed_after_other_first_words(phrases: SuggestionIndex) -> None:
    found = phrases.complete("hampton cei", 10, lambda _: 7).found
    assert [completion.suggestion.text for completion in found] == [
        "hampton ceiling fan",
        "hampton ceiling fan with light",
    ]
    assert {completion.suggestion.row for completion in found} == {7}


@pytest.mark.parametrize(
    ("typed", "corrected"),
    [
        ("celing", "ceiling"),  # a letter is missing
        ("ceiiling fa", "ceiling fa"),  # a letter is doubled
        ("ceilnig f", "ceiling f"),  # two letters are swapped
        ("ceikin", "ceilin"),  # an unfinished word
        ("ecilin", "ceilin"),
    ],
)
def test_a_mistyped_prefix_is_corrected(
    phrases: SuggestionIndex, typed: str, corrected: str
) -> None:
    completions = phrases.complete(typed, 10, lambda suggestion: suggestion.row)
    assert completions.corrected == corrected
    assert completions.found[0].suggestion.text == "ceiling fan"


@pytest.mark.parametrize("typed", ["ceil", "xyz", "1234", "cei "])
def test_known_short_and_unlike_words_are_not_corrected(
    phrases: SuggestionIndex, typed: str
) -> None:
    assert phrases.complete(typed, 10, lambda suggestion: suggestion.row).corrected == ""


def test_suggestions_without_an_item_are_left_out(phrases: SuggestionIndex) -> None:
    found = phrases.complete("cei", 10, lambda s: None if s.row == 0 else s.row).found
    assert [completion.suggestion.row for completion in found] == [1, 2]


# ---- Building


@pytest.fixture
def built(tmp_path: Path) -> Callable[..., tuple[SuggestionIndex, LexicalIndex]]:
    def build(
        items: list[Item], queries: dict[str, int], lexical: LexicalConfig | None = None, **options
    ) -> tuple[SuggestionIndex, LexicalIndex]:
        store = ItemStore.of(items)
        index = LexicalIndex.build(store, tmp_path / "lexical", lexical)
        past = PastQueries(list(queries), list(queries.values()))
        build_suggestions(tmp_path / "s", store, index, past, SuggestionConfig(**options))
        return SuggestionIndex.open(tmp_path / "s", len(store)), index

    return build


LAMPS = [
    Item("1", "Brass reading lamp", brand="Acme", category="Home > Lamps"),
    Item("2", "Brass floor lamp", brand="Acme", category="Home > Lamps"),
    Item("3", "Steel floor lamp", category="Home > Tools"),
]


def test_every_kind_of_text_becomes_a_suggestion(built) -> None:
    index, _ = built(LAMPS, {"steel lamp": 4}, min_title_count=2)
    found = index.complete("", 50, lambda s: s.row).found
    assert found == ()
    assert texts(index, "s") == ["steel lamp"]
    assert texts(index, "f") == ["floor lamp"]
    assert texts(index, "a") == ["Acme"]
    [home] = index.complete("ho", 10, lambda s: s.row).found
    assert (home.suggestion.text, home.suggestion.value) == ("Home", "Home")
    [tools] = index.complete("too", 10, lambda s: s.row).found
    assert tools.suggestion.value == "Home > Tools"


def test_past_queries_with_too_few_results_are_left_out(built) -> None:
    queries = {"brass lamp": 5, "steel lamp": 5, "golden lamp": 9}
    index, _ = built(LAMPS, queries, min_results=2, min_title_count=3)
    assert texts(index, "brass") == ["brass lamp"]
    assert texts(index, "steel") == []
    assert texts(index, "golden") == []


def test_a_text_of_a_field_that_is_not_indexed_is_left_out(built) -> None:
    index, _ = built(LAMPS, {}, LexicalConfig(field_weights={"title": 1.0}), min_title_count=2)
    assert texts(index, "acme") == []


def test_every_suggestion_leads_to_results(built) -> None:
    index, lexical = built(LAMPS, {"brass lamp": 2, "lamp of gold": 7}, min_title_count=1)
    assert len(index) > 10
    for prefix in "abcdefghijklmnopqrstuvwxyz":
        for text in texts(index, prefix, 50):
            rows, _ = lexical.search(text, 10)
            assert len(rows), text
            best = LAMPS[int(rows[0])]
            words = f"{best.title} {best.brand} {best.category}".lower()
            assert all(word in words for word in text.lower().split()), text


def test_a_long_prefix_of_unknown_words_is_not_corrected(phrases: SuggestionIndex) -> None:
    """The correction of a word takes time, so a request corrects two words at most."""
    typed = " ".join(["celing"] * 3)
    assert phrases.complete(typed, 10, lambda suggestion: suggestion.row).corrected == ""
    assert phrases.complete("rde celing f", 10, lambda _: 7).corrected == "rde ceiling f"


def test_rows_with_all_are_the_items_that_have_every_word(tmp_path: Path) -> None:
    index = LexicalIndex.build(ItemStore.of(LAMPS), tmp_path / "lexical")
    assert index.rows_with_all("brass lamp", 10).tolist() == [0, 1]
    assert index.rows_with_all("lamps", 2).size == 2  # the same term as "lamp"
    assert index.rows_with_all("acme floor", 10).tolist() == [1]  # words of two fields
    assert index.rows_with_all("brass lamp", 10, among=1).tolist() == [1]
    assert index.rows_with_all("brass lamp", 10, among=2).tolist() == []
    for text in ("golden lamp", "bras lamp", "", "&"):  # no word is guessed
        assert index.rows_with_all(text, 10).tolist() == []
