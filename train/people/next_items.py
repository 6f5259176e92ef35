"""Training pairs of the item tower from what people did: an item, and the person's next item.

Both items of a pair are read by the item tower. So items that people have one after the other get
near vectors, which is what the channel `history` and the user tower build on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64

from base.errors import InputError
from bert.batch import Packed
from bert.tokens import Tokenised
from catalog.equal_rows import first_of_equals
from catalog.events import EVENT_TYPES
from train.data.batches import Packer, shuffled_plan
from train.data.relevance import EVENT_GRADES
from train.people.dataset import People


class ItemPairBatch(NamedTuple):
    """The inputs of one training step on pairs of items: `packed` has all first items, then all
    next items.
    """

    packed: Packed
    where: Bool[np.ndarray, "batch batch"]
    weights: Float32[np.ndarray, "batch"]
    # logarithms of the shares of the item and of the next item in all pairs, added up
    log_shares: Float32[np.ndarray, "batch batch"]


@dataclass(frozen=True)
class NextItems:
    """Pairs of an item and the same person's next item.

    Items with the same text count as one item.

    Attributes:
        items: Tokens of each item of the dataset.
        item: First item of each pair.
        next: Next item of each pair.
        weight: Weight of each pair: the grade of the next event divided by that of a purchase.
        log_share: Logarithm of each item's share in the items of all pairs; -inf without pairs.
        known: Sorted codes of all pairs, and of each item with itself: `item * items + next`.
    """

    items: Tokenised
    item: Int64[np.ndarray, "pairs"]
    next: Int64[np.ndarray, "pairs"]
    weight: Float32[np.ndarray, "pairs"]
    log_share: Float32[np.ndarray, "items"]
    known: Int64[np.ndarray, "codes"]

    @classmethod
    def of(cls, people: People, texts: Sequence[str], items: Tokenised) -> "NextItems":
        """Pair the consecutive events of each person, if their items have different texts.

        Args:
            people: The people and their events.
            texts: Text of each item.
            items: Tokens of each item.

        Raises:
            InputError: there is no such pair.
        """
        events = people.interactions
        row = first_of_equals(texts)[events.item]
        paired = np.flatnonzero((events.user[1:] == events.user[:-1]) & (row[1:] != row[:-1]))
        if not len(paired):
            raise InputError("no person has events with two different items")
        first, following = row[paired], row[paired + 1]
        grades = np.array([EVENT_GRADES.get(name, 0.0) for name in EVENT_TYPES], np.float32)
        counts = np.bincount(np.concatenate([first, following]), minlength=len(texts))
        with np.errstate(divide="ignore"):
            log_share = np.log(counts / counts.sum()).astype(np.float32)
        codes, every = first * np.int64(len(texts)) + following, np.arange(len(texts))
        return cls(
            items,
            first,
            following,
            grades[events.type[paired + 1]] / np.float32(EVENT_GRADES["purchase"]),
            log_share,
            np.unique(np.concatenate([codes, every * np.int64(len(texts)) + every])),
        )

    def __len__(self) -> int:
        return len(self.item)

    def plan(self, batch: int, steps: int, seed: int) -> list[Int64[np.ndarray, "batch"]]:
        """Draw the pairs of each training step."""
        epochs = -(-steps // max(1, len(self) // batch))
        return shuffled_plan(len(self), batch, epochs=epochs, seed=seed)[:steps]

    def loader(
        self, plan: Sequence[Int64[np.ndarray, "batch"]], *, devices: int
    ) -> Callable[[Int64[np.ndarray, "batch"]], ItemPairBatch]:
        """Return a function that makes the inputs of a training step from a batch of `plan`."""

        def both(pairs: Int64[np.ndarray, "batch"]) -> Int64[np.ndarray, "texts"]:
            return np.concatenate([self.item[pairs], self.next[pairs]])

        packer = Packer.fitting(self.items, [both(pairs) for pairs in plan], devices=devices)

        def load(pairs: Int64[np.ndarray, "batch"]) -> ItemPairBatch:
            first, following = self.item[pairs][:, None], self.next[pairs]
            codes = first * np.int64(len(self.items)) + following
            positions = np.minimum(np.searchsorted(self.known, codes), len(self.known) - 1)
            return ItemPairBatch(
                packer(both(pairs)),
                self.known[positions] != codes,
                self.weight[pairs],
                self.log_share[first] + self.log_share[following],
            )

        return load


def interleaved(
    plan: Sequence[Int64[np.ndarray, "batch"]], others: Sequence[Int64[np.ndarray, "batch"]]
) -> list[Int64[np.ndarray, "batch"]]:
    """Spread the batches of `others` evenly over a plan; both keep their order."""
    batches, place = list(plan), len(plan) / max(1, len(others))
    for number in range(len(others) - 1, -1, -1):
        batches.insert(round((number + 0.5) * place), others[number])
    return batches
