"""The policy of exploration, and the exact probability of each of its choices.

The list is divided into blocks of B = ceil(1 / share) positions. In each block, one position j of
1 … B, each as likely as the others, explores: an item after the j-th is drawn, with probabilities
in proportion to the weights w of the items, and swaps its position with the item at j. All other
items keep their positions. With the items numbered 1, 2, … from the first of the block, and

    tail(j) = Σ_{i > j} w_i

position k of the block shows

- item q > k with probability w_q / (B · tail(k)): it was drawn for this position
- item q < k with probability w_k / (B · tail(q)): item k was drawn for position q
- item k otherwise: with probability 1 - 1 / B - Σ_{j < k} w_k / (B · tail(j))

A position j with tail(j) = 0 does not explore; its terms are 0. These probabilities are those of
the block, given the blocks before it. Every item of positive weight can stand at every position of
the block, so that events of one order say something about every other order.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from catalog.events import MIN_PROPENSITY

_SMALLEST_SHARE = 1e-9  # of positions; a smaller share counts as this share


@dataclass(frozen=True)
class Explored:
    """The first positions of a list with exploration.

    Attributes:
        order: For each position, the index of its item in the list without exploration.
        exploring: Whether the position shows an item that was drawn for it.
        propensity: The probability of the item at the position, given the earlier blocks.
    """

    order: Int64[np.ndarray, " positions"]
    exploring: Bool[np.ndarray, " positions"]
    propensity: Float64[np.ndarray, " positions"]


def explore(
    weights: Float64[np.ndarray, " items"], share: float, rng: np.random.Generator, count: int
) -> Explored:
    """Explore in a list.

    Args:
        weights: The weight of each item of the list in a draw; 0: the item is never drawn.
        share: The largest share of positions that explore: above 0, at most 1.
        rng: Draws the exploring positions and their items.
        count: Number of positions to fill. The last block is filled up.
    """
    block = block_size(share)
    order, filled = np.arange(len(weights)), min(count, len(weights))
    filled = min(math.ceil(filled / block) * block, len(weights))
    exploring, propensity = np.zeros(filled, np.bool_), np.ones(filled)
    for start in range(0, filled, block):
        of_block = weights[order[start:]]
        tails = np.append(np.cumsum(of_block[::-1])[::-1], 0.0)[1:]  # tails[i]: the sum after i
        position, chance = int(rng.integers(block)), float(rng.random())
        drawn = _drawn(of_block, position, chance)
        items = np.arange(min(block, filled - start))
        if drawn is not None:
            swapped = [start + position, start + drawn]
            order[swapped] = order[swapped[::-1]]
            exploring[start + position] = True
            items[position] = drawn
            if drawn < len(items):
                items[drawn] = position
        propensity[start : start + len(items)] = _propensities(of_block, tails, items, block)
    return Explored(order[:filled], exploring, propensity)


def block_size(share: float) -> int:
    """Return the length of blocks in which one position is a share of all positions, or less."""
    return math.ceil(1 / max(share, _SMALLEST_SHARE) - 1e-9)  # 1 / 0.1 is 10 in spite of rounding


def _drawn(weights: Float64[np.ndarray, " items"], position: int, chance: float) -> int | None:
    """Return the item that is drawn for a position; None: there is none to draw."""
    sums = np.cumsum(weights[position + 1 :])
    if not len(sums) or sums[-1] <= 0:
        return None
    return position + 1 + int(np.searchsorted(sums, chance * sums[-1], side="right"))


def _propensities(
    weights: Float64[np.ndarray, " items"],
    tails: Float64[np.ndarray, " items"],
    items: Int64[np.ndarray, " positions"],
    block: int,
) -> Float64[np.ndarray, " positions"]:
    """Return the probability of each item of a block at its position, in the module's formulas."""
    inverse = np.divide(1 / block, tails, out=np.zeros_like(tails), where=tails > 0)
    positions = np.arange(len(items))
    higher, lower = np.minimum(positions, items), np.maximum(positions, items)
    before = np.cumsum(inverse) - inverse
    stays = 1 - (tails[positions] > 0) / block - weights[positions] * before[positions]
    chances = np.where(positions == items, stays, weights[lower] * inverse[higher])
    return np.asarray(np.clip(chances, MIN_PROPENSITY, 1.0))
