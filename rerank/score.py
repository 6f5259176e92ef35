"""Scoring pairs in bulk: texts and features to logits, in length buckets."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Float, Float32

from bert.compiled import BucketedForward
from bert.model import Tokens
from bert.numerics import Numerics
from bert.tokens import Framed, Tokenizer, frame_pairs
from rerank.features import FeatureStatistics
from rerank.model import INPUTS, Reranker

SPECIAL_TOKENS = 3  # [CLS] and two [SEP]


class PairScorer:
    """A reranker compiled for a fixed set of shapes.

    Attributes:
        truncated: Pairs whose texts were cut to the token budget so far.
    """

    def __init__(
        self,
        reranker: Reranker,
        statistics: FeatureStatistics,
        tokenizer: Tokenizer,
        numerics: Numerics,
    ) -> None:
        """Split the model into structure and parameters once; compile nothing yet."""
        graph, state = nnx.split(reranker)
        dtype = numerics.input_dtype

        def score(
            state: nnx.State[Any, Any], tokens: Tokens, features: Float[Array, "batch inputs"]
        ) -> Float[Array, " batch"]:
            return nnx.merge(graph, state)(tokens, features, dtype=dtype)

        self.truncated = 0
        self._config = reranker.config
        self._statistics = statistics
        self._tokenizer = tokenizer
        self._forward = BucketedForward(score, state, max_length=reranker.config.max_tokens)

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
        return self.run(self.frame([query] * len(texts), texts), features)

    def run(
        self, framed: Framed, features: Float32[np.ndarray, "pairs features"]
    ) -> Float32[np.ndarray, "pairs"]:
        """Logits of pairs that `frame` has already tokenised."""
        return self._forward(framed, self._statistics.standardise(features))

    def frame(self, queries: Sequence[str], texts: Sequence[str]) -> Framed:
        """`[CLS] query [SEP] item [SEP]`, the item's text cut to what the budget leaves."""
        # One word piece more than fits tells which texts are cut.
        most_query, most = self._config.max_query_tokens, self._config.max_tokens - SPECIAL_TOKENS
        first, _ = self._tokenizer.ids(queries, most_query + 1)
        second, _ = self._tokenizer.ids(texts, most + 1)
        query_room = np.minimum(first.lengths, most_query)
        room = most - query_room
        self.truncated += int(((first.lengths > query_room) | (second.lengths > room)).sum())
        return frame_pairs(first.cut(query_room), second.cut(room), self._tokenizer)

    def update(self, state: nnx.State[Any, Any]) -> None:
        """Score with other parameters of the same model from now on."""
        self._forward.update(state)

    def warm_up(self) -> None:
        """Compile every shape."""
        self._forward.warm_up((INPUTS,))

    @property
    def compilations(self) -> int:
        """Programs compiled so far."""
        return self._forward.compilations
