"""Scoring of many query-item pairs by compiled programs of a few fixed shapes."""

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
from bert.tokens import Tokenised, Tokenizer
from rerank.features import FeatureStatistics
from rerank.model import Reranker, fuse
from rerank.tokens import tokenise_pairs

# Up to four pairs are packed into a row of 48 tokens; a longer pair has a row of its own. Longer
# rows would have less padding, but their attention would take more time than this saves.
_ROW_TOKENS = 48
_ROW_PAIRS = 4
_LENGTHS = tuple(length for length in LENGTHS if length >= _ROW_TOKENS)
_BATCHES = (1, 3, 6, 12)  # batch sizes of the encoder, in rows
_FUSE_SIZES = (64, 512)  # batch sizes of the fusion network, in pairs


class PairScorer:
    """A reranker compiled for a fixed set of shapes.

    Attributes:
        forward: The compiled encoder.
        width: Width of the vectors that `read_tokenised` returns.
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
        activation = reranker.config.activation

        def read(
            state: nnx.State[Any, Any], tokens: PackedRows
        ) -> Float[Array, "rows pairs fusion"]:
            model: Reranker = nnx.merge(graph, state)
            return model.read(tokens, dtype=dtype)

        def fuse_pairs(
            state: nnx.State[Any, Any],
            text: Float[Array, "pairs fusion"],
            values: Float[Array, "pairs inputs"],
        ) -> Float[Array, " pairs"]:
            features, output, linear = nnx.merge(heads, state)
            return fuse(features, output, linear, text, values, activation=activation)

        self.width = reranker.config.fusion
        self.forward = pair_forward(
            read, serving_state(reranker, dtype), reranker.config.max_tokens
        )
        self._config = reranker.config
        self._statistics = statistics
        self._tokenizer = tokenizer
        self._fuse = jax.jit(fuse_pairs)
        self._fuse_programs: dict[int, Any] = {}
        self._run: Forward = self.forward

    def run(
        self, tokenised: Tokenised, features: Float32[np.ndarray, "pairs features"]
    ) -> Float32[np.ndarray, "pairs"]:
        """Return the logits of tokenised pairs.

        Args:
            tokenised: Pairs from `tokenise`.
            features: Rows of `feature_matrix` for these pairs.
        """
        return self.fuse(self.read_tokenised(tokenised), features)

    def read_tokenised(self, tokenised: Tokenised) -> Float32[np.ndarray, "pairs fusion"]:
        """Encode the text of each pair: the expensive part of a score, which can be cached."""
        return read_pairs(self._run, tokenised)

    def affordable(self, tokenised: Tokenised, seconds: float) -> int:
        """Estimate how many pairs, from the first on, can be encoded within `seconds`."""

        def latency(count: int) -> float:
            return self._run.seconds(_pack(tokenised.take(range(count))).lengths)

        if latency(len(tokenised)) <= seconds:
            return len(tokenised)
        enough, too_many = 0, len(tokenised)
        while too_many - enough > 1:
            middle = (enough + too_many) // 2
            if latency(middle) <= seconds:
                enough = middle
            else:
                too_many = middle
        return enough

    def fuse(
        self,
        text: Float32[np.ndarray, "pairs fusion"],
        features: Float32[np.ndarray, "pairs features"],
    ) -> Float32[np.ndarray, "pairs"]:
        """Return the logits of pairs.

        Args:
            text: Vectors from `read_tokenised`.
            features: Rows of `feature_matrix` for these pairs.
        """
        values = self._statistics.standardise(features)
        scores = np.empty(len(text), np.float32)
        for start in range(0, len(text), _FUSE_SIZES[-1]):
            part = slice(start, start + _FUSE_SIZES[-1])
            count = len(text[part])
            size = next(size for size in _FUSE_SIZES if size >= count)
            padded = (np.pad(x[part], ((0, size - count), (0, 0))) for x in (text, values))
            program = self._fuse_program(size)
            scores[part] = np.asarray(program(self._heads, *padded))[:count]
        return scores

    def tokenise(self, queries: Sequence[str], texts: Sequence[str]) -> Tokenised:
        """Tokenise pairs as `[CLS] query [SEP] item [SEP]`, cut to the token budgets."""
        return tokenise_pairs(self._tokenizer, self._config, queries, texts)[0]

    def update(self, reranker: Reranker) -> None:
        """Replace the parameters with those of another reranker of the same shape."""
        self._heads = nnx.state(_heads(reranker))
        self.forward.update(serving_state(reranker, self._dtype))

    def route(self, through: Callable[[BucketedForward], Forward]) -> None:
        """Run the encoder through a shared forward, which batches the work of several callers.

        Args:
            through: Makes the shared forward from the scorer's own forward.
        """
        self._run = through(self.forward)

    def warm_up(self, before_each: Callable[[], object] = lambda: None) -> None:
        """Compile every shape of the encoder and the fusion network; see `BucketedForward`."""
        self.forward.warm_up(before_each)
        for size in _FUSE_SIZES:
            self._fuse_program(size)

    @property
    def compilations(self) -> int:
        """Number of programs compiled so far."""
        return self.forward.compilations + len(self._fuse_programs)

    def _fuse_program(self, size: int) -> Any:
        if size not in self._fuse_programs:
            widths = (self.width, 2 * len(self._statistics.names))
            inputs = (np.zeros((size, width), np.float32) for width in widths)
            self._fuse_programs[size] = self._fuse.lower(self._heads, *inputs).compile()
        return self._fuse_programs[size]


def pair_forward(
    read: Callable[[Any, PackedRows], Array], state: Any, max_tokens: int
) -> BucketedForward:
    """Compile a cross-encoder for rows of packed pairs.

    Args:
        read: A function `read(state, tokens)` that returns an array [rows, pairs, ...].
        state: The parameters that `read` takes.
        max_tokens: Maximum tokens of a pair.
    """
    return BucketedForward(
        read,
        state,
        max_length=max(max_tokens, _ROW_TOKENS),
        lengths=_LENGTHS,
        small_batches=_BATCHES,
        padding=_padding,
    )


def _padding(batch: int, length: int) -> PackedRows:
    ids = np.zeros((batch, length), np.int32)
    return PackedRows(ids, ids - 1, ids, ids, np.zeros((batch, _ROW_PAIRS), np.int32))


def read_pairs(run: Forward, tokenised: Tokenised) -> Num[np.ndarray, "pairs ..."]:
    """Run a forward from `pair_forward`, or its shared forward; return a result for each pair."""
    packed = _pack(tokenised)
    return np.asarray(run(packed)[packed.row, packed.slot])


def _pack(tokenised: Tokenised) -> PackedTexts:
    return PackedTexts.of(tokenised, length=_ROW_TOKENS, most=_ROW_PAIRS)


def _heads(reranker: Reranker) -> Any:
    """Return the layers that `fuse` takes, as one NNX node."""
    return nnx.List([reranker.features, reranker.output, reranker.linear])
