"""What brings a server's items up to an export: new items, changed fields, and missing items."""

import datetime
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa

from base.errors import InputError
from catalog.dataset.problems import count, quote
from catalog.items import ID, ITEM_FIELDS, MAX_ITEM_CHARACTERS, Item, all_values
from catalog.store import ItemStore

_MAX_EXAMPLES = 3
# When sales end, an export has no sale prices. So a missing one is a change, and loses nothing.
_SALE = "sale_price"
# Single attributes and lists become smaller more often than fields become empty. So the share that
# may be lost is a share of this number of items or more.
_MIN_ITEMS = 100
# Fields whose changes are effective at once, because no model encodes them.
_QUICK = frozenset(
    each.name for each in ITEM_FIELDS if each.type in (float, int, bool, datetime.date)
)


@dataclass
class FieldChange:
    """How the values of one field change."""

    example: str  # the first change, in words
    items: int = 0
    cleared: int = 0  # items whose value is removed


@dataclass
class Plan:
    """What to write to a server."""

    fields: tuple[str, ...]  # the fields that the export has, which are compared
    exported: int = 0  # items of the export
    served: int = 0  # items of the server
    new: list[str] = field(default_factory=list)  # ids of the export that the server lacks
    # an id of the export, and the names of its fields that differ on the server
    changed: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    by_field: dict[str, FieldChange] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)  # ids of the server that the export lacks
    # ids of the server that stay, because rows of the export that cannot be read may be theirs
    unclear: list[str] = field(default_factory=list)
    have: Counter[str] = field(default_factory=Counter)  # field -> items of the server with a value
    # `attributes.NAME` -> items that lose the attribute; a list's field -> items that lose a value
    shrunk: Counter[str] = field(default_factory=Counter)

    @property
    def writes(self) -> list[tuple[str, tuple[str, ...]]]:
        """Each id to write with the fields to write; no fields: the whole item.

        Writes that need no encoder come first, so that they do not wait for the encoder.
        """
        quick_first = sorted(self.changed, key=lambda change: not _QUICK.issuperset(change[1]))
        return [*quick_first, *((item_id, ()) for item_id in self.new)]

    def check(self, max_share: float) -> None:
        """Refuse a plan that loses too much: the export is probably not whole.

        Args:
            max_share: The largest share of items, and of the values of a field, that the export
                may lack.

        Raises:
            InputError: the export lacks more.
        """
        losses = [("items", len(self.missing + self.unclear), self.served, self.served)]
        losses += [
            (f"values of {name}", change.cleared, self.have[name], self.have[name])
            for name, change in self.by_field.items()
            if change.cleared and name != _SALE
        ]
        losses += [
            (
                f"{'whole lists' if name in self.fields else 'values'} of {name}",
                lost,
                self.have[name],
                max(self.have[name], _MIN_ITEMS),
            )
            for name, lost in self.shrunk.items()
        ]
        for what, lost, total, base in losses:
            if lost > max_share * base:
                raise InputError(
                    f"the export lacks {lost:,} of the server's {total:,} {what} "
                    f"({lost / total:.0%}), and --max-deletions allows {max_share:.0%}; give a "
                    f"whole export, or a higher --max-deletions"
                )

    def lines(self, delete: bool) -> Iterator[str]:
        """Yield the plan as lines of text."""
        yield f"{count(self.exported, 'item')} in the export, {self.served:,} on the server"
        yield f"new: {count(len(self.new), 'item')}{_examples(self.new)}"
        yield f"changed: {count(len(self.changed), 'item')}"
        for name, change in sorted(self.by_field.items(), key=lambda entry: -entry[1].items):
            cleared = f", {change.cleared:,} of them to no value" if change.cleared else ""
            yield f"  {name}: {change.items:,}{cleared}, such as {change.example}"
        for name, lost in sorted(self.shrunk.items(), key=lambda entry: -entry[1]):
            yield f"  fewer values of {name}: {lost:,}"
        if self.missing:
            what = "deleted" if delete else "not in the export and kept (--delete deletes)"
            yield f"{what}: {count(len(self.missing), 'item')}{_examples(self.missing)}"
        if self.unclear:
            what = "kept, because rows of the export cannot be read"
            yield f"{what}: {count(len(self.unclear), 'item')}{_examples(self.unclear)}"
        unknown = [each.name for each in ITEM_FIELDS if each.name not in (*self.fields, ID)]
        unknown = [name for name in unknown if name != "category"]
        if unknown:
            yield f"not in the export and not compared: {', '.join(unknown)}"


def compare(
    exported: ItemStore,
    served: Iterable[Item],
    unread: Mapping[str, AbstractSet[str]] = MappingProxyType({}),
) -> Plan:
    """Compare an export with the items of a server, field by field.

    Fields for which no item of the export has a value are not compared, because other programs may
    write them, such as ratings. The sale price is compared if the export has prices.

    Args:
        exported: The items of the export.
        served: All items of the server, one after another.
        unread: For each item, the fields that the export has and cannot be read. They are not
            compared, and the items are not missing. The id "" stands for rows without a known id:
            any item may be theirs, so none is missing.
    """
    plan = Plan(_compared(exported), exported=len(exported))
    is_new = np.ones(len(exported), np.bool_)
    for item in served:
        plan.served += 1
        for name in plan.fields:
            value = getattr(item, name)
            plan.have.update({name, *_parts(name, value)} if _has_value(value) else ())
        row = exported.row(item.item_id)
        if row < 0:
            is_unclear = bool({item.item_id, ""} & unread.keys())
            (plan.unclear if is_unclear else plan.missing).append(item.item_id)
            continue
        is_new[row] = False
        if names := _differing(plan, cut(item), cut(exported.item(row)), unread):
            plan.changed.append((item.item_id, names))
    plan.new += [exported.ids[row] for row in np.flatnonzero(is_new).tolist()]
    return plan


def _compared(items: ItemStore) -> tuple[str, ...]:
    """Return the fields that some item has, without `category`, which follows `categories`."""
    found = {name for name in items.table.column_names if _any_value(items.table[name])}
    if "category" in found:
        found.add("categories")
    if "price" in found:
        found.add(_SALE)
    return tuple(each.name for each in ITEM_FIELDS if each.name in found - {ID, "category"})


def _any_value(column: pa.ChunkedArray) -> bool:
    if pa.types.is_list(column.type) or pa.types.is_map(column.type):
        return any(chunk.offsets[0] != chunk.offsets[-1] for chunk in column.chunks)
    return bool(column.null_count < len(column))


def _differing(
    plan: Plan, old: Item, new: Item, unread: Mapping[str, AbstractSet[str]]
) -> tuple[str, ...]:
    """Return the fields whose values differ, and count them in the plan."""
    names = []
    skipped = unread.get(new.item_id, ())
    for name in (each for each in plan.fields if each not in skipped):
        before, after = _comparable(getattr(old, name)), _comparable(getattr(new, name))
        if before == after:
            continue
        names.append(name)
        example = f"{new.item_id}: {quote(before)} → {quote(after)}"
        change = plan.by_field.setdefault(name, FieldChange(example))
        change.items += 1
        change.cleared += after is None
        kept = _parts(name, after)
        plan.shrunk.update(
            part for part, n in _parts(name, before).items() if kept.get(part, 0) < n
        )
    return tuple(names)


def _parts(name: str, value: Any) -> dict[str, int]:
    """Return what an export may lack of a map or list: each attribute, and the number of values."""
    if isinstance(value, Mapping):
        return {f"{name}.{label}": 1 for label, texts in value.items() if all_values(texts)}
    return {name: len(value)} if isinstance(value, tuple) else {}


def _has_value(value: Any) -> bool:
    return value not in (None, "", (), {})


def _comparable(value: Any) -> Any:
    """Return a value in the form that is equal if the server's value needs no write."""
    if isinstance(value, Mapping):
        value = {name: all_values(texts) for name, texts in value.items()}
    return value if _has_value(value) else None


def cut(item: Item) -> Item:
    """Return an item with its description cut, if a server would refuse the item as too long."""
    # The field `category` is the first of `categories`, so it does not count again.
    texts = [t for each in ITEM_FIELDS if each.name != "category" for t in _texts(item, each.name)]
    excess = sum(map(len, texts)) - MAX_ITEM_CHARACTERS
    if excess <= 0 or item.description is None:
        return item
    return replace(item, description=item.description[: max(len(item.description) - excess, 0)])


def _texts(item: Item, name: str) -> Iterator[str]:
    value = getattr(item, name)
    if isinstance(value, Mapping):
        for label, texts in value.items():
            yield from (label, *all_values(texts))
    elif isinstance(value, str | tuple):
        yield from all_values(value)


def _examples(ids: list[str]) -> str:
    if not ids:
        return ""
    more = ", …" if len(ids) > _MAX_EXAMPLES else ""
    return f" ({', '.join(ids[:_MAX_EXAMPLES])}{more})"
