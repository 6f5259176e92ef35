"""Attributes with a limited role: no model reads them, or only the item itself shows them."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from base.errors import InputError, RequestError
from catalog.items import Item

_KEY = b"shortlist.attribute_roles"  # key of the roles in the metadata of a table of items
ATTRIBUTE = "attributes."  # the prefix of every field that is an attribute


@dataclass(frozen=True)
class AttributeRoles:
    """The attributes that neither the models nor the lexical index read."""

    filter_only: frozenset[str] = frozenset()  # filters, facets and caps use these attributes
    stored_only: frozenset[str] = frozenset()  # no filter, facet or cap may use these attributes

    @classmethod
    def of(cls, metadata: Mapping[bytes, bytes] | None) -> "AttributeRoles":
        """Return the roles that the metadata of a table has.

        Raises:
            InputError: the roles are damaged.
        """
        text = (metadata or {}).get(_KEY)
        if text is None:
            return ALL_READ
        try:
            names = {role: frozenset(names) for role, names in json.loads(text).items()}
            if not all(isinstance(name, str) for part in names.values() for name in part):
                raise TypeError("a name is not text")
            return cls(**names)
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(
                f"items: the roles of attributes in the metadata are damaged ({error}); build the "
                "bundle again"
            ) from error

    @property
    def metadata(self) -> dict[bytes, bytes]:
        """The roles as metadata of a table; empty if models read all attributes."""
        if self == ALL_READ:
            return {}
        roles = {role: sorted(names) for role, names in asdict(self).items()}
        return {_KEY: json.dumps(roles).encode()}

    def readable(self, item: Item) -> Item:
        """Return an item with only the attributes that models read."""
        return _without(item, self.unread)

    def filterable(self, item: Item) -> Item:
        """Return an item without the attributes that are stored only."""
        return _without(item, self.stored_only)

    @property
    def unread(self) -> frozenset[str]:
        """The attributes that models do not read."""
        return self.filter_only | self.stored_only

    def check_field(self, field: str, path: str) -> None:
        """Refuse a field that filters, facets and caps may not use.

        Args:
            field: A valid field.
            path: Its path in the request, for the error.

        Raises:
            RequestError: the field is stored only.
        """
        if field.startswith(ATTRIBUTE) and field.removeprefix(ATTRIBUTE) in self.stored_only:
            raise RequestError(path, "is stored only; give a field that is not in `stored_only`")


def _without(item: Item, names: frozenset[str]) -> Item:
    if names.isdisjoint(item.attributes):
        return item
    kept = {name: value for name, value in item.attributes.items() if name not in names}
    return replace(item, attributes=kept)


ALL_READ = AttributeRoles()
