"""The texts of all items, and their vectors on disk."""

from pathlib import Path

from catalog.item_text import item_text
from catalog.store import ItemStore
from towers.encoder import TowerEncoder
from towers.vectors import Stored, create_vectors

_CHUNK = 20_000  # items encoded and written at a time


def write_vectors(
    encoder: TowerEncoder,
    store: ItemStore,
    directory: Path,
    stored: Stored,
    *,
    chunk: int = _CHUNK,
) -> None:
    """Encode all items and write their vectors, `chunk` items at a time."""
    vectors = create_vectors(directory, len(store), encoder.dim, stored)
    for start in range(0, len(store), chunk):
        rows = range(start, min(start + chunk, len(store)))
        vectors[rows.start : rows.stop] = encoder.items(item_texts(store, rows))
    vectors.flush()


def item_texts(store: ItemStore, rows: range | None = None) -> list[str]:
    """Return the texts of some rows, or of all items."""
    chosen = range(len(store)) if rows is None else rows
    return [item_text(store.item(row), store.roles) for row in chosen]
