"""Pruning of a large vocabulary: leave out the pieces that the data does not use.

Of the 250,000 pieces of a multilingual model, most catalogues use a small part. A unigram tokenizer
splits a text into the pieces with the largest sum of scores. Without other pieces, the split of a
text whose pieces are all kept stays the best one. Two more conditions make it exactly the same
split: the score of an unknown character depends on the smallest score, so the piece with this score
is kept, and a character is unknown if it is not a piece, so all single characters are kept. So
texts that only use kept pieces have the same embeddings as before, bit by bit. In other texts, the
remaining pieces, down to single characters, replace a piece that is left out.
"""

import json
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Bool, Int64

from base.errors import InputError
from bert.model import Bert
from bert.tokens import TOKENIZER_FILE, Tokenizer
from catalog.dataset.reading import Dataset
from catalog.item_text import item_text, normalise_query
from catalog.store import ItemStore
from towers.model import TowersConfig
from train.data.relevance import relevance_of

logger = logging.getLogger(__name__)

_CHUNK = 10_000  # texts split at a time
_SPACE = "▁"  # stands for the white space before a word
_CONFIG_FILE = "tokenizer_config.json"


@dataclass(frozen=True)
class VocabularyConfig:
    """Pruning of a pretrained model's vocabulary, for models with a unigram tokenizer."""

    # leave out the pieces that neither the items nor the judged queries use
    prune: bool = False
    # number of pieces to keep although no text uses them: the most probable ones, for later items
    # and queries; all single characters are kept, too
    common: int = 20_000


def model_texts(dataset: Dataset, towers: TowersConfig) -> Iterator[str]:
    """Yield the texts that models read: items, titles and judged queries, also with prefixes."""
    store = ItemStore(dataset.items)
    for row in range(len(store)):
        text = item_text(store.item(row), store.roles)
        yield from (text, towers.prefix("item") + text)
    judged = relevance_of(dataset, store, event_weight=1.0)
    queries = [*filter(None, store.text("title")), *(judged.queries if judged else ())]
    for query in {*queries, *map(normalise_query, queries)}:
        yield from (query, towers.prefix("query") + query)


def prune(
    tokenizer: Tokenizer, texts: Iterable[str], common: int
) -> tuple[Tokenizer, Int64[np.ndarray, " kept"]]:
    """Make a tokenizer that has only the pieces that texts use, and common and short pieces.

    Args:
        tokenizer: A unigram tokenizer.
        texts: Texts whose pieces are kept.
        common: Number of the most probable pieces that are kept, too.

    Returns:
        The tokenizer, and the ids of its pieces in the vocabulary of `tokenizer`, ascending.

    Raises:
        InputError: the tokenizer is not a unigram tokenizer.
    """
    content = json.loads(tokenizer.files[TOKENIZER_FILE])
    model = content["model"]
    if model.get("type") != "Unigram" or model.get("byte_fallback"):
        raise InputError(
            f"the vocabulary of a tokenizer of type {model.get('type')} cannot be pruned, only "
            "that of a unigram tokenizer without byte fallback; give --vocabulary.no-prune"
        )
    keep = np.zeros(tokenizer.vocab_size, np.bool_)
    keep[: len(model["vocab"])] = _always_kept(model["vocab"], common)
    keep[model["unk_id"]] = True
    keep[[token["id"] for token in content["added_tokens"]]] = True
    remaining = iter(texts)
    while chunk := list(islice(remaining, _CHUNK)):
        keep[tokenizer.ids(chunk, sys.maxsize)[0].values] = True
    kept = np.flatnonzero(keep)
    model["vocab"] = [model["vocab"][i] for i in kept.tolist() if i < len(model["vocab"])]
    _renumber(content, {old: new for new, old in enumerate(kept.tolist())})
    logger.info("vocabulary pruned: pieces=%d kept=%d", len(keep), len(kept))
    files = {**tokenizer.files, TOKENIZER_FILE: json.dumps(content, ensure_ascii=False).encode()}
    if _CONFIG_FILE in files:  # `tokenizer.json` has the added tokens, too
        config = json.loads(files[_CONFIG_FILE])
        config.pop("added_tokens_decoder", None)
        files[_CONFIG_FILE] = json.dumps(config, ensure_ascii=False).encode()
    return Tokenizer(files), kept


def keep_rows(bert: Bert, kept: Int64[np.ndarray, " kept"]) -> None:
    """Leave only the embeddings of the kept pieces in an encoder."""
    bert.embeddings.word = nnx.Param(jnp.asarray(np.asarray(bert.embeddings.word[...])[kept]))
    bert.config = replace(bert.config, vocab_size=len(kept))


def _always_kept(pieces: Sequence[Sequence[Any]], common: int) -> Bool[np.ndarray, " pieces"]:
    """Return which pieces are kept although no text uses them; see the module's description."""
    scores = np.array([score for _, score in pieces])
    keep = np.array([len(piece.removeprefix(_SPACE)) <= 1 for piece, _ in pieces])
    keep[scores.argmin()] = True
    keep[np.argsort(-scores, kind="stable")[:common]] = True
    return keep


def _renumber(content: dict[str, Any], new_ids: dict[int, int]) -> None:
    """Replace the ids of special tokens in the content of `tokenizer.json`."""
    content["model"]["unk_id"] = new_ids[content["model"]["unk_id"]]
    for token in content["added_tokens"]:
        token["id"] = new_ids[token["id"]]
    padding, processor = content.get("padding"), content.get("post_processor") or {}
    if padding:
        padding["pad_id"] = new_ids[padding["pad_id"]]
    for part in processor.get("processors", [processor]):
        for token in part.get("special_tokens", {}).values():
            token["ids"] = [new_ids[old] for old in token["ids"]]
        for name in {"cls", "sep"} & part.keys():
            part[name] = [part[name][0], new_ids[part[name][1]]]
