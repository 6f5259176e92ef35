"""The items of a model that was fitted on events, and the rows that they are in now."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int32

from base.errors import InputError
from base.untrusted.arrays import read_arrays
from catalog.catalogue import Catalogue
from search.channels.base import AddedRows

ITEMS_FILE = "items.npz"


def write_item_ids(item_ids: Sequence[str], directory: Path) -> None:
    """Write the ids of a model's items, in the model's order."""
    encoded = [item_id.encode() for item_id in item_ids]
    np.savez(
        directory / ITEMS_FILE,
        text=np.frombuffer(b"".join(encoded), np.uint8),
        ends=np.cumsum([len(item_id) for item_id in encoded], dtype=np.int64),
    )


def read_item_ids(directory: Path) -> list[str]:
    """Return the ids of a model's items.

    Raises:
        InputError: the file is damaged.
    """
    path = directory / ITEMS_FILE
    try:
        arrays = read_arrays(path)
        text, ends = arrays["text"].tobytes(), arrays["ends"].tolist()
        if sorted(ends) != ends or (ends[-1] if ends else 0) != len(text):
            raise ValueError("its ends do not fit its text")
        return [text[a:b].decode() for a, b in zip([0, *ends[:-1]], ends, strict=False)]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


class ModelItems:
    """The row of each item of a model, and the model's number of the item in each row.

    Attributes:
        row_of: The row of each of the model's items; -1 for an item that the catalogue lacks.
        number_of: The model's number of the item in each row; -1 for an item that is new to the
            model.
    """

    def __init__(
        self,
        numbers: Mapping[str, int],
        row_of: Int32[np.ndarray, " numbers"],
        number_of: Int32[np.ndarray, " rows"],
    ) -> None:
        """Use the model's number of each item id, and both directions of the assignment."""
        self._numbers = numbers
        self.row_of = row_of
        self.number_of = number_of

    @classmethod
    def open(cls, directory: Path, catalogue: Catalogue) -> "ModelItems":
        """Read the ids of a model's items, and find their rows.

        Raises:
            InputError: the file is damaged.
        """
        item_ids = read_item_ids(directory)
        row_of = catalogue.rows(item_ids)
        number_of = np.full(catalogue.rows_in_all, -1, np.int32)
        known = row_of >= 0
        number_of[row_of[known]] = np.flatnonzero(known)
        return cls({item_id: n for n, item_id in enumerate(item_ids)}, row_of, number_of)

    def __len__(self) -> int:
        """Return the number of the model's items."""
        return len(self.row_of)

    def extended(self, added: AddedRows) -> "ModelItems":
        """Return the assignment after rows were added; an item's last row counts."""
        new = np.array([self._numbers.get(item.item_id, -1) for item in added.items], np.int32)
        row_of = self.row_of.copy()
        known = new >= 0
        row_of[new[known]] = added.first + np.flatnonzero(known)
        number_of = np.concatenate([self.number_of[: added.first], new])
        return ModelItems(self._numbers, row_of, number_of)

    def by_row(
        self,
        values: Float32[np.ndarray, " numbers"],
        rows: Int32[np.ndarray, " items"],
    ) -> Float32[np.ndarray, " items"]:
        """Return the values of the items in some rows; 0 for items that are new to the model."""
        numbers = self.number_of[rows]
        return np.where(numbers >= 0, values[numbers] if len(values) else 0, 0).astype(np.float32)
