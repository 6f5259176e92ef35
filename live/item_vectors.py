"""Vectors of items that were written: made once, and without those that cannot be made."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from base.halving import apply_in_halves
from catalog.item_text import item_text
from catalog.schema import Item
from search.snapshot import Snapshot
from towers.encoder import TowerEncoder

_ANY_TEXT = "item"  # what is wrong with the encoder itself is wrong with this as well


def item_vectors(
    encoder: TowerEncoder, items: Sequence[Item], views: Sequence[Snapshot]
) -> tuple[Float32[np.ndarray, "items dim"], list[int]]:
    """Vectors of items; those of texts that have one in a view are not made again.

    Returns:
        A unit vector of each item, and the places of items that the encoder fails at, whose
        vectors mean nothing.

    Raises:
        Exception: the encoder fails whatever it is given.
    """
    vectors = np.empty((len(items), encoder.dim), np.float32)
    texts = [item_text(item) for item in items]
    unknown = []
    for at, item in enumerate(items):
        for source in views:
            row = source.catalogue.row(item.item_id)
            if row >= 0 and item_text(source.catalogue.item(row)) == texts[at]:
                vectors[at] = source.recall.vectors(np.array([row], np.int32))[0]
                break
        else:
            unknown.append(at)
    failed: list[int] = []
    if unknown:
        made, bad = _encode(encoder, [texts[at] for at in unknown])
        vectors[unknown], failed = made, [unknown[at] for at in bad]
    return vectors, failed


class _RefusedTextsError(Exception):
    """The encoder fails at some of the texts, though not at every text."""


def _encode(
    encoder: TowerEncoder, texts: Sequence[str]
) -> tuple[Float32[np.ndarray, "texts dim"], list[int]]:
    """Return vectors of texts, and the positions of those that the encoder fails at."""

    def encode(some: Sequence[str]) -> np.ndarray:
        try:
            return encoder.items(some)
        except Exception as error:
            encoder.items([_ANY_TEXT])  # raises if the encoder fails at every text
            raise _RefusedTextsError from error

    blank = np.zeros((1, encoder.dim), np.float32)
    vectors, failed = apply_in_halves(encode, texts, substitute=blank, errors=(_RefusedTextsError,))
    return np.concatenate(vectors), failed
