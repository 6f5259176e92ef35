"""Tokenisation of query-item pairs for the reranker, in training and in serving."""

from collections.abc import Sequence

import numpy as np

from bert.tokens import Tokenised, Tokenizer
from rerank.model import RerankerConfig


def tokenise_pairs(
    tokenizer: Tokenizer, config: RerankerConfig, queries: Sequence[str], texts: Sequence[str]
) -> tuple[Tokenised, int]:
    """Tokenise pairs as `[CLS] query [SEP] item [SEP]`, or in the tokenizer's own format.

    Args:
        tokenizer: The tokenizer that the reranker's encoder was trained with.
        config: The token budgets.
        queries: The query of each pair, cut to `max_query_tokens`.
        texts: The item text of each pair, cut so that the pair has at most `max_tokens` tokens.

    Returns:
        The tokens, and the number of pairs that were cut.
    """
    most_query, most = config.max_query_tokens, config.max_tokens - tokenizer.pair_specials
    # Tokenise to one word piece more than fits, to detect which texts are cut. Tokenise each query
    # once, because all pairs of a search have the same query.
    positions = {query: position for position, query in enumerate(dict.fromkeys(queries))}
    distinct, _ = tokenizer.ids(list(positions), most_query + 1)
    first = distinct.take([positions[query] for query in queries])
    second, _ = tokenizer.ids(texts, most + 1)
    query_room = np.minimum(first.lengths, most_query)
    room = most - query_room
    cut = int(((first.lengths > query_room) | (second.lengths > room)).sum())
    return Tokenised.of_pairs(first.cut(query_room), second.cut(room), tokenizer), cut
