"""Vectors of written items; an item whose text is unchanged keeps its vector."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from base.halving import apply_in_halves
from base.panics import panics_as_errors
from catalog.attribute_roles import ALL_READ
from catalog.item_text import item_text
from catalog.items import Item
from search.snapshot import Snapshot

_PROBE_TEXT = "item"  # if the encoder fails at this text, it fails at every text


@runtime_checkable
class ItemEncoder(Protocol):
    """An encoder of item texts, such as `TowerEncoder`."""

    dim: int

    def items(self, texts: Sequence[str]) -> Float32[np.ndarray, "texts dim"]:
        """Return a unit vector for each text."""
        ...


def item_vectors(
    encoder: ItemEncoder, items: Sequence[Item], snapshots: Sequence[Snapshot]
) -> tuple[Float32[np.ndarray, "items dim"], list[int]]:
    """Return a vector for each item; reuse a snapshot's vector if the item's text is unchanged.

    Args:
        encoder: The encoder.
        items: The items.
        snapshots: Snapshots of the same models. The first decides the roles of attributes.

    Returns:
        A unit vector for each item, and the positions of items that cannot be encoded. Vectors at
        these positions are undefined.

    Raises:
        Exception: the encoder fails at every text.
    """
    vectors = np.empty((len(items), encoder.dim), np.float32)
    roles = snapshots[0].catalogue.roles if snapshots else ALL_READ
    texts = [item_text(item, roles) for item in items]
    unknown = []
    for position, item in enumerate(items):
        for snapshot in snapshots:
            row = snapshot.catalogue.row(item.item_id)
            if row >= 0 and item_text(snapshot.catalogue.item(row), roles) == texts[position]:
                vectors[position] = snapshot.channels.vectors(np.array([row], np.int32))[0]
                break
        else:
            unknown.append(position)
    failed: list[int] = []
    if unknown:
        encoded, bad = _encode(encoder, [texts[position] for position in unknown])
        vectors[unknown], failed = encoded, [unknown[index] for index in bad]
    return vectors, failed


class _RefusedTextsError(Exception):
    """The encoder fails at some of these texts, but it still works for other texts."""


def _encode(
    encoder: ItemEncoder, texts: Sequence[str]
) -> tuple[Float32[np.ndarray, "texts dim"], list[int]]:
    """Return the vectors of texts, and the positions of texts that cannot be encoded."""

    def encode(part: Sequence[str]) -> np.ndarray:
        try:
            with panics_as_errors():
                return encoder.items(part)
        except Exception as error:
            encoder.items([_PROBE_TEXT])  # raises if the encoder fails at every text
            raise _RefusedTextsError from error

    blank = np.zeros((1, encoder.dim), np.float32)
    vectors, failed = apply_in_halves(encode, texts, substitute=blank, errors=(_RefusedTextsError,))
    return np.concatenate(vectors), failed
