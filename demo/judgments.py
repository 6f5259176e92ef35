"""Graded judgments of the demo shop, 0 to 3, from the truth about products and intents.

The text grade depends on a product's text and price. The conditions of an intent are its attribute
values, its brand and its price limit.

- Products of the intent's leaf category have grade 3 if they meet all conditions. They have grade 2
  if they miss exactly one of at least two conditions, and otherwise grade 1.
- Products of another leaf of the same section have grade 1 if they meet all conditions, and
  otherwise grade 0. If one of the two leaves has accessories for the other, the grade is always 0.
- All other products have grade 0.

The grade is the text grade, lowered by one if the product is out of stock, and by one if at least
`MIN_RATINGS` people rate it below `POOR_RATING` on average. The grade is at least 0. Texts contain
neither stock nor ratings, so only a model that sees these fields can learn the grade.
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

POOR_RATING = 3.6  # average rating below which the grade is lowered
MIN_RATINGS = 10  # minimum number of ratings for a poor average to count


@dataclass(frozen=True)
class Judged:
    """A query's graded products."""

    query: Query
    products: Sequence[Product]
    grades: Sequence[int]


def text_grades(intent: Intent, products: Sequence[Product]) -> Int64[np.ndarray, " products"]:
    """Return the text grades of products for an intent, 0 to 3."""
    near = siblings(intent.leaf)
    grades = []
    for product in products:
        met = [product.attributes.get(name) == value for name, value in intent.asked]
        if intent.brand is not None:
            met.append(product.brand == intent.brand)
        if intent.max_price is not None:
            met.append(product.price <= intent.max_price)
        missed = met.count(False)
        if product.leaf is not intent.leaf:
            grades.append(int(missed == 0 and product.leaf in near))
        elif missed == 0:
            grades.append(3)
        else:
            grades.append(2 if missed == 1 and len(met) > 1 else 1)
    return np.array(grades, np.int64)


def grades(intent: Intent, products: Sequence[Product]) -> Int64[np.ndarray, " products"]:
    """Return the grades of products for an intent, 0 to 3, lowered by stock and ratings."""
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
    """Return the other leaves of the section, except leaves linked to the leaf by `goes_with`."""
    return frozenset(
        other
        for other in LEAVES.values()
        if other is not leaf and other.section == leaf.section and not _go_together(leaf, other)
    )


@cache
def lookalikes(leaf: Leaf) -> frozenset[Leaf]:
    """Return the leaves of the same section, and the leaves linked to the leaf by `goes_with`."""
    return frozenset(
        other
        for other in LEAVES.values()
        if other.section == leaf.section or _go_together(leaf, other)
    )


def _go_together(leaf: Leaf, other: Leaf) -> bool:
    return other.goes_with == leaf.name or leaf.goes_with == other.name


def pools(products: Sequence[Product]) -> Mapping[Leaf, Sequence[Product]]:
    """Return, for each leaf, the products of the leaf and of its lookalikes."""
    return {
        leaf: [product for product in products if product.leaf in lookalikes(leaf)]
        for leaf in LEAVES.values()
    }


def make_judgments(
    rng: np.random.Generator, products: Sequence[Product], queries: Sequence[Query], most: int
) -> Iterator[Judged]:
    """Yield, per query, up to `most` products of grade 1 or more and some products of grade 0.

    The products with the best grades are chosen; among equal grades, the choice is random. Products
    of grade 0 fill a query up to 15 products; at least 8 of them are added. Up to half of the
    products of grade 0 are from the leaf and its lookalikes. The others are from other leaves.
    """
    pool_of = pools(products)
    for query in queries:
        leaf = query.intent.leaf
        pool = [pool_of[leaf][index] for index in rng.permutation(len(pool_of[leaf]))]
        pool_grades = grades(query.intent, pool)
        relevant = [
            index for index in np.argsort(-pool_grades, kind="stable") if pool_grades[index]
        ][:most]
        zeros = max(8, 15 - len(relevant))
        wrong = [pool[index] for index in np.flatnonzero(pool_grades == 0)[: zeros // 2]]
        wrong += [
            products[index]
            for index in rng.permutation(len(products))[: 4 * zeros]
            if products[index].leaf not in lookalikes(leaf)
        ][: zeros - len(wrong)]
        yield Judged(
            query,
            products=[pool[index] for index in relevant] + wrong,
            grades=[int(pool_grades[index]) for index in relevant] + [0] * len(wrong),
        )
