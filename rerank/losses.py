"""Ranking losses of the reranker: pure functions over the last axis with a `where` mask."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float


def weighted_listwise_softmax(
    scores: Float[Array, "*lists items"],
    gains: Float[Array, "*lists items"],
    *,
    where: Bool[Array, "*lists items"],
    weights: Float[Array, "*lists items"],
) -> Float[Array, ""]:
    r"""Cross-entropy between normalised gains and the softmax of scores, with weighted items.

    The loss of a list is -sum_i p_i log(w_i exp(s_i) / sum_j w_j exp(s_j)), where p is the list's
    gains over their sum. If all weights are 1, this is ListNet's top-one loss (Cao et al., 2007)
    with linear gains, which rax's `softmax_loss` computes. A weight below 1 shrinks an item's term
    in the denominator, so the item counts as a fraction of a negative.

    Args:
        scores: Logits.
        gains: At least 0; an item with gain 0 is a negative.
        where: False for padding.
        weights: Above 0. The weight of a negative is the confidence that the item is not relevant.

    Returns:
        The mean over lists with a gain above 0; 0 if there is no such list.
    """
    logits = jnp.where(where, scores + jnp.log(weights), -jnp.inf)
    log_shares = jnp.where(where, jax.nn.log_softmax(logits, axis=-1), 0.0)
    gains = jnp.where(where, gains, 0.0)
    total = gains.sum(axis=-1)
    losses = -(gains * log_shares).sum(axis=-1) / jnp.where(total > 0, total, 1.0)
    counted = (total > 0).sum()
    return losses.sum() / jnp.maximum(counted, 1)


def pairwise_logistic(
    scores: Float[Array, "*lists items"],
    gains: Float[Array, "*lists items"],
    *,
    where: Bool[Array, "*lists items"],
) -> Float[Array, ""]:
    r"""Logistic loss of all pairs of items with different gains, weighted by the difference.

    A pair is two items i and j of one list with d = g_i - g_j > 0. The loss is the sum of
    d log(1 + exp(s_j - s_i)) over all pairs of all lists, divided by the sum of d. This is RankNet
    (Burges et al., 2005) with weighted pairs.

    Args:
        scores: Logits.
        gains: Any numbers; higher for better items.
        where: False for items that belong to no pair.

    Returns:
        The weighted mean over pairs; 0 if there is no pair.
    """
    gaps = gains[..., :, None] - gains[..., None, :]
    both = where[..., :, None] & where[..., None, :]
    weights = jnp.where(both & (gaps > 0), gaps, 0.0)
    losses = jax.nn.softplus(scores[..., None, :] - scores[..., :, None])
    total = weights.sum()
    loss: Array = (weights * losses).sum() / jnp.where(total > 0, total, 1.0)
    return loss
