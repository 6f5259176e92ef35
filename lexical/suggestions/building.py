"""Build the suggestions of a bundle from past queries and items."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from catalog.fields import LEVEL
from catalog.store import ItemStore
from lexical.index import LexicalIndex
from lexical.suggestions.config import SuggestionConfig
from lexical.suggestions.files import write_suggestions
from lexical.suggestions.kinds import Kind, Suggestion
from lexical.suggestions.past_queries import PastQueries
from lexical.suggestions.phrases import frequent_phrases
from lexical.suggestions.text import key_of, pieces

_MIN_COUNT = 20  # minimum number of queries that show whether a word ends queries
_MIN_END_SHARE = 0.02  # a word that ends a smaller share of its queries is never last


def build_suggestions(
    directory: Path,
    store: ItemStore,
    index: LexicalIndex,
    queries: PastQueries,
    config: SuggestionConfig,
) -> dict[str, Any]:
    """Write the suggestions of a store into a directory.

    Every suggestion leads to results: the lexical index has at least one item with all its words.

    Args:
        directory: An empty directory, or a directory to create.
        store: The items.
        index: The lexical index of the items.
        queries: The past queries.
        config: Which texts become suggestions.

    Returns:
        The number of suggestions of each kind.
    """
    directory.mkdir(parents=True, exist_ok=True)
    suggestions = [
        *_queries_and_titles(store, index, queries, config),
        *_values(Kind.BRAND, store.text("brand"), index, config),
        *_values(Kind.CATEGORY, store.text("category"), index, config),
    ]
    write_suggestions(directory, suggestions)
    queries.write(directory)
    config.write(directory)
    return {
        kind.name.lower(): sum(suggestion.kind == kind for suggestion in suggestions)
        for kind in Kind
    }


def _queries_and_titles(
    store: ItemStore, index: LexicalIndex, queries: PastQueries, config: SuggestionConfig
) -> Iterator[Suggestion]:
    """Yield past queries, their phrases, and the phrases of titles; each text once."""
    whole: dict[str, float] = {}
    for text, count in zip(queries.texts, queries.counts, strict=True):
        key = key_of(text)
        whole[key] = whole.get(key, 0.0) + count
    phrases = partial(
        frequent_phrases,
        max_words=config.max_words,
        fragment=config.fragment_share,
        never_last=_never_last(whole),
    )
    of_queries = {
        phrase.text: phrase.count
        for phrase in phrases(whole, list(whole.values()), min_count=config.min_query_count)
    }
    titles = phrases(
        (key_of(title or "") for title in store.text("title")), min_count=config.min_title_count
    )
    titles.sort(key=lambda phrase: -phrase.count)
    in_titles = {phrase.text: phrase for phrase in titles[: config.max_title_phrases]}
    for text in dict.fromkeys((*whole, *of_queries, *in_titles)):
        title = in_titles.get(text)
        is_query = text in whole or text in of_queries
        least = config.min_results if is_query else 1
        among = title.row if title is not None and least == 1 else None
        rows = index.rows_with_all(text, least, among=among)
        if len(rows) < least:
            continue
        score = (
            config.query_weight * whole.get(text, 0.0)
            + config.query_phrase_weight * of_queries.get(text, 0.0)
            + config.title_weight * (title.count if title else 0.0)
        )
        yield Suggestion(text, Kind.QUERY if is_query else Kind.TITLE, score, int(rows[0]))


def _never_last(keys: Collection[str]) -> frozenset[str]:
    """Return the words that occur in many queries and end hardly any, such as "with"."""
    counts, ends = Counter[str](), Counter[str]()
    for parts in filter(None, map(pieces, keys)):
        counts.update(parts)
        ends[parts[-1]] += 1
    return frozenset(
        word
        for word, count in counts.items()
        if count >= _MIN_COUNT and ends[word] < _MIN_END_SHARE * count
    )


def _values(
    kind: Kind, values: Sequence[str | None], index: LexicalIndex, config: SuggestionConfig
) -> Iterator[Suggestion]:
    """Yield the distinct brands, or the distinct levels of the category paths."""
    counts: dict[str, int] = {}
    first: dict[str, int] = {}
    for row, value in enumerate(values):
        levels = _levels(value or "") if kind is Kind.CATEGORY else [value or ""]
        for level in filter(str.strip, levels):
            counts[level] = counts.get(level, 0) + 1
            first.setdefault(level, row)
    for value, count in counts.items():
        text = value.rpartition(LEVEL)[2] if kind is Kind.CATEGORY else value
        rows = index.rows_with_all(text, 1, among=first[value])
        if len(rows):
            score = config.items_weight * count
            yield Suggestion(text.strip(), kind, score, int(rows[0]), value)


def _levels(category: str) -> list[str]:
    """Return a category path and the paths above it, the shortest first."""
    names = category.split(LEVEL)
    return [LEVEL.join(names[: end + 1]) for end in range(len(names))]
