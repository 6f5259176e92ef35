"""Tokenisation of texts for a tower, in training and in serving."""

from collections.abc import Sequence

from bert.tokens import Tokenised, Tokenizer

_SPECIAL_TOKENS = 2  # [CLS] and [SEP]


def tokenise(tokenizer: Tokenizer, texts: Sequence[str], max_tokens: int) -> tuple[Tokenised, int]:
    """Tokenise texts, and cut them to a tower's token budget.

    Args:
        tokenizer: The tokenizer that the tower's encoder was trained with.
        texts: Queries, or the texts of items.
        max_tokens: Maximum tokens of a text, [CLS] and [SEP] included; longer texts are cut.

    Returns:
        The tokens, and the number of texts that were cut.
    """
    pieces, cut = tokenizer.ids(texts, max_tokens - _SPECIAL_TOKENS)
    return Tokenised.of_texts(pieces, tokenizer), cut
