"""Tokenisation: texts to word pieces, and word pieces to the padded batches that BERT reads.

Until a batch is padded, rows of different lengths are stored end to end in one array. Only the
tokenizer loops over rows or tokens in Python.
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from jaxtyping import Bool, Int, Int32, Int64

from base.errors import InputError
from base.untrusted import limits
from base.untrusted.small_files import read_bytes
from bert.batch import Tokens
from bert.text_growth import check_growth

TOKENIZER_FILE = "tokenizer.json"
# Files that Hugging Face's tokenizer classes read besides tokenizer.json. `Tokenizer.save` writes
# them, too.
_COMPANIONS = ("tokenizer_config.json", "special_tokens_map.json")
# Texts tokenised at a time. The library's encoding of a text takes far more memory than its ids, so
# only the encodings of one chunk are in memory.
_CHUNK = 1024
_WORD_START = "▁"  # first character of the unigram tokens that begin a word


@dataclass(frozen=True, eq=False)
class Ragged:
    """Rows of integers with different lengths, stored end to end.

    Attributes:
        values: The values of all rows, end to end.
        offsets: Row i is `values[offsets[i]:offsets[i + 1]]`.
    """

    values: Int32[np.ndarray, " total"]
    offsets: Int64[np.ndarray, " rows_and_one"]

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> "Ragged":
        """Store rows end to end."""
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
        """Number of values in each row."""
        return np.diff(self.offsets)

    def take(self, rows: Int[np.ndarray, " chosen"] | Sequence[int]) -> "Ragged":
        """Return the chosen rows, in the given order; a row may be chosen several times."""
        rows = np.asarray(rows, np.int64)
        lengths = self.lengths[rows]
        offsets = _offsets(lengths)
        values = np.empty(offsets[-1], np.int32)
        values[:] = self.values[_positions(self.offsets[:-1][rows], lengths)]
        return Ragged(values, offsets)

    def cut(self, most: Int[np.ndarray, " rows"]) -> "Ragged":
        """Cut each row after `most` values; shorter rows are unchanged."""
        lengths = np.minimum(self.lengths, most)
        return Ragged(self.values[_positions(self.offsets[:-1], lengths)], _offsets(lengths))


@dataclass(frozen=True, eq=False)
class Tokenised:
    """Texts or pairs as rows of word pieces, with [CLS] and [SEP], before padding.

    Attributes:
        ids: Word pieces, `[CLS] a [SEP]` or `[CLS] a [SEP] b [SEP]`; XLM-R's are `<s> a </s>` and
            `<s> a </s> </s> b </s>`.
        first_lengths: Number of tokens of type 0 at the start of each row.
        pad_id: Id of padding.
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
        """Join the word pieces of two texts in the format of the tokenizer.

        BERT's format is `[CLS] first [SEP] second [SEP]`, where the second text and its [SEP] have
        the type 1. XLM-R's format is `<s> first </s> </s> second </s>`, without types.
        """
        if len(first) != len(second):
            raise ValueError(f"{len(first)} first texts, {len(second)} second texts")
        first_lengths = first.lengths + 1 + tokenizer.separators
        lengths = first_lengths + second.lengths + 1
        offsets = _offsets(lengths)
        values = np.full(offsets[-1], tokenizer.sep_id, np.int32)
        values[offsets[:-1]] = tokenizer.cls_id
        values[_positions(offsets[:-1] + 1, first.lengths)] = first.values
        values[_positions(offsets[:-1] + first_lengths, second.lengths)] = second.values
        of_type_0 = first_lengths if tokenizer.has_types else lengths
        return cls(Ragged(values, offsets), of_type_0, tokenizer.pad_id)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> Int64[np.ndarray, " rows"]:
        """Number of tokens in each row, [CLS] and [SEP] included."""
        return self.ids.lengths

    def take(self, rows: Int[np.ndarray, " chosen"] | Sequence[int]) -> "Tokenised":
        """Return the chosen rows in the given order."""
        rows = np.asarray(rows, np.int64)
        return Tokenised(self.ids.take(rows), self.first_lengths[rows], self.pad_id)

    def pad(
        self, rows: Int[np.ndarray, " chosen"] | Sequence[int], length: int, batch: int
    ) -> Tokens:
        """Put the chosen rows into a NumPy batch.

        Args:
            rows: Row numbers, at most `batch`; the other rows of the batch are padding.
            length: Tokens in a row of the batch.
            batch: Rows of the batch.

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
    """Return the mask of a batch: True for the tokens of rows with these lengths.

    Raises:
        ValueError: a row is longer than `length`, or there are more rows than `batch`.
    """
    if len(lengths) > batch:
        raise ValueError(f"{len(lengths)} rows do not fit a batch of {batch}")
    if lengths.max(initial=0) > length:
        raise ValueError(f"a row of {lengths.max()} tokens does not fit a length of {length}")
    row_lengths = np.zeros(batch, np.int64)
    row_lengths[: len(lengths)] = lengths
    return np.asarray(np.arange(length) < row_lengths[:, None])


def stack(first: Tokenised, second: Tokenised) -> Tokenised:
    """Concatenate the rows of two `Tokenised` from the same tokenizer."""
    ids = Ragged(
        np.concatenate([first.ids.values, second.ids.values]),
        np.concatenate([first.ids.offsets, second.ids.offsets[1:] + first.ids.offsets[-1]]),
    )
    lengths = np.concatenate([first.first_lengths, second.first_lengths])
    return Tokenised(ids, lengths, first.pad_id)


class Tokenizer:
    """The tokenizer of a BERT or XLM-R, read from Hugging Face's `tokenizer.json`.

    Attributes:
        cls_id: Id of [CLS] or `<s>`, which starts every row.
        sep_id: Id of [SEP] or `</s>`, which ends every text.
        pad_id: Id of padding.
        separators: Number of [SEP] between the texts of a pair: 1 for BERT, 2 for XLM-R.
        has_types: Whether the second text of a pair has the type 1, as for BERT.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        """Build from the contents of Hugging Face's files by file name; see `from_directory`."""
        check_growth(files[TOKENIZER_FILE])
        self._files = files
        self._tokenizer = tokenizers.Tokenizer.from_buffer(files[TOKENIZER_FILE])
        # Switch off settings in the file that would silently cut or pad texts.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        # Read "[SEP]" in a text as plain text, not as a separator.
        self._tokenizer.encode_special_tokens = True
        config: dict[str, Any] = json.loads(files.get("tokenizer_config.json", b"{}"))
        self.cls_id = self._special_id(config.get("cls_token"), "[CLS]", "<s>")
        self.sep_id = self._special_id(config.get("sep_token"), "[SEP]", "</s>")
        self.pad_id = self._special_id(config.get("pad_token"), "[PAD]", "<pad>")
        self.separators, self.has_types = self._pair_format()

    @classmethod
    def from_directory(cls, path: Path) -> "Tokenizer":
        """Read `tokenizer.json`, and the files that Hugging Face's classes read beside it.

        Raises:
            InputError: the file is missing or unreadable, or is not a BERT tokenizer.
        """
        if not (path / TOKENIZER_FILE).is_file():
            raise InputError(f"{path} has no {TOKENIZER_FILE}")
        names = [name for name in (TOKENIZER_FILE, *_COMPANIONS) if (path / name).is_file()]
        try:
            return cls({name: read_bytes(path / name, limits.TOKENIZER_BYTES) for name in names})
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        except Exception as error:  # the library has no exception class of its own
            raise InputError(f"{path / TOKENIZER_FILE} is no tokenizer: {error}") from error

    def save(self, path: Path) -> None:
        """Write the files that the tokenizer was read from."""
        path.mkdir(parents=True, exist_ok=True)
        for name, content in self._files.items():
            (path / name).write_bytes(content)

    @property
    def files(self) -> Mapping[str, bytes]:
        """The contents of the files that the tokenizer was read from, by file name."""
        return self._files

    @property
    def pair_specials(self) -> int:
        """Number of special tokens in a pair."""
        return self.separators + 2

    @property
    def vocab_size(self) -> int:
        """Number of word pieces; every id is below this number."""
        return self._tokenizer.get_vocab_size(with_added_tokens=True)

    def ids(self, texts: Sequence[str], max_tokens: int) -> tuple[Ragged, int]:
        """Split each text into word pieces, without [CLS] and [SEP].

        Args:
            texts: Any texts; they may be empty.
            max_tokens: Maximum word pieces of a row; longer rows are cut.

        Returns:
            The rows, and the number of rows that were cut.
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

    def words(self) -> list[str]:
        """Return the tokens that are whole words of letters, sorted."""
        tokens = self._tokenizer.get_vocab(with_added_tokens=False)
        starts = [t[1:] for t in tokens if len(t) > 1 and t.startswith(_WORD_START)]
        # WordPiece instead marks the tokens that continue a word, with "##".
        return sorted(word for word in starts or tokens if word.isalpha())

    def _special_id(self, configured: str | dict[str, str] | None, *usual: str) -> int:
        """Return the id of the token that `tokenizer_config.json` names, or else a usual one."""
        if isinstance(configured, dict):
            configured = configured["content"]
        tokens = (configured,) if configured else usual
        ids = [self._tokenizer.token_to_id(token) for token in tokens]
        known = [int(token_id) for token_id in ids if token_id is not None]
        if not known:
            raise InputError(f"{TOKENIZER_FILE} has no {' or '.join(tokens)} token")
        return known[0]

    def _pair_format(self) -> tuple[int, bool]:
        """Return the number of separators in a pair, and whether a pair has types.

        The tokenizer says so itself: it puts its special tokens around two empty texts.
        """
        pair = self._tokenizer.encode("", "")
        special = [i for i, is_special in enumerate(pair.special_tokens_mask) if is_special]
        if not special:  # the file does not say, so the format is BERT's
            return 1, True
        ids, separators = [pair.ids[i] for i in special], len(special) - 2
        if ids != [self.cls_id, *[self.sep_id] * (separators + 1)] or separators not in (1, 2):
            raise InputError(
                f"{TOKENIZER_FILE} joins two texts with {' '.join(pair.tokens[i] for i in special)}"
                "; only the formats [CLS] A [SEP] B [SEP] and <s> A </s> </s> B </s> are supported"
            )
        return separators, pair.type_ids[-1] == 1


def _offsets(lengths: Int64[np.ndarray, " rows"]) -> Int64[np.ndarray, " rows_and_one"]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])


def _positions(
    starts: Int64[np.ndarray, " rows"], lengths: Int64[np.ndarray, " rows"]
) -> Int64[np.ndarray, " total"]:
    """Return the positions of the values of all rows: start, start + 1, … for each row."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(starts - ends + lengths, lengths) + np.arange(total)


def _encodable(text: str) -> str:
    """Replace lone surrogates, which UTF-8 cannot encode, with question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
