"""The products of the demo shop.

The products of a leaf category come in groups. The variants of a group share brand, range name,
noun, rating, release date and all attributes except the one that varies in the category. A price
is the product of the category's base price, the brand's tier, a log-normal factor of the group, and
factors of the attribute values. These factors come from `VALUE_PRICE`; for an `ORDERED` attribute,
they range from 0.75 for the smallest value to 1.35 for the largest. A title shows only some
attributes. The description, which may be missing, shows a random half of the attributes.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from demo.departments import DEPARTMENTS, LEAVES
from demo.vocabulary import FOR, ORDERED, SERIES, VALUE_PRICE, Department, Leaf

AS_OF = date(2025, 6, 30)  # the last day of releases and events

# Attributes that a title shows at its end, after commas.
_SHOWN_BEHIND = ORDERED | {"colour", "size", "pack", "resolution", "frame", "factor"}
_ABBREVIATIONS = frozenset({"usb", "led", "rfid", "uv", "spf", "pvc", "hd", "gb", "tb", "mah"})
_SMALL_WORDS = frozenset({"for", "with", "and", "of"})
_CLOSING = (
    "Easy to clean and built to last.",
    "A favourite of our customers.",
    "Comes with a two year warranty.",
    "Thoughtfully made, down to the details.",
    "Ships in recycled packaging.",
    "Ready to use out of the box.",
)


@dataclass(frozen=True)
class Product:
    """One item of the shop."""

    item_id: str
    title: str
    description: str | None
    brand: str
    leaf: Leaf
    group_id: str
    price: float
    rating: float | None  # 1 to 5; None without ratings
    rating_count: int
    released: date
    in_stock: bool
    attributes: Mapping[str, str]


@dataclass(frozen=True)
class _Group:
    """The values that all variants of one product share."""

    leaf: Leaf
    brand: str
    series: str
    noun: str
    attributes: Mapping[str, str]
    shown: frozenset[str]  # the attributes that the title shows
    titled: bool  # whether the title starts with the brand
    compact_units: bool  # whether the title writes "500ml" instead of "500 ml"
    base_price: float
    rating: float | None
    rating_count: int
    released: date


def make_products(rng: np.random.Generator, count: int) -> tuple[Product, ...]:
    """Make exactly `count` products over all leaf categories, in random order."""
    made: list[tuple[_Group, str, str]] = []  # group, group id, value of the varying attribute
    group_number = 0
    sizes = iter(_leaf_sizes(rng, count))
    for department in DEPARTMENTS:
        for leaf in department.leaves:
            left = next(sizes)
            names = _names(rng, department)
            while left:
                group = _group(rng, department, leaf, *names.pop())
                group_number += 1
                values = leaf.options[leaf.varies]
                variants = min(left, len(values), int(rng.choice(4, p=[0.3, 0.25, 0.3, 0.15])) + 1)
                chosen = np.sort(rng.permutation(len(values))[:variants])
                made += [(group, f"G{group_number:04d}", values[index]) for index in chosen]
                left -= variants
    return tuple(
        _variant(rng, f"P{number:05d}", *made[index])
        for number, index in enumerate(rng.permutation(len(made)), start=1)
    )


def _leaf_sizes(rng: np.random.Generator, count: int) -> list[int]:
    """Draw uneven sizes of the leaves that sum to `count`, rounded by largest remainder."""
    weights = rng.uniform(0.7, 1.3, size=len(LEAVES))
    shares = count * weights / weights.sum()
    sizes = np.floor(shares).astype(int)
    largest = np.argsort(sizes - shares, kind="stable")[: count - int(sizes.sum())]
    sizes[largest] += 1
    return [int(size) for size in sizes]


def _names(rng: np.random.Generator, department: Department) -> list[tuple[str, str]]:
    """Return distinct pairs of brand and range name for a leaf, from six random brands."""
    brands = rng.permutation(list(department.brands))[:6]
    pairs = [(str(brand), series) for brand in brands for series in SERIES]
    return [pairs[index] for index in rng.permutation(len(pairs))]


def _group(
    rng: np.random.Generator, department: Department, leaf: Leaf, brand: str, series: str
) -> _Group:
    tier = department.brands[brand]
    attributes = {
        name: _pick(rng, values)
        for name, values in leaf.options.items()
        if name == leaf.varies or rng.random() < 0.92
    }
    age_days = 5 + min(int(rng.exponential(600)), 2500)
    rating_count = int(rng.lognormal(3.4, 1.3) * min(1.0, age_days / 365))
    rating = 3.95 + 0.6 * rng.normal() + 0.2 * (tier - 1)
    return _Group(
        leaf=leaf,
        brand=brand,
        series=series if rng.random() < 0.7 else "",
        noun=_pick(rng, leaf.nouns),
        attributes=attributes,
        shown=frozenset(
            name for name in leaf.options if rng.random() < (0.85 if name == leaf.varies else 0.45)
        ),
        titled=bool(rng.random() < 0.8),
        compact_units=bool(rng.random() < 0.35),
        base_price=leaf.price * tier * float(np.exp(rng.normal(0, 0.15))),
        rating=round(float(np.clip(rating, 1.5, 5.0)), 1) if rating_count else None,
        rating_count=rating_count,
        released=AS_OF - timedelta(days=age_days),
    )


def _variant(
    rng: np.random.Generator, item_id: str, group: _Group, group_id: str, value: str
) -> Product:
    attributes = {**group.attributes, group.leaf.varies: value}
    return Product(
        item_id=item_id,
        title=_title(group, attributes),
        description=_description(rng, group, attributes) if rng.random() < 0.96 else None,
        brand=group.brand,
        leaf=group.leaf,
        group_id=group_id,
        price=_shop_price(group.base_price * _value_factor(group.leaf, attributes)),
        rating=group.rating,
        rating_count=group.rating_count,
        released=group.released,
        in_stock=bool(rng.random() < 0.84),
        attributes=attributes,
    )


def _value_factor(leaf: Leaf, attributes: Mapping[str, str]) -> float:
    """Return the price factor of the attribute values."""
    factor = math.prod(VALUE_PRICE.get(value, 1.0) for value in attributes.values())
    for name in sorted(ORDERED & attributes.keys()):
        values = leaf.options[name]
        factor *= 0.75 + 0.6 * values.index(attributes[name]) / (len(values) - 1)
    return factor


def _shop_price(price: float) -> float:
    """Round a price as shops do: 12.30 to 11.99, 57.20 to 57.99, 130.40 to 130."""
    if price < 20:
        return round(max(math.floor(price * 2) / 2, 1.5) - 0.01, 2)
    return round(math.floor(price) + 0.99, 2) if price < 100 else float(round(price))


def _title(group: _Group, attributes: Mapping[str, str]) -> str:
    """Make a title, such as "Oakline Harbor Velvet Sofa with Storage, Grey, 3 Seater"."""
    before, after, listed = [], [], []
    for name in group.leaf.options:
        if name not in attributes or name not in group.shown:
            continue
        value = attributes[name]
        if name in FOR:
            after.append(f"for {value}")
        elif value.startswith("with "):
            after.append(value)
        elif name in _SHOWN_BEHIND:
            listed.append(compact(value) if group.compact_units else value)
        else:
            before.append(value)
    start = [group.brand] if group.titled else []
    words = " ".join([*start, group.series, *before, group.noun, *after]).split()
    return ", ".join(_headed(part) for part in [" ".join(words), *listed])


def _headed(text: str) -> str:
    """Capitalise the words of a title, except units and small words."""
    words = text.split()
    for index, word in enumerate(words):
        if word in _ABBREVIATIONS:
            words[index] = word.upper()
        elif word not in _SMALL_WORDS and not (index and words[index - 1][0].isdigit()):
            words[index] = word[0].upper() + word[1:]
    return " ".join(words)


def compact(value: str) -> str:
    """Remove the space before the unit of a measure: "500 ml" becomes "500ml"."""
    number, _, unit = value.partition(" ")
    return number + unit if number.replace(".", "").isdigit() and len(unit) <= 3 else value


def _description(rng: np.random.Generator, group: _Group, attributes: Mapping[str, str]) -> str:
    shown = [name for name in attributes if rng.random() < 0.5]
    before = [
        attributes[name]
        for name in shown
        if name not in FOR and not attributes[name].startswith("with ")
    ]
    behind = [
        f"for {attributes[name]}" if name in FOR else attributes[name]
        for name in shown
        if name in FOR or attributes[name].startswith("with ")
    ]
    noun = _pick(rng, group.leaf.nouns)
    start = " ".join(["Our", group.series or group.brand, *before, noun, *behind]) + "."
    closing = _pick(rng, _CLOSING)
    related = related_nouns(group.leaf)
    if related and rng.random() < 0.4:
        closing = f"Goes well with your {_pick(rng, related)}."
    return f"{start} {closing}"


def related_nouns(leaf: Leaf) -> Sequence[str]:
    """Return the nouns of the leaf that `goes_with` names, or else of the leaf's accessories."""
    if leaf.goes_with is not None:
        return LEAVES[leaf.goes_with].nouns
    return [
        noun for other in LEAVES.values() if other.goes_with == leaf.name for noun in other.nouns
    ]


def _pick(rng: np.random.Generator, values: Sequence[str]) -> str:
    return values[int(rng.integers(len(values)))]
