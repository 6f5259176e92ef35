"""Find phrases of a table in a text: whole words, the longest phrase first."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, TypeVar

Value = TypeVar("Value")

# Scripts without spaces between words: Han, Kana. Each character counts as one word.
_TOKEN = re.compile(
    r"[\u3400-\u9fff\uf900-\ufaff\u3040-\u30ff]|[^\W_\u3400-\u9fff\uf900-\ufaff\u3040-\u30ff]+"
)


def tokens_of(text: str) -> tuple[str, ...]:
    """Return the words of a normalised text, and each character of Han and Kana by itself."""
    return tuple(_TOKEN.findall(text))


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text that white space separates; for lists of words in the code."""
    return frozenset(text.split())


class PhraseTable(Generic[Value]):
    """Phrases with values. The table never changes."""

    def __init__(self, phrases: Mapping[tuple[str, ...], Value]) -> None:
        """Store phrases, each as its tokens (see `tokens_of`)."""
        self._values = phrases
        lengths: dict[str, list[int]] = {}
        for tokens in phrases:
            of_first = lengths.setdefault(tokens[0], [])
            if len(tokens) not in of_first:
                of_first.append(len(tokens))
        for of_first in lengths.values():
            of_first.sort(reverse=True)
        self._lengths = lengths

    def __len__(self) -> int:
        return len(self._values)

    def items(self) -> Iterable[tuple[tuple[str, ...], Value]]:
        """Return all phrases with their values."""
        return self._values.items()

    def find(self, text: str) -> Iterator[tuple[str, Value]]:
        """Yield the phrases in a normalised text, as written there, each with its value.

        Phrases do not overlap; at each word, the longest phrase wins.
        """
        if not self._values:
            return
        matches = list(_TOKEN.finditer(text))
        tokens = [match[0] for match in matches]
        position = 0
        while position < len(tokens):
            for length in self._lengths.get(tokens[position], ()):
                phrase = tuple(tokens[position : position + length])
                if phrase in self._values:
                    last = position + len(phrase) - 1  # a phrase at the end is shorter than length
                    yield (
                        text[matches[position].start() : matches[last].end()],
                        self._values[phrase],
                    )
                    position = last + 1
                    break
            else:
                position += 1
