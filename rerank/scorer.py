"""Scoring pairs in bulk: texts and features to logits, in length buckets."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Float, Float32, Num

from bert.batch import PackedRows
from bert.compiled import LENGTHS, BucketedForward, Forward, serving_state
from bert.numerics import Numerics
from bert.packing import PackedTexts
from bert.tokens import Tokenised, Tokenizer, tokenised_pairs
from rerank.features import FeatureStatistics
from rerank.model import Reranker, fuse

SPECIAL_TOKENS = 3  # [CLS] and two [SEP]
# Pairs are packed into rows of so many tokens, up to so many a row; longer ones have their own.
# In longer rows attention takes more than they save of padding.
_ROW_TOKENS = 48
_ROW_PAIRS = 4
_LENGTHS = tuple(length for length in LENGTHS if length >= _ROW_TOKENS)
_BATCHES = (1, 3, 6, 12)
_FUSED = (64, 512)  # pairs that are fused at a time, in compiled sizes


class PairScorer:
    """A reranker compiled for a fixed set of shapes.

    Attributes:
        truncated: Pairs whose texts were cut to the token budget so far.
        width: Numbers that `read` makes of a pair.
    """

    def __init__(
        self,
        reranker: Reranker,
        statistics: FeatureStatistics,
        tokenizer: Tokenizer,
        numerics: Numerics,
    ) -> None:
        """Split the model into structure and parameters once; compile nothing yet."""
        graph = nnx.graphdef(reranker)
        heads, self._heads = nnx.split(_heads(reranker))
        self._dtype = dtype = numerics.input_dtype

        def read(
            state: nnx.State[Any, Any], tokens: PackedRows
        ) -> Float[Array, "rows pairs fusion"]:
            model: Reranker = nnx.merge(graph, state)
            return model.read(tokens, dtype=dtype)

        def fused(
            state: nnx.State[Any, Any],
            text: Float[Array, "pairs fusion"],
            values: Float[Array, "pairs inputs"],
        ) -> Float[Array, " pairs"]:
            features, output, linear = nnx.merge(heads, state)
            return fuse(features, output, linear, text, values)

        self.truncated = 0
        self.width = reranker.config.fusion
        self._config = reranker.config
        self._statistics = statistics
        self._tokenizer = tokenizer
        self._fuse = jax.jit(fused)
        self._fuse_programs: dict[int, Any] = {}
        self._forward = pair_forward(
            read, serving_state(reranker, dtype), reranker.config.max_tokens
        )
        self._run: Forward = self._forward

    def __call__(
        self,
        query: str,
        texts: Sequence[str],
        features: Float32[np.ndarray, "items features"],
    ) -> Float32[np.ndarray, "items"]:
        """Logits of one query with each item.

        Args:
            query: The query.
            texts: Each item's text, most telling words first.
            features: What `feature_matrix` gave, a row an item.
        """
        return self.fuse(self.read(query, texts), features)

    def run(
        self, tokenised: Tokenised, features: Float32[np.ndarray, "pairs features"]
    ) -> Float32[np.ndarray, "pairs"]:
        """Logits of pairs that `tokenise` has already tokenised."""
        return self.fuse(self.read_tokenised(tokenised), features)

    def read(self, query: str, texts: Sequence[str]) -> Float32[np.ndarray, "items fusion"]:
        """What the texts contribute to the scores: all the work that can be remembered."""
        return self.read_tokenised(self.tokenise([query] * len(texts), texts))

    def read_tokenised(self, tokenised: Tokenised) -> Float32[np.ndarray, "pairs fusion"]:
        """The same of pairs that `tokenise` has already tokenised."""
        return read_pairs(self._run, tokenised)

    def affordable(self, tokenised: Tokenised, seconds: float) -> int:
        """How many of some pairs, from the first on, are expected to be read in that time."""

        def takes(count: int) -> float:
            return self._run.seconds(_packed(tokenised.take(range(count))).lengths)

        if takes(len(tokenised)) <= seconds:
            return len(tokenised)
        enough, too_many = 0, len(tokenised)
        while too_many - enough > 1:
            middle = (enough + too_many) // 2
            if takes(middle) <= seconds:
                enough = middle
            else:
                too_many = middle
        return enough

    def fuse(
        self,
        text: Float32[np.ndarray, "pairs fusion"],
        features: Float32[np.ndarray, "pairs features"],
    ) -> Float32[np.ndarray, "pairs"]:
        """Logits from what `read` gave and what `feature_matrix` gave."""
        values = self._statistics.standardise(features)
        scores = np.empty(len(text), np.float32)
        for start in range(0, len(text), _FUSED[-1]):
            part = slice(start, start + _FUSED[-1])
            count = len(text[part])
            room = next(size for size in _FUSED if size >= count) - count
            padded = (np.pad(x[part], ((0, room), (0, 0))) for x in (text, values))
            program = self._fuse_program(count + room)
            scores[part] = np.asarray(program(self._heads, *padded))[:count]
        return scores

    def tokenise(self, queries: Sequence[str], texts: Sequence[str]) -> Tokenised:
        """`[CLS] query [SEP] item [SEP]`, the item's text cut to what the budget leaves."""
        # One word piece more than fits tells which texts are cut.
        most_query, most = self._config.max_query_tokens, self._config.max_tokens - SPECIAL_TOKENS
        first, _ = self._tokenizer.ids(queries, most_query + 1)
        second, _ = self._tokenizer.ids(texts, most + 1)
        query_room = np.minimum(first.lengths, most_query)
        room = most - query_room
        self.truncated += int(((first.lengths > query_room) | (second.lengths > room)).sum())
        return tokenised_pairs(first.cut(query_room), second.cut(room), self._tokenizer)

    def update(self, reranker: Reranker) -> None:
        """Score with a reranker of the same shape and other parameters from now on."""
        self._heads = nnx.state(_heads(reranker))
        self._forward.update(serving_state(reranker, self._dtype))

    def route(self, through: Callable[[BucketedForward], Forward]) -> None:
        """Run the encoder through something that shares it with other callers."""
        self._run = through(self._forward)

    def warm_up(self) -> None:
        """Compile every shape."""
        self._forward.warm_up()
        for size in _FUSED:
            self._fuse_program(size)

    @property
    def compilations(self) -> int:
        """Programs compiled so far."""
        return self._forward.compilations + len(self._fuse_programs)

    def _fuse_program(self, size: int) -> Any:
        if size not in self._fuse_programs:
            widths = (self.width, 2 * len(self._statistics.names))
            inputs = (np.zeros((size, width), np.float32) for width in widths)
            self._fuse_programs[size] = self._fuse.lower(self._heads, *inputs).compile()
        return self._fuse_programs[size]


def pair_forward(
    read: Callable[[Any, PackedRows], Array], state: Any, max_tokens: int
) -> BucketedForward:
    """A cross-encoder in the shapes that pairs of up to `max_tokens` are packed into.

    Args:
        read: `read(state, tokens)` to an array [rows, pairs, ...].
        state: its parameters.
        max_tokens: of a pair.
    """
    return BucketedForward(
        read,
        state,
        max_length=max(max_tokens, _ROW_TOKENS),
        lengths=_LENGTHS,
        small_batches=_BATCHES,
        texts=_ROW_PAIRS,
    )


def read_pairs(run: Forward, tokenised: Tokenised) -> Num[np.ndarray, "pairs ..."]:
    """What a `pair_forward`, or what shares it, reads of each pair."""
    packed = _packed(tokenised)
    return np.asarray(run(packed)[packed.row, packed.place])


def _packed(tokenised: Tokenised) -> PackedTexts:
    return PackedTexts.of(tokenised, length=_ROW_TOKENS, most=_ROW_PAIRS)


def _heads(reranker: Reranker) -> Any:
    """The layers that `fuse` takes, as one node of NNX."""
    return nnx.List([reranker.features, reranker.output, reranker.linear])
