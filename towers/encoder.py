"""Bulk encoding: texts to unit vectors, in length buckets."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Float, Float32

from base.errors import InputError
from bert.batch import Tokens
from bert.compiled import BULK_LENGTHS, LENGTHS, BucketedForward, Forward, serving_state
from bert.model import Bert
from bert.numerics import Numerics
from bert.tokens import Tokenised, Tokenizer
from towers.model import Towers, encode
from towers.tokens import Tower, tokenise

# Tokens in a full batch of bulk encoding. On a CPU, a batch of this size fits into the caches. An
# accelerator needs larger batches to stay busy. docs/benchmarks/choices.md has the measurements.
_BULK_TOKENS = {"cpu": 768}
_BULK_TOKENS_ELSEWHERE = 16_384


class TowerEncoder:
    """Both towers, compiled for a fixed set of shapes.

    Attributes:
        dim: Width of the vectors.
        truncated: Number of texts cut to their token budget so far.
    """

    def __init__(
        self, towers: Towers, tokenizer: Tokenizer, numerics: Numerics, *, bulk: bool = False
    ) -> None:
        """Split the towers into structure and parameters once; compile nothing yet.

        Args:
            towers: The model.
            tokenizer: The tokenizer that the towers' encoder was trained with.
            numerics: Input type of matrix products.
            bulk: Pad to more lengths, and compute full batches only. This is faster for many texts
                and slower for few.
        """
        graph = nnx.graphdef(towers.bert)
        self._dtype = dtype = numerics.input_dtype
        state, pooling = serving_state(towers, dtype), towers.config.pooling

        def forward(state: tuple[Any, Any], tokens: Tokens) -> Float[Array, "batch dim"]:
            bert: Bert = nnx.merge(graph, state[0])
            return encode(bert, [state[1]], tokens, dtype, pooling=pooling)[0][0]

        self.dim = towers.config.dim
        self.truncated = 0
        self._tokenizer = tokenizer
        self._config = towers.config
        budgets = {
            "query": towers.config.max_query_tokens,
            "item": towers.config.max_item_tokens,
        }
        programs: Any = forward
        bulk_tokens = _BULK_TOKENS.get(jax.default_backend(), _BULK_TOKENS_ELSEWHERE)
        self._forwards: dict[str, BucketedForward] = {}
        for tower in ("item", "query"):
            self._forwards[tower] = BucketedForward(
                programs,
                _tower_state(tower, state),
                max_length=budgets[tower],
                lengths=BULK_LENGTHS if bulk else LENGTHS,
                batch_tokens=bulk_tokens if bulk else 1024,
                small_batches=() if bulk else (1, 8),
                mix_lengths=bulk,
            )
            # The query tower shares the item tower's programs: only their parameters differ.
            programs = self._forwards[tower].programs
        self._run: dict[str, Forward] = dict(self._forwards)

    def is_word(self, text: str) -> bool:
        """Return whether the tokenizer has a text as one piece, as it has most common words."""
        return len(self._tokenizer.ids([text], 2)[0][0]) == 1

    def queries(self, texts: Sequence[str]) -> Float32[np.ndarray, "texts dim"]:
        """Encode queries to unit vectors; see `run`."""
        return self.run("query", self.tokenise("query", texts))

    def items(self, texts: Sequence[str]) -> Float32[np.ndarray, "texts dim"]:
        """Encode the texts of items to unit vectors; see `run`."""
        return self.run("item", self.tokenise("item", texts))

    def tokenise(self, tower: Tower, texts: Sequence[str]) -> Tokenised:
        """Tokenise texts with the tower's prefix, and cut them to the tower's budget."""
        tokenised, cut = tokenise(self._tokenizer, self._config, tower, texts)
        self.truncated += cut
        return tokenised

    def run(self, tower: Tower, tokenised: Tokenised) -> Float32[np.ndarray, "rows dim"]:
        """Encode texts from `tokenise` to unit vectors.

        Raises:
            InputError: a vector is not finite, so it cannot be compared with other vectors.
        """
        vectors = self._run[tower](tokenised)
        if not np.isfinite(vectors).all():
            raise InputError(
                f"towers: the {tower} tower gives a vector that is not finite; its weights are "
                "damaged, or its training diverged: train it again, at a lower learning rate"
            )
        return vectors

    def update(self, towers: Towers) -> None:
        """Replace the parameters with those of other towers of the same shape."""
        state = serving_state(towers, self._dtype)
        for tower, forward in self._forwards.items():
            forward.update(_tower_state(tower, state))

    def route(
        self,
        queries: Callable[[BucketedForward], Forward],
        items: Callable[[BucketedForward], Forward],
    ) -> None:
        """Run each tower through a shared forward, which batches the work of several callers.

        Args:
            queries: Makes the shared forward from the forward of the query tower.
            items: Makes the shared forward from the forward of the item tower.
        """
        self._run = {
            "query": queries(self._forwards["query"]),
            "item": items(self._forwards["item"]),
        }

    def warm_up(self, before_each: Callable[[], object] = lambda: None) -> None:
        """Compile every shape of both towers; see `BucketedForward.warm_up`."""
        for forward in self._forwards.values():
            forward.warm_up(before_each)

    @property
    def compilations(self) -> int:
        """Number of programs compiled so far."""
        return self._forwards["item"].compilations


def _tower_state(tower: str, state: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return the parameters of a tower's encoder, and the tower's projection."""
    separate = tower == "item" and "item_bert" in state
    return state["item_bert" if separate else "bert"], state[f"{tower}_projection"]
