"""Phrases: the words that many texts have in common, one directly after another."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from lexical.suggestions.text import GLUED, join_pieces, pieces

_MAX_GLUED = 6  # maximum number of characters of a phrase that is written without spaces


@dataclass(frozen=True)
class Phrase:
    """A phrase that several texts have.

    Attributes:
        text: The words of the phrase.
        count: The summed weight of its occurrences.
        row: The first text that has the phrase.
    """

    text: str
    count: float
    row: int


@dataclass(frozen=True)
class _Level:
    """All frequent phrases of one length.

    Attributes:
        at: The phrase that begins at each position; -1 for none.
        first: The position of each phrase's first occurrence.
        counts: The weight of each phrase.
    """

    at: Int64[np.ndarray, " positions"]
    first: Int64[np.ndarray, " phrases"]
    counts: Float64[np.ndarray, " phrases"]


def frequent_phrases(
    keys: Iterable[str],
    weights: Sequence[float] | None = None,
    *,
    min_count: int,
    max_words: int,
    fragment: float,
    never_last: Collection[str] = (),
) -> list[Phrase]:
    """Find the phrases of some texts.

    A phrase is left out if it is a fragment: if one longer phrase, with one more word before or
    after it, has most of its occurrences. So a phrase begins and ends where texts differ.

    Args:
        keys: The texts, as keys.
        weights: The weight of each text; None: each weighs 1.
        min_count: Minimum weight of a phrase.
        max_words: Maximum number of words.
        fragment: The share of a phrase's weight from which one longer phrase replaces it.
        never_last: Words that no phrase ends with.
    """
    vocabulary: dict[str, int] = {}
    words: list[int] = []
    lengths: list[int] = []
    for key in keys:
        parts = pieces(key)
        words += [vocabulary.setdefault(part, len(vocabulary)) for part in parts]
        lengths.append(len(parts))
    texts = np.repeat(np.arange(len(lengths)), np.array(lengths, np.int64))
    weight = np.ones(len(texts)) if weights is None else np.asarray(weights, np.float64)[texts]
    codes = np.array(words, np.int64)
    names = list(vocabulary)
    glued = np.array([name.startswith(GLUED) for name in names], bool)[codes]
    alone = np.array([_stands_alone(name) for name in names], bool)[codes]
    may_end = np.array([name not in never_last for name in names], bool)[codes]
    found: dict[str, Phrase] = {}
    level = _level(codes, weight, min_count)
    for length in range(1, max(max_words, _MAX_GLUED) + 1):
        longer = _extended(level, codes, texts, weight, min_count, len(names), length)
        if length >= max_words:  # only text without spaces may have longer phrases
            longer = _only_glued(longer, glued, length)
        kept = ~_fragments(level, longer, fragment) & may_end[level.first + length - 1]
        if length == 1:
            kept &= alone[level.first]
        for phrase in np.flatnonzero(kept).tolist():
            start = int(level.first[phrase])
            text = join_pieces([names[word] for word in codes[start : start + length]])
            same = found.get(text)
            count = float(level.counts[phrase]) + (same.count if same else 0.0)
            found[text] = Phrase(text, count, same.row if same else int(texts[start]))
        level = longer
    return list(found.values())


def _level(
    codes: Int64[np.ndarray, " positions"],
    weight: Float64[np.ndarray, " positions"],
    min_count: int,
) -> _Level:
    """Number the frequent codes; a negative code is no phrase."""
    positions = np.flatnonzero(codes >= 0)
    _, first, number = np.unique(codes[positions], return_index=True, return_inverse=True)
    counts = np.bincount(number, weight[positions], len(first)).astype(np.float64)
    frequent = counts >= min_count
    renumbered = np.where(frequent, np.cumsum(frequent) - 1, -1)
    at = np.full(len(codes), -1, np.int64)
    at[positions] = renumbered[number]
    return _Level(at, positions[first[frequent]], counts[frequent])


def _extended(
    level: _Level,
    words: Int64[np.ndarray, " positions"],
    texts: Int64[np.ndarray, " positions"],
    weight: Float64[np.ndarray, " positions"],
    min_count: int,
    vocabulary: int,
    length: int,
) -> _Level:
    """Return the phrases that have one word more than the phrases of a level."""
    codes = np.full(len(words), -1, np.int64)
    size = max(0, len(words) - length)
    inner = (
        (texts[:size] == texts[length:]) & (level.at[:size] >= 0) & (level.at[1 : size + 1] >= 0)
    )
    codes[:size] = np.where(inner, level.at[:size] * vocabulary + words[length:], -1)
    return _level(codes, weight, min_count)


def _only_glued(
    level: _Level, glued: "np.ndarray[tuple[int], np.dtype[np.bool_]]", length: int
) -> _Level:
    """Return a level without the phrases that have a space before their last word."""
    kept = glued[level.first + length]
    number = np.append(np.where(kept, np.cumsum(kept) - 1, -1), -1)
    return _Level(number[level.at], level.first[kept], level.counts[kept])


def _fragments(
    level: _Level, longer: _Level, share: float
) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Return which phrases of a level have most of their weight in one longer phrase."""
    best = np.zeros(len(level.counts))
    for shift in (0, 1):  # the longer phrase has one more word after the phrase, or before it
        np.maximum.at(best, level.at[longer.first + shift], longer.counts)
    return best >= share * level.counts


def _stands_alone(piece: str) -> bool:
    """Return whether one piece is a phrase: it has two characters or more, and a letter."""
    return len(piece.removeprefix(GLUED)) > 1 and any(map(str.isalpha, piece))
