"""Texts to word pieces, and word pieces to the padded batches that BERT reads.

Rows of different lengths are kept end to end in one array until a batch is padded, so that no
Python loop runs over rows or tokens beyond the tokenizer itself.
"""

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from jaxtyping import Bool, Int, Int32, Int64

from base.errors import InputError
from bert.batch import Tokens

TOKENIZER_FILE = "tokenizer.json"
# Hugging Face's own tokenizer classes read these beside tokenizer.json; this package does not.
_COMPANIONS = ("tokenizer_config.json", "special_tokens_map.json")
# Texts tokenised at a time: an encoding keeps far more than its ids.
_CHUNK = 1024


@dataclass(frozen=True, eq=False)
class Ragged:
    """Rows of whole numbers of different lengths, end to end.

    Attributes:
        values: all rows, one after the other.
        offsets: row i is `values[offsets[i]:offsets[i + 1]]`.
    """

    values: Int32[np.ndarray, " total"]
    offsets: Int64[np.ndarray, " rows_and_one"]

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> "Ragged":
        """Lay rows end to end."""
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        offsets = _offsets(lengths)
        values = np.fromiter(itertools.chain.from_iterable(rows), np.int32, int(offsets[-1]))
        return cls(values, offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> Int32[np.ndarray, " length"]:
        row = range(len(self))[row]
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    @property
    def lengths(self) -> Int64[np.ndarray, " rows"]:
        """How many values each row has."""
        return np.diff(self.offsets)

    def take(self, rows: Int[np.ndarray, " chosen"] | Sequence[int]) -> "Ragged":
        """The chosen rows, in the order given; a row may come more than once."""
        rows = np.asarray(rows, np.int64)
        lengths = self.lengths[rows]
        offsets = _offsets(lengths)
        values = np.empty(offsets[-1], np.int32)
        values[:] = self.values[_positions(self.offsets[:-1][rows], lengths)]
        return Ragged(values, offsets)

    def cut(self, most: Int[np.ndarray, " rows"]) -> "Ragged":
        """Each row's first values, at most so many."""
        lengths = np.minimum(self.lengths, most)
        return Ragged(self.values[_positions(self.offsets[:-1], lengths)], _offsets(lengths))


@dataclass(frozen=True, eq=False)
class Tokenised:
    """Rows with their [CLS] and [SEP], ready to be padded.

    Attributes:
        ids: word pieces, `[CLS] a [SEP]` or `[CLS] a [SEP] b [SEP]`.
        first_lengths: how many of a row's tokens, from its start, are of type 0.
        pad_id: what fills a batch up.
    """

    ids: Ragged
    first_lengths: Int64[np.ndarray, " rows"]
    pad_id: int

    @classmethod
    def of_texts(cls, pieces: Ragged, tokenizer: "Tokenizer") -> "Tokenised":
        """Put the word pieces of each text between [CLS] and [SEP]."""
        lengths = pieces.lengths + 2
        offsets = _offsets(lengths)
        values = np.empty(offsets[-1], np.int32)
        values[offsets[:-1]] = tokenizer.cls_id
        values[_positions(offsets[:-1] + 1, pieces.lengths)] = pieces.values
        values[offsets[1:] - 1] = tokenizer.sep_id
        return cls(Ragged(values, offsets), lengths, tokenizer.pad_id)

    @classmethod
    def of_pairs(cls, first: Ragged, second: Ragged, tokenizer: "Tokenizer") -> "Tokenised":
        """Join the word pieces of two texts to `[CLS] first [SEP] second [SEP]`.

        The second text and its [SEP] are of type 1.
        """
        if len(first) != len(second):
            raise ValueError(f"{len(first)} first texts, {len(second)} second texts")
        first_lengths = first.lengths + 2
        lengths = first_lengths + second.lengths + 1
        offsets = _offsets(lengths)
        values = np.empty(offsets[-1], np.int32)
        values[offsets[:-1]] = tokenizer.cls_id
        values[_positions(offsets[:-1] + 1, first.lengths)] = first.values
        values[offsets[:-1] + first_lengths - 1] = tokenizer.sep_id
        values[_positions(offsets[:-1] + first_lengths, second.lengths)] = second.values
        values[offsets[1:] - 1] = tokenizer.sep_id
        return cls(Ragged(values, offsets), first_lengths, tokenizer.pad_id)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> Int64[np.ndarray, " rows"]:
        """How many tokens each row has, [CLS] and [SEP] included."""
        return self.ids.lengths

    def take(self, rows: Int[np.ndarray, " chosen"] | Sequence[int]) -> "Tokenised":
        """The chosen rows, in the order given."""
        rows = np.asarray(rows, np.int64)
        return Tokenised(self.ids.take(rows), self.first_lengths[rows], self.pad_id)

    def pad(
        self, rows: Int[np.ndarray, " chosen"] | Sequence[int], length: int, batch: int
    ) -> Tokens:
        """A NumPy batch of the chosen rows.

        Args:
            rows: row numbers, at most `batch` of them; the batch's other rows are all padding.
            length: tokens in a row of the batch.
            batch: rows of the batch.

        Raises:
            ValueError: a row is longer than `length`, or there are more rows than `batch`.
        """
        rows = np.asarray(rows, np.int64)
        mask = padding_mask(self.lengths[rows], length, batch)
        first_lengths = np.zeros(batch, np.int64)
        first_lengths[: len(rows)] = self.first_lengths[rows]
        ids = np.full((batch, length), self.pad_id, np.int32)
        ids[mask] = self.ids.take(rows).values
        types = (mask & (np.arange(length) >= first_lengths[:, None])).astype(np.int32)
        return Tokens(ids, mask, types)


def padding_mask(
    lengths: Int64[np.ndarray, " rows"], length: int, batch: int
) -> Bool[np.ndarray, "batch length"]:
    """Where rows of those lengths have their tokens in a batch; nowhere in its other rows.

    Raises:
        ValueError: a row is longer than `length`, or there are more rows than `batch`.
    """
    if len(lengths) > batch:
        raise ValueError(f"{len(lengths)} rows do not fit a batch of {batch}")
    if lengths.max(initial=0) > length:
        raise ValueError(f"a row of {lengths.max()} tokens does not fit a length of {length}")
    filled = np.zeros(batch, np.int64)
    filled[: len(lengths)] = lengths
    return np.asarray(np.arange(length) < filled[:, None])


def stack(first: Tokenised, second: Tokenised) -> Tokenised:
    """All rows of `first`, then all of `second`; both come from one tokenizer."""
    ids = Ragged(
        np.concatenate([first.ids.values, second.ids.values]),
        np.concatenate([first.ids.offsets, second.ids.offsets[1:] + first.ids.offsets[-1]]),
    )
    lengths = np.concatenate([first.first_lengths, second.first_lengths])
    return Tokenised(ids, lengths, first.pad_id)


class Tokenizer:
    """A BERT word-piece tokenizer, read from Hugging Face's `tokenizer.json`.

    Attributes:
        cls_id: starts every row.
        sep_id: ends every text.
        pad_id: fills batches up.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        """Build from the contents of Hugging Face's files, by name; see `from_directory`."""
        self._files = files
        self._tokenizer = tokenizers.Tokenizer.from_buffer(files[TOKENIZER_FILE])
        # The file's own settings would cut or pad silently.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        # A "[SEP]" that somebody types is text.
        self._tokenizer.encode_special_tokens = True
        names = _special_names(files)
        self.cls_id = self._special_id(names["cls_token"])
        self.sep_id = self._special_id(names["sep_token"])
        self.pad_id = self._special_id(names["pad_token"])

    @classmethod
    def from_directory(cls, path: Path) -> "Tokenizer":
        """Read `tokenizer.json`, and what lies beside it for Hugging Face's own classes.

        Raises:
            InputError: the file is missing, unreadable or no BERT tokenizer.
        """
        if not (path / TOKENIZER_FILE).is_file():
            raise InputError(f"{path} has no {TOKENIZER_FILE}")
        found = [name for name in (TOKENIZER_FILE, *_COMPANIONS) if (path / name).is_file()]
        try:
            return cls({name: (path / name).read_bytes() for name in found})
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        except Exception as error:  # tokenizers raises nothing narrower
            raise InputError(f"{path / TOKENIZER_FILE} is no tokenizer: {error}") from error

    def save(self, path: Path) -> None:
        """Write the files this was read from; `from_directory` and Hugging Face read them back."""
        path.mkdir(parents=True, exist_ok=True)
        for name, content in self._files.items():
            (path / name).write_bytes(content)

    @property
    def vocab_size(self) -> int:
        """How many word pieces there are; every id is below it."""
        return self._tokenizer.get_vocab_size(with_added_tokens=True)

    def ids(self, texts: Sequence[str], max_tokens: int) -> tuple[Ragged, int]:
        """Word pieces of each text, without [CLS] and [SEP].

        Args:
            texts: any text, empty included.
            max_tokens: longer rows are cut to their first so many word pieces.

        Returns:
            The rows, and how many of them were cut.
        """
        rows: list[list[int]] = []
        truncated = 0
        for start in range(0, len(texts), _CHUNK):
            chunk = [_encodable(text) for text in texts[start : start + _CHUNK]]
            for encoding in self._tokenizer.encode_batch_fast(chunk, add_special_tokens=False):
                ids = encoding.ids
                truncated += len(ids) > max_tokens
                rows.append(ids[:max_tokens])
        return Ragged.of(rows), truncated

    def _special_id(self, token: str) -> int:
        found = self._tokenizer.token_to_id(token)
        if found is None:
            raise InputError(f"{TOKENIZER_FILE} has no {token} token")
        return int(found)


def _offsets(lengths: Int64[np.ndarray, " rows"]) -> Int64[np.ndarray, " rows_and_one"]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])


def _positions(
    starts: Int64[np.ndarray, " rows"], lengths: Int64[np.ndarray, " rows"]
) -> Int64[np.ndarray, " total"]:
    """Where rows that start at `starts` have their values: start, start + 1, … of each."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(starts - ends + lengths, lengths) + np.arange(total)


def _encodable(text: str) -> str:
    """The text itself; half a surrogate pair, which no UTF-8 can hold, becomes a question mark."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _special_names(files: dict[str, bytes]) -> dict[str, str]:
    config: dict[str, Any] = json.loads(files.get("tokenizer_config.json", b"{}"))
    names = {}
    for key, usual in (("cls_token", "[CLS]"), ("sep_token", "[SEP]"), ("pad_token", "[PAD]")):
        token = config.get(key) or usual
        names[key] = token["content"] if isinstance(token, dict) else token
    return names
