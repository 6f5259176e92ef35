"""Graded judgments of the demo shop, 0 to 3, from the truth about products and intents.

The text grade, from what a product's text says and its price:

- same leaf category: 3 if it has all that is asked (every attribute value, the brand, a price at
  or below the limit); 2 if it misses one of two or more; else 1;
- another leaf of the same section, neither an accessory of the other: 1 if it has all that is
  asked; else 0;
- anything else, so also the accessory of what is asked for: 0.

The grade is the text grade less one, but not below 0, for a product that is out of stock, and less
one for a product that at least `MIN_RATINGS` people rate below `POOR_RATING` on average. No text
says either, so only what sees stock, rating and rating count can learn it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Int64

from demo.departments import LEAVES
from demo.products import Product
from demo.queries import Intent, Query
from demo.vocabulary import Leaf

POOR_RATING = 3.6
MIN_RATINGS = 10


@dataclass(frozen=True)
class Judged:
    """A query's graded products."""

    query: Query
    products: Sequence[Product]
    grades: Sequence[int]


def text_grades(intent: Intent, products: Sequence[Product]) -> Int64[np.ndarray, " products"]:
    """The grades before stock and ratings take from them, 0 to 3."""
    near = siblings(intent.leaf)
    grades = []
    for product in products:
        held = [product.attributes.get(name) == value for name, value in intent.asked]
        if intent.brand is not None:
            held.append(product.brand == intent.brand)
        if intent.max_price is not None:
            held.append(product.price <= intent.max_price)
        missed = held.count(False)
        if product.leaf is not intent.leaf:
            grades.append(int(missed == 0 and product.leaf in near))
        elif missed == 0:
            grades.append(3)
        else:
            grades.append(2 if missed == 1 and len(held) > 1 else 1)
    return np.array(grades, np.int64)


def grades(intent: Intent, products: Sequence[Product]) -> Int64[np.ndarray, " products"]:
    """The grades, 0 to 3."""
    faults = [
        int(not product.in_stock)
        + int(
            product.rating is not None
            and product.rating < POOR_RATING
            and product.rating_count >= MIN_RATINGS
        )
        for product in products
    ]
    lowered: Int64[np.ndarray, " products"] = text_grades(intent, products) - np.array(faults)
    return lowered.clip(min=0)


@cache
def siblings(leaf: Leaf) -> frozenset[Leaf]:
    """The leaves of the same section, without the leaf itself, its accessories and their hosts."""
    return frozenset(
        other
        for other in LEAVES.values()
        if other is not leaf and other.section == leaf.section and not _go_together(leaf, other)
    )


@cache
def lookalikes(leaf: Leaf) -> frozenset[Leaf]:
    """The leaves whose products could be taken for each other: its section, and accessories."""
    return frozenset(
        other
        for other in LEAVES.values()
        if other.section == leaf.section or _go_together(leaf, other)
    )


def _go_together(leaf: Leaf, other: Leaf) -> bool:
    return other.goes_with == leaf.name or leaf.goes_with == other.name


def pools(products: Sequence[Product]) -> Mapping[Leaf, Sequence[Product]]:
    """For each leaf, the products of its lookalikes and its own."""
    return {
        leaf: [product for product in products if product.leaf in lookalikes(leaf)]
        for leaf in LEAVES.values()
    }


def make_judgments(
    rng: np.random.Generator, products: Sequence[Product], queries: Sequence[Query], most: int
) -> Iterator[Judged]:
    """Up to `most` products of grade 1 or more per query, and then some of grade 0.

    The best grades come first where there are more; within a grade chance decides. Grade 0 brings
    the query to 15 products, and is at least 8 of them: up to half lookalikes (of the same leaf or
    section, or an accessory), the others from anywhere else.
    """
    pool_of = pools(products)
    for query in queries:
        leaf = query.intent.leaf
        pool = [pool_of[leaf][index] for index in rng.permutation(len(pool_of[leaf]))]
        found = grades(query.intent, pool)
        relevant = [index for index in np.argsort(-found, kind="stable") if found[index]][:most]
        zeros = max(8, 15 - len(relevant))
        wrong = [pool[index] for index in np.flatnonzero(found == 0)[: zeros // 2]]
        wrong += [
            products[index]
            for index in rng.permutation(len(products))[: 4 * zeros]
            if products[index].leaf not in lookalikes(leaf)
        ][: zeros - len(wrong)]
        yield Judged(
            query,
            products=[pool[index] for index in relevant] + wrong,
            grades=[int(found[index]) for index in relevant] + [0] * len(wrong),
        )
