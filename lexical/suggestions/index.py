"""Complete typed prefixes with the suggestions of a bundle."""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Int64

from base.untrusted import limits
from lexical.suggestions.config import SuggestionConfig
from lexical.suggestions.files import part_of, read_tables
from lexical.suggestions.kinds import Completion, Kind, Suggestion
from lexical.suggestions.text import SCRIPTS, join_pieces, pieces, typed_key
from lexical.suggestions.typos import Typos

_BLOCK = 256  # number of keys of a block; the best score of each block is stored
_MAX_CHECKED = 64  # maximum number of suggestions that one request checks for results
_MAX_JOINED = 4  # maximum number of suggestions that are joined to the same first words
_MAX_ALL_JOINED = 16  # maximum number of joined suggestions, whose check is a search of the index
# Texts that are appended to other first words. Categories and brands lead elsewhere.
_JOINED_KINDS = (Kind.QUERY, Kind.TITLE)
_MAX_TAIL = 6  # maximum number of last words that a joined suggestion begins with
_MAX_MISTYPED = 2  # maximum number of words of a prefix that are corrected

# Returns the row of an item that has all words of a suggestion; None if there is none.
FindRow = Callable[[Suggestion], int | None]


@dataclass(frozen=True)
class Completions:
    """The suggestions for one prefix.

    Attributes:
        found: The suggestions, best first.
        corrected: The corrected key of the prefix; "" if the prefix was not corrected.
    """

    found: tuple[Completion, ...]
    corrected: str = ""


class SuggestionIndex:
    """The suggestions of one bundle, read-only and safe to use from several threads.

    A prefix is looked up in three ways. The first ways come first in the answer:

    1. Suggestions that begin with the prefix, and suggestions with a later word that begins so.
       Within a part, keys are sorted, so the keys that begin with a prefix are a range. The best
       scores of blocks of keys find the best keys of a long range.
    2. If these are too few: suggestions that begin with the last words of the prefix, joined to the
       first words (Mitra and Craswell, 2015, "Query auto-completion for rare prefixes").
    3. If there are none: the first two ways for the prefix with corrected words.
    """

    def __init__(
        self, suggestions: pa.Table, keys: pa.Table, words: pa.Table, inside_weight: float
    ) -> None:
        """Prepare the tables of `lexical.suggestions.files` for look-ups."""
        self._table = suggestions
        self._keys = _Keys(keys["key"].combine_chunks())
        parts, firsts = np.unique(keys["part"].to_numpy(), return_index=True)
        ends = np.append(firsts[1:], len(keys))[: len(firsts)]  # without keys, there is no end
        bounds = zip(firsts.tolist(), ends.tolist(), strict=True)
        self._bounds: dict[int, tuple[int, int]] = dict(zip(parts.tolist(), bounds, strict=True))
        self._start = keys["start"].to_numpy()
        self._suggestion = keys["suggestion"].to_numpy()
        scores = suggestions["score"].to_numpy()[self._suggestion]
        self._score = np.where(self._start > 0, inside_weight * scores, scores).astype(np.float32)
        padded = np.append(self._score, np.zeros(-len(self._score) % _BLOCK, np.float32))
        self._block_best = padded.reshape(-1, _BLOCK).max(axis=1)
        self._typos = Typos(words["word"].to_pylist(), words["score"].to_pylist())

    @classmethod
    def open(cls, directory: Path, rows: int) -> "SuggestionIndex":
        """Open the files that `build_suggestions` wrote for a store with `rows` items.

        Raises:
            InputError: a file is damaged, or too large when decoded.
        """
        stored = sum(path.stat().st_size for path in directory.iterdir())
        tables = read_tables(directory, rows, limits.TABLE_BYTES + limits.TABLE_RATIO * stored)
        return cls(*tables, SuggestionConfig.read(directory).inside_weight)

    def __len__(self) -> int:
        return len(self._table)

    def complete(
        self,
        prefix: str,
        most: int,
        find_row: FindRow,
        kinds: Collection[Kind] = tuple(Kind),
        scripts: Collection[str] = SCRIPTS,
    ) -> Completions:
        """Return the best suggestions for a typed prefix.

        Args:
            prefix: The typed text.
            most: The maximum number of suggestions.
            find_row: Finds an item with all words of a suggestion. A suggestion without such an
                item is left out.
            kinds: The kinds of suggestions to return.
            scripts: The scripts of suggestions to return.
        """
        key = typed_key(prefix)
        if not key:
            return Completions(())
        check = _Check(find_row, _MAX_CHECKED)
        parts = tuple(part_of(kind, script) for kind in kinds for script in scripts)
        joined = tuple(part_of(k, s) for k in _JOINED_KINDS if k in kinds for s in scripts)
        found = self._complete(key, most, check, parts, joined)
        if found:
            return Completions(found)
        for corrected in self._corrections(key):
            found = self._complete(corrected, most, check, parts, joined)
            if found:
                return Completions(found, corrected)
        return Completions(())

    def _complete(
        self,
        key: str,
        most: int,
        check: "_Check",
        parts: tuple[int, ...],
        joined: tuple[int, ...],
    ) -> tuple[Completion, ...]:
        """Return suggestions for a key in the first two ways."""
        found: dict[tuple[str, str], Completion] = {}
        for completion in self._candidates(key, most, parts, joined):
            same = completion.suggestion.text, completion.suggestion.value
            if same in found:
                continue
            if (row := check(completion.suggestion)) is not None:
                suggestion = replace(completion.suggestion, row=row)
                found[same] = replace(completion, suggestion=suggestion)
            if len(found) == most or check.is_exhausted:
                break
        return tuple(found.values())

    def _candidates(
        self, key: str, most: int, parts: tuple[int, ...], joined: tuple[int, ...]
    ) -> Iterator[Completion]:
        for number in self._best(key, 2 * most, parts):
            suggestion = self._at(int(self._suggestion[number]))
            yield Completion(suggestion, int(self._start[number]))
        yield from islice(self._joined(key, joined), _MAX_ALL_JOINED)

    def _joined(self, key: str, joined: tuple[int, ...]) -> Iterator[Completion]:
        """Yield suggestions for the last words of a key, joined to its first words."""
        words = pieces(key)
        for first in range(max(1, len(words) - _MAX_TAIL), len(words)):
            head, tail = join_pieces(words[:first]), join_pieces(words[first:])
            gap = "" if key.startswith(head + tail) else " "
            if key.endswith(" "):
                tail += " "
            for number in self._best(tail, _MAX_JOINED, joined):
                if not self._start[number]:
                    suggestion = self._at(int(self._suggestion[number]))
                    text = f"{head}{gap}{suggestion.text}"
                    yield Completion(replace(suggestion, text=text, row=-1))

    def _corrections(self, key: str) -> Iterator[str]:
        """Yield a corrected key for each correction of the last word.

        Finished words get their best correction. A prefix with more than `_MAX_MISTYPED` unknown
        words is not corrected.
        """
        words = key.split()
        is_finished = [True] * len(words)
        is_finished[-1] = key.endswith(" ")
        unknown = {
            place: finished
            for place, (word, finished) in enumerate(zip(words, is_finished, strict=True))
            if not self._knows(word, finished)
        }
        if len(unknown) > _MAX_MISTYPED:
            return
        choices = {
            place: self._typos.corrections(words[place], finished)
            for place, finished in unknown.items()
        }
        for place, corrections in choices.items():
            if corrections:
                words[place] = corrections[0]
        last = len(words) - 1
        if any(choices.values()):
            for word in choices.get(last) or (words[last],):
                yield " ".join((*words[:last], word)) + (" " if is_finished[last] else "")

    def _knows(self, word: str, is_finished: bool) -> bool:
        return word in self._typos if is_finished else self._typos.begins_a_word(word)

    def _at(self, number: int) -> Suggestion:
        text, kind, score, row, value = (column[number].as_py() for column in self._table.columns)
        return Suggestion(text, Kind(kind), score, row, value)

    def _best(self, prefix: str, most: int, parts: tuple[int, ...]) -> tuple[int, ...]:
        """Return the numbers of the best keys that begin with a prefix, in some parts."""
        typed, numbers = prefix.encode(), []
        for part in parts:
            low, high = self._bounds.get(part, (0, 0))
            low = bisect_left(self._keys, typed, low, high)
            high = bisect_left(self._keys, typed + b"\xff", low, high)
            numbers.append(_top(self._score, self._block_best, low, high, most))
        best = np.concatenate(numbers) if numbers else np.empty(0, np.int64)
        order = np.lexsort((best, -self._score[best]))[:most]
        return tuple(best[order].tolist())


class _Check:
    """Counts checks for results, so that one request makes a limited number."""

    def __init__(self, find_row: FindRow, most: int) -> None:
        self._find_row = find_row
        self._left = most

    @property
    def is_exhausted(self) -> bool:
        return self._left <= 0

    def __call__(self, suggestion: Suggestion) -> int | None:
        self._left -= 1
        return self._find_row(suggestion)


class _Keys:
    """Sorted texts, compared as UTF-8 in the buffers of an Arrow array."""

    def __init__(self, texts: pa.StringArray) -> None:
        self._count = len(texts)
        _, offsets, data = texts.buffers()
        self._offsets = np.frombuffer(offsets or bytes(4), np.int32)[texts.offset :]
        self._data = memoryview(data or b"")

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> bytes:
        return bytes(self._data[self._offsets[number] : self._offsets[number + 1]])


def _top(
    scores: Float32[np.ndarray, " keys"],
    block_best: Float32[np.ndarray, " blocks"],
    low: int,
    high: int,
    most: int,
) -> Int64[np.ndarray, " best"]:
    """Return the `most` best positions in a range, in any order.

    The best positions of whole blocks are in the blocks with the best maxima.
    """
    first, last = -(-low // _BLOCK), high // _BLOCK
    if first >= last:
        inside = np.arange(low, high)
    else:
        blocks = first + _largest(block_best[first:last], most)
        inside = np.concatenate(
            (
                np.arange(low, first * _BLOCK),
                (blocks[:, None] * _BLOCK + np.arange(_BLOCK)).ravel(),
                np.arange(last * _BLOCK, high),
            )
        )
    best: Int64[np.ndarray, " best"] = inside[_largest(scores[inside], most)]
    return best


def _largest(values: Float32[np.ndarray, " values"], most: int) -> Int64[np.ndarray, " largest"]:
    if len(values) <= most:
        return np.arange(len(values))
    largest: Int64[np.ndarray, " largest"] = np.argpartition(-values, most - 1)[:most]
    return largest
