"""The order of training examples, decided before training starts, and packed batches."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from base.errors import InputError
from bert.batch import Packed
from bert.packing import pack, rows_needed
from bert.tokens import Tokenised

# Tokens in a row that texts are packed into, at least. Longer rows waste hardly less and attend to
# more: at 128, a step of Home Depot's pairs takes 8% longer.
_ROW_TOKENS = 64


def shuffled_plan(
    examples: int, batch: int, *, epochs: int, seed: int
) -> list[Int64[np.ndarray, "batch"]]:
    """Example numbers of every batch of a run, shuffled anew each epoch.

    The last, smaller batch of an epoch is left out; its examples come in the next shuffle. Fewer
    examples than one batch are repeated to fill it.

    Raises:
        InputError: a batch would be empty.
    """
    if batch < 1:
        raise InputError(f"the batch is {batch}; give 1 or more")
    random = np.random.default_rng(seed)
    if examples < batch:
        return [np.resize(random.permutation(examples), batch) for _ in range(epochs)]
    plan: list[Int64[np.ndarray, "batch"]] = []
    for _ in range(epochs):
        order = random.permutation(examples)
        plan += [order[i : i + batch] for i in range(0, examples - batch + 1, batch)]
    return plan


def grouped_plan(
    vectors: Float32[np.ndarray, "examples dim"],
    batch: int,
    group: int,
    *,
    epochs: int,
    seed: int,
) -> list[Int64[np.ndarray, "batch"]]:
    """As `shuffled_plan`, but with batches made of groups of similar examples.

    With in-batch negatives, examples that stand together are each other's hard negatives at no
    cost (topic-aware sampling, Hofstätter et al., 2021, arXiv 2104.06967). The groups are the
    leaves of a random projection tree (Dasgupta and Freund, 2008), drawn anew each epoch.

    Args:
        vectors: What examples are similar by.
        batch: Examples of a batch.
        group: Examples of a group; 1 shuffles alone.
        epochs: Passes over the examples.
        seed: Decides groups and order.

    Raises:
        InputError: a batch or a group would be empty.
    """
    if group < 1:
        raise InputError(f"the group is {group}; give 1 or more")
    if group == 1 or len(vectors) < batch:
        return shuffled_plan(len(vectors), batch, epochs=epochs, seed=seed)
    if batch < 1:
        raise InputError(f"the batch is {batch}; give 1 or more")
    random = np.random.default_rng(seed)
    plan: list[Int64[np.ndarray, "batch"]] = []
    for _ in range(epochs):
        groups = _groups(vectors, random.permutation(len(vectors)), group, random)
        order = np.concatenate([groups[number] for number in random.permutation(len(groups))])
        plan += [order[i : i + batch] for i in range(0, len(order) - batch + 1, batch)]
    return plan


def _groups(
    vectors: Float32[np.ndarray, "examples dim"],
    numbers: Int64[np.ndarray, "some"],
    size: int,
    random: np.random.Generator,
) -> list[Int64[np.ndarray, "_"]]:
    """Examples cut in halves along the line between two of them, until `size` or less are left."""
    if len(numbers) <= size:
        return [numbers]
    one, other = vectors[random.choice(numbers, 2, replace=False)]
    order = np.argsort(vectors[numbers] @ (one - other), kind="stable")
    half = max(1, len(numbers) // 2 // size) * size
    return [
        leaf
        for part in (numbers[order[:half]], numbers[order[half:]])
        for leaf in _groups(vectors, part, size, random)
    ]


@dataclass(frozen=True)
class Packer:
    """Packs batches of texts into one shape that holds every batch of a plan.

    The plan is known before training starts, so one compiled step serves the whole run.
    """

    tokenised: Tokenised  # all texts
    rows: int  # rows of every batch
    length: int  # tokens of every row
    count: int | None = None  # texts that every batch is said to have; its own number by default

    @classmethod
    def fitting(
        cls, tokenised: Tokenised, batches: Sequence[Int64[np.ndarray, "_"]], *, devices: int
    ) -> "Packer":
        """The smallest shape that holds all batches, in rows that `devices` can share evenly.

        Batches of different sizes are all said to have as many texts as the largest, or a few more
        for `devices` to share them evenly too.
        """
        length = max(_ROW_TOKENS, int(tokenised.lengths.max(initial=1)))
        rows = max(rows_needed(tokenised.lengths[batch], length) for batch in batches)
        count = max(len(batch) for batch in batches)
        return cls(tokenised, _even(rows, devices), length, _even(count, devices))

    def __call__(self, texts: Int64[np.ndarray, "texts"]) -> Packed:
        """Pack one batch."""
        return pack(self.tokenised, texts, rows=self.rows, length=self.length, count=self.count)


def _even(number: int, devices: int) -> int:
    """The number rounded up to what devices can share evenly."""
    return -(-number // devices) * devices
