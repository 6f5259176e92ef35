"""Stock: put results that are out of stock behind results that are in stock."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int32, Int64

from catalog.catalogue import Catalogue
from search.result import Hit
from search.rules import Adjustment, Effect

OUT_OF_STOCK = "out_of_stock"  # the name of the rule in reports


def is_out_of_stock(
    catalogue: Catalogue, rows: Int32[np.ndarray, " rows"]
) -> Bool[np.ndarray, " rows"]:
    """Return which items are out of stock. An item of unknown stock counts as in stock."""
    is_out: Bool[np.ndarray, " rows"] = catalogue.field_numbers("in_stock", rows) == 0
    return is_out


def in_stock_first(
    catalogue: Catalogue,
    rows: Int32[np.ndarray, " ranks"],
    order: Int64[np.ndarray, " order"],
    count: int,
    exact: int = 0,
) -> tuple[Int64[np.ndarray, " order"], int]:
    """Move the items out of stock behind the items in stock; both keep their order.

    Args:
        catalogue: The items.
        rows: The row of each rank.
        order: Ranks in the order of the list.
        count: Number of ranks at the beginning of `order` to which the rule applies.
        exact: Number of items that have a code of the query; the first `exact` ranks stay.

    Returns:
        The new order, and the number of the first `count` items that are out of stock.
    """
    exact = min(exact, count)
    first = order[exact:count]
    is_out = is_out_of_stock(catalogue, rows[first])
    moved = np.concatenate([order[:exact], first[~is_out], first[is_out], order[count:]])
    return moved, int(is_out.sum())


def explained(hit: Hit) -> Hit:
    """Return a hit to which the rule applied, with the effect if the hit is out of stock."""
    if hit.item is None or hit.item.in_stock is not False:
        return hit
    effect = Adjustment(OUT_OF_STOCK, Effect.OUT_OF_STOCK)
    return replace(hit, adjustments=(*hit.adjustments, effect))
