"""Plans of training batches, made before training starts, and packing of the batches."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from base.errors import InputError
from bert.batch import Packed
from bert.packing import pack, rows_needed
from bert.tokens import Tokenised

# Minimum number of tokens of a packed row. Longer rows save little padding and cost more attention:
# with 128 tokens, a training step on Home Depot's pairs takes 8% longer.
_ROW_TOKENS = 64


def shuffled_plan(
    examples: int, batch: int, *, epochs: int, seed: int
) -> list[Int64[np.ndarray, "batch"]]:
    """Plan the example numbers of every batch of a run, shuffled anew each epoch.

    An incomplete last batch of an epoch is dropped. If there are fewer examples than a batch needs,
    examples are repeated to fill it.

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
    """Plan batches like `shuffled_plan`, but compose them of groups of similar examples.

    With in-batch negatives, the examples of a group are each other's hard negatives, at no extra
    cost (topic-aware sampling, Hofstätter et al., 2021, arXiv 2104.06967). The groups are the
    leaves of a random projection tree (Dasgupta and Freund, 2008), drawn anew each epoch.

    Args:
        vectors: Vectors that define similarity.
        batch: Number of examples in a batch.
        group: Number of examples in a group; 1 only shuffles.
        epochs: Number of passes over the examples.
        seed: Seed of the groups and of their order.

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
    numbers: Int64[np.ndarray, "subset"],
    size: int,
    random: np.random.Generator,
) -> list[Int64[np.ndarray, "_"]]:
    """Divide examples into groups of at most `size`, by halving them recursively.

    Each step sorts the examples along the line through two random ones, and cuts near the middle.
    """
    if len(numbers) <= size:
        return [numbers]
    first, second = vectors[random.choice(numbers, 2, replace=False)]
    order = np.argsort(vectors[numbers] @ (first - second), kind="stable")
    half = max(1, len(numbers) // 2 // size) * size
    return [
        leaf
        for part in (numbers[order[:half]], numbers[order[half:]])
        for leaf in _groups(vectors, part, size, random)
    ]


@dataclass(frozen=True)
class Packer:
    """Packs batches of texts into one shape, in which every batch of a plan fits.

    The whole plan is known before training, so the whole run needs only one compiled step.
    """

    tokenised: Tokenised  # all texts
    rows: int  # number of rows in every batch
    length: int  # number of tokens in every row
    # number of texts in every batch, reached by adding empty texts; None adds no texts
    count: int | None = None

    @classmethod
    def fitting(
        cls, tokenised: Tokenised, batches: Sequence[Int64[np.ndarray, "_"]], *, devices: int
    ) -> "Packer":
        """Make a packer of the smallest shape that fits all batches and is divisible by `devices`.

        Every batch is padded to the number of texts of the largest batch, rounded up to a multiple
        of `devices`.
        """
        length = max(_ROW_TOKENS, int(tokenised.lengths.max(initial=1)))
        rows = max(rows_needed(tokenised.lengths[batch], length) for batch in batches)
        count = max(len(batch) for batch in batches)
        return cls(tokenised, _round_up(rows, devices), length, _round_up(count, devices))

    def __call__(self, texts: Int64[np.ndarray, "texts"]) -> Packed:
        """Pack one batch."""
        return pack(self.tokenised, texts, rows=self.rows, length=self.length, count=self.count)


def _round_up(number: int, devices: int) -> int:
    """Round a number up to a multiple of the number of devices."""
    return -(-number // devices) * devices
