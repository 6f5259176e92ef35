"""Padded batches of tokens for contestants without a tokenizer of their own."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np

from bench.harness.inputs import MAX_TOKENS
from bert.tokens import TOKENIZER_FILE

Texts: TypeAlias = Sequence[str] | Sequence[tuple[str, str]]
# The rows of a batch, and its token ids, attention mask and token types [3, rows, tokens].
Batch: TypeAlias = tuple[np.ndarray, np.ndarray]
# Runs a model on batches, and calls a function with each batch and the model's output for it.
Model: TypeAlias = Callable[[Iterable[Batch], Callable[[Batch, np.ndarray], None]], None]
Option = TypeVar("Option")

BATCH_SIZES = (16, 32, 64)  # each contestant uses the fastest of these sizes


class Batches:
    """Makes batches of texts or pairs of similar length, longest first."""

    def __init__(self, directory: Path) -> None:
        """Load the tokenizer of the model in a directory."""
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(directory / TOKENIZER_FILE))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)

    def __call__(self, texts: Texts, size: int) -> Iterator[Batch]:
        """Yield batches of a size; the last one may be smaller."""
        encodings = self._tokenizer.encode_batch(list(texts))
        lengths = np.array([len(encoding) for encoding in encodings])
        order = np.argsort(-lengths, kind="stable")
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            tokens = np.zeros((3, len(rows), lengths[rows[0]]), np.int64)
            for number, row in enumerate(rows):
                encoding = encodings[row]
                values = (encoding.ids, encoding.attention_mask, encoding.type_ids)
                tokens[:, number, : lengths[row]] = values
            yield rows, tokens


def fastest(
    options: Iterable[Option],
    work: Callable[[Option], Any],
    repeats: int = 2,
    clock: Callable[[], float] = time.perf_counter,
) -> Option:
    """Return the option with which the work takes the least time, after one warm-up each."""

    def seconds(option: Option) -> float:
        work(option)
        times = []
        for _ in range(repeats):
            start = clock()
            work(option)
            times.append(clock() - start)
        return min(times)

    return min(options, key=seconds)
