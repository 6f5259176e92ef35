"""Tokenisation of texts for a tower, in training and in serving."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

from bert.tokens import Tokenised, Tokenizer
from towers.model import TowersConfig

Tower: TypeAlias = Literal["query", "item"]

_SPECIAL_TOKENS = 2  # [CLS] and [SEP]


def tokenise(
    tokenizer: Tokenizer, config: TowersConfig, tower: Tower, texts: Sequence[str]
) -> tuple[Tokenised, int]:
    """Put a tower's prefix before each text, tokenise, and cut to the tower's token budget.

    Args:
        tokenizer: The tokenizer that the tower's encoder was trained with.
        config: The prefixes, and the token budgets, which include prefix, [CLS] and [SEP].
        tower: The tower that reads the texts.
        texts: Queries, or the texts of items.

    Returns:
        The tokens, and the number of texts that were cut.
    """
    budgets = {"query": config.max_query_tokens, "item": config.max_item_tokens}
    prefix = config.prefix(tower)
    if prefix:
        texts = [prefix + text for text in texts]
    pieces, cut = tokenizer.ids(texts, budgets[tower] - _SPECIAL_TOKENS)
    return Tokenised.of_texts(pieces, tokenizer), cut
