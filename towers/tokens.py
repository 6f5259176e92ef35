"""Texts to the tokens that a tower reads, in training and in serving."""

from collections.abc import Sequence

from bert.tokens import Tokenised, Tokenizer

_SPECIAL_TOKENS = 2  # [CLS] and [SEP]


def tokenise(tokenizer: Tokenizer, texts: Sequence[str], max_tokens: int) -> tuple[Tokenised, int]:
    """Tokenise texts within a tower's budget.

    Args:
        tokenizer: The tokenizer that the tower's encoder was trained with.
        texts: Queries, or texts of items.
        max_tokens: Most tokens of a text, [CLS] and [SEP] included; longer texts are cut.

    Returns:
        The tokens, and how many texts were cut.
    """
    pieces, cut = tokenizer.ids(texts, max_tokens - _SPECIAL_TOKENS)
    return Tokenised.of_texts(pieces, tokenizer), cut
