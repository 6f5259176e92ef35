"""Vectors of items that were written: made once, and without those that cannot be made."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

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
                vectors[at] = source.channels.vectors(np.array([row], np.int32))[0]
                break
        else:
            unknown.append(at)
    failed: list[int] = []
    if unknown:
        made, bad = _encoded(encoder, [texts[at] for at in unknown])
        vectors[unknown], failed = made, [unknown[at] for at in bad]
    return vectors, failed


def _encoded(
    encoder: TowerEncoder, texts: Sequence[str]
) -> tuple[Float32[np.ndarray, "texts dim"], list[int]]:
    """Vectors of texts, and the places of those that the encoder fails at."""
    try:
        return encoder.items(texts), []
    except Exception:
        encoder.items([_ANY_TEXT])
        if len(texts) == 1:
            return np.zeros((1, encoder.dim), np.float32), [0]
    middle = len(texts) // 2
    left, left_bad = _encoded(encoder, texts[:middle])
    right, right_bad = _encoded(encoder, texts[middle:])
    return np.concatenate([left, right]), left_bad + [middle + at for at in right_bad]
