"""Joined and split words: "dish washer" for dishwasher, "airconditioner" for air conditioner."""

from collections.abc import Callable, Iterator, Sequence

from search.understanding.interpretation import Change, Rewrite
from search.understanding.spelling import best_split
from search.understanding.words import Words, is_plain

_MIN_JOINED = 6  # minimum number of characters of a joined word
_MIN_COUNT = 2  # minimum number of occurrences of a joined word


def joined_words(
    words: Words, tokens: Sequence[str], is_known: Callable[[str], bool]
) -> Iterator[tuple[int, Rewrite]]:
    """Yield the pairs of neighbouring words that the catalogue writes as one word.

    The joined word replaces the pair if the catalogue lacks one of the two words. Otherwise it is
    an alternative, because both readings make sense ("car pet").

    Yields:
        The position of the pair's first word, and the change.
    """
    position = 0
    while position + 1 < len(tokens):
        left, right = tokens[position : position + 2]
        joined, position = left + right, position + 1
        if len(joined) < _MIN_JOINED or not (is_plain(left) and is_plain(right)):
            continue
        count, pairs = words.count(joined), words.pair_count(left, right)
        if count < _MIN_COUNT or count <= pairs:
            continue
        applied = not (is_known(left) and is_known(right))
        change = Rewrite(
            Change.JOINED, f"{left} {right}", joined, count / (count + pairs + 1), applied
        )
        yield position - 1, change
        position += 1


def split_words(words: Words, tokens: Sequence[str]) -> Iterator[Rewrite]:
    """Yield the known words that the catalogue more often writes as two words."""
    for word in tokens:
        if len(word) >= _MIN_JOINED and word in words:
            count = words.count(word)
            split, pairs = best_split(words, word)
            if pairs > count:
                yield Rewrite(Change.SPLIT, word, split, pairs / (pairs + count), applied=False)
