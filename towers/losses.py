"""Losses of the towers: pure functions of similarities and masks.

To add a loss, write a function here that is an `InBatchLoss`, and name it as `IN_BATCH_LOSS` in
`train/pipeline/towers.py`. Nothing else knows which loss is trained with.
"""

from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float


@runtime_checkable
class InBatchLoss(Protocol):
    """A loss over the cosines of a batch of query-item pairs, pair i on the diagonal."""

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
    r"""Cross-entropy of each query among the batch's items, and of each item among its queries.

    With logits l = cosine / temperature and pair i on the diagonal, the loss of pair i is the mean
    of -log softmax(l[i, :])[i] and -log softmax(l[:, i])[i], as in CLIP (Radford et al., 2021,
    arXiv 2103.00020). Without masks it is sentence-transformers' symmetric
    MultipleNegativesRankingLoss.

    Args:
        cosines: Query i (rows) against the item of pair j (columns).
        log_temperature: Natural logarithm of the temperature.
        where: False for a false negative: query i likes item j of another pair. Both softmaxes
            leave out such a logit. The diagonal counts as True.
        weights: Weight of each pair; padding weighs 0.

    Returns:
        The weighted mean over pairs; 0 where all weights are 0.
    """
    kept = where | jnp.eye(cosines.shape[0], dtype=bool)
    logits = jnp.where(kept, cosines * jnp.exp(-log_temperature), -jnp.inf)
    rows = -jnp.diagonal(jax.nn.log_softmax(logits, axis=1))
    columns = -jnp.diagonal(jax.nn.log_softmax(logits, axis=0))
    total = weights.sum()
    loss: Array = ((rows + columns) / 2 * weights).sum() / jnp.where(total > 0, total, 1.0)
    return loss
