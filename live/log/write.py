"""The request of one write. It checks its fields when it is created, as requests of searches do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from base.errors import check_count, check_names, check_text, unknown_name
from catalog.items import ID, REQUIRED, Item, check_fields, check_id
from live.log.fields import FIELDS, canonical

MAX_REQUEST_ID_CHARACTERS = 64


@dataclass(frozen=True)
class Write:
    """One upsert or deletion that a caller requests.

    Raises:
        RequestError: a value breaks a rule of `ITEM_FIELDS`, or an id is empty or too long.
    """

    # 1 to 64 characters, chosen by the caller; a write with a known request id changes nothing
    request_id: str
    item_id: str
    # None: delete the item. Otherwise values by field, in canonical form (see `canonical`); None
    # clears a field.
    fields: Mapping[str, Any] | None
    whole: bool = True  # True: the fields are the whole item. False: other fields keep their values

    def __post_init__(self) -> None:
        """Refuse values out of their limits, and bring the fields into canonical form."""
        check_text(self.request_id, "request_id")
        check_count(len(self.request_id), "request_id", 1, MAX_REQUEST_ID_CHARACTERS, "characters")
        if self.fields is None:
            check_id(self.item_id, "item_id")
            return
        for name in self.fields:
            if name not in FIELDS:
                raise unknown_name(f"item.{name}", FIELDS, "field of items")
        required = REQUIRED if self.whole else REQUIRED & {ID, *self.fields}
        check_fields({**self.fields, ID: self.item_id}, "item", required)
        object.__setattr__(self, "fields", canonical(self.fields, whole=self.whole))

    @classmethod
    def upsert(cls, request_id: str, item: Item, update_mask: Sequence[str] = ()) -> "Write":
        """Return a write of the whole item or, with a mask, of the fields that the mask names.

        Raises:
            RequestError: the mask names a field that writes do not have, or a value is invalid.
        """
        check_names(update_mask, "update_mask.paths", FIELDS, "field of items")
        fields = {name: getattr(item, name) for name in update_mask or FIELDS}
        return cls(request_id, item.item_id, fields, whole=not update_mask)
