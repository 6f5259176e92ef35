"""Losses of the towers: pure functions of similarities and masks.

To train with another loss, add a function here with the signature of `InBatchLoss`, and assign it
to `IN_BATCH_LOSS` in `train/pipeline/towers.py`. No other code depends on the choice.
"""

from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float


@runtime_checkable
class InBatchLoss(Protocol):
    """A loss over the cosines of a batch of query-item pairs; pair i is element [i, i]."""

    __name__: str  # an input of the `towers` step, which runs again if the name changes

    def __call__(
        self,
        cosines: Float[Array, "batch batch"],
        log_temperature: Float[Array, ""],
        *,
        where: Bool[Array, "batch batch"],
        weights: Float[Array, " batch"],
    ) -> Float[Array, ""]:
        """Return the mean loss; see `symmetric_in_batch_softmax` for the arguments."""


def symmetric_in_batch_softmax(
    cosines: Float[Array, "batch batch"],
    log_temperature: Float[Array, ""],
    *,
    where: Bool[Array, "batch batch"],
    weights: Float[Array, " batch"],
) -> Float[Array, ""]:
    r"""Compute the in-batch softmax cross-entropy, averaged over queries and items.

    With logits l = cosine / temperature, the loss of pair i is the mean of
    -log softmax(l[i, :])[i] and -log softmax(l[:, i])[i], as in CLIP (Radford et al., 2021,
    arXiv 2103.00020). Without a mask, this is the symmetric MultipleNegativesRankingLoss of
    sentence-transformers.

    Args:
        cosines: Element [i, j] is the cosine of the query of pair i and the item of pair j.
        log_temperature: Natural logarithm of the temperature.
        where: False at [i, j] if the item of pair j is also relevant to the query of pair i. Both
            softmaxes leave out these false negatives. The diagonal always counts as True.
        weights: Weight of each pair; 0 for padding.

    Returns:
        The weighted mean over pairs; 0 where all weights are 0.
    """
    mask = where | jnp.eye(cosines.shape[0], dtype=bool)
    logits = jnp.where(mask, cosines * jnp.exp(-log_temperature), -jnp.inf)
    rows = -jnp.diagonal(jax.nn.log_softmax(logits, axis=1))
    columns = -jnp.diagonal(jax.nn.log_softmax(logits, axis=0))
    total = weights.sum()
    loss: Array = ((rows + columns) / 2 * weights).sum() / jnp.where(total > 0, total, 1.0)
    return loss
