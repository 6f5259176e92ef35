"""The vocabulary of the demo shop: types of the tables, and words that all departments share.

The tables are in `demo.departments`, one module per department. They are the same for every seed.
A seed decides the products, queries, users and sessions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, eq=False)  # compare by identity, so that a leaf can be a key
class Leaf:
    """One leaf category: words for its products, and their attributes."""

    path: str  # "Department > Section > Name"
    nouns: tuple[str, ...]  # names of the category in titles
    words: tuple[str, ...]  # other names of the category, never used in titles
    needs: tuple[str, ...]  # purposes, as sentences without a name of the category
    options: Mapping[str, tuple[str, ...]]  # values by attribute; small to large if in ORDERED
    varies: str  # the attribute that differs between variants of one product
    price: int  # price of a plain product of tier 1, in currency units
    goes_with: str | None  # name of the leaf that this leaf has accessories for

    @cached_property
    def name(self) -> str:
        """The last level of the path."""
        return self.path.rsplit(" > ", 1)[1]

    @cached_property
    def section(self) -> str:
        """The first two levels of the path."""
        return self.path.rsplit(" > ", 1)[0]

    @cached_property
    def department(self) -> str:
        """The first level of the path."""
        return self.path.split(" > ", 1)[0]


@dataclass(frozen=True)
class Department:
    """A department: its brands and its leaf categories."""

    brands: Mapping[str, float]  # brand -> price tier; 1 is medium
    leaves: tuple[Leaf, ...]


def leaf(
    path: str,
    price: int,
    *,
    nouns: str,
    words: str,
    needs: str,
    varies: str = "colour",
    goes_with: str | None = None,
    **options: str,
) -> Leaf:
    """Make a leaf from comma-separated lists, which keep the tables readable.

    An underscore in an attribute's name stands for a space.
    """
    return Leaf(
        path=path,
        nouns=_listed(nouns),
        words=_listed(words),
        needs=_listed(needs),
        options={name.replace("_", " "): _listed(values) for name, values in options.items()},
        varies=varies.replace("_", " "),
        price=price,
        goes_with=goes_with,
    )


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


# Attributes whose values are listed from small to large; the price rises with the value.
ORDERED = frozenset(
    _listed(
        "capacity, storage, memory, screen, power, length, seats, weight, pack, width, height, "
        "bed size, brightness"
    )
)

# Attributes that titles and queries put after the noun, with "for" before the value.
FOR = frozenset(_listed("use, fits, fit, skin, hair, hob"))

# Price factors of attribute values.
VALUE_PRICE: Mapping[str, float] = {
    "leather": 1.5, "faux leather": 1.1, "velvet": 1.15, "oak": 1.35, "walnut": 1.45,
    "marble": 1.5, "wool": 1.35, "silk": 1.5, "linen": 1.2, "stainless steel": 1.2,
    "cast iron": 1.25, "copper": 1.4, "titanium": 1.6, "carbon": 1.7, "down": 1.4,
    "memory foam": 1.2, "plastic": 0.8, "pine": 0.85, "polyester": 0.85, "bamboo": 1.05,
    "noise cancelling": 1.5, "electric": 1.4, "programmable": 1.3, "wireless": 1.15,
}  # fmt: skip

# Synonyms of attribute values.
VALUE_WORDS: Mapping[str, tuple[str, ...]] = {
    "grey": ("gray",),
    "navy": ("dark blue",),
    "beige": ("cream", "sand coloured"),
    "burgundy": ("dark red", "wine red"),
    "teal": ("blue green",),
    "gold": ("golden",),
    "clear": ("see through", "transparent"),
    "stainless steel": ("steel", "metal"),
    "aluminium": ("aluminum", "metal"),
    "oak": ("oak wood", "wooden"),
    "pine": ("pine wood", "wooden"),
    "faux leather": ("vegan leather", "fake leather"),
    "wireless": ("cordless", "no cable"),
    "wired": ("with cable", "corded"),
    "foldable": ("folding", "collapsible"),
    "quiet": ("silent", "noiseless"),
    "waterproof": ("rain proof", "water resistant"),
    "lightweight": ("light", "not heavy"),
    "rechargeable": ("usb charged", "with battery"),
    "noise cancelling": ("anc", "noise blocking"),
    "non-stick": ("nonstick", "food does not stick"),
    "leakproof": ("spill proof", "no leak"),
    "fragrance free": ("unscented", "without perfume"),
    "sensitive": ("irritated", "delicate"),
    "breathable": ("airy",),
    "insulated": ("thermal",),
    "extendable": ("extending", "expandable"),
    "dimmable": ("with dimmer", "adjustable brightness"),
    "blackout": ("room darkening", "light blocking"),
    "washable": ("machine washable", "easy to wash"),
    "non-slip": ("anti slip", "grippy"),
    "ergonomic": ("comfortable", "wrist friendly"),
    "shockproof": ("rugged", "drop proof"),
    "slim": ("thin",),
    "programmable": ("with timer",),
    "padded": ("cushioned",),
    "memory foam": ("foam",),
    "automatic": ("self opening",),
    "wide": ("broad",),
    "kids": ("children", "child"),
    "women": ("ladies", "her"),
    "men": ("gents", "him"),
    "beginners": ("starters", "learning"),
    "2 seater": ("two seater", "2 person"),
    "3 seater": ("three seater", "3 person"),
    "2 person": ("two man", "two people"),
    "4 person": ("four man", "family of four"),
    "king size": ("king",),
    "queen size": ("queen",),
    "single size": ("twin", "single"),
}

# Model and range names, shared by all brands.
SERIES = _listed(
    "Aria, Atlas, Alto, Bolt, Breeze, Canyon, Cedar, Coast, Delta, Drift, Dune, Echo, Ember, "
    "Falcon, Flint, Glide, Halo, Harbor, Haven, Iris, Juno, Kite, Luna, Metro, Nova, Onyx, Orbit, "
    "Pioneer, Pulse, Quest, Ridge, Sierra, Summit, Tempo, Terra, Unity, Vega, Vista, Willow, Zen"
)
