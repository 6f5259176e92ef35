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
    r"""Cross-entropy between normalised gains and the softmax of scores, item by item weighted.

    The loss of a list is -sum_i p_i log(w_i exp(s_i) / sum_j w_j exp(s_j)), where p is the list's
    gains over their sum: ListNet's top-one loss (Cao et al., 2007) with linear gains, as rax's
    `softmax_loss` computes it where all weights are 1. A weight below 1 shrinks an item's part in
    the sum below the line: it then counts as so much of a negative.

    Args:
        scores: Logits.
        gains: Not negative; an item without gain is a negative.
        where: False for padding.
        weights: Above 0; of a negative, how far it is believed to be one.

    Returns:
        The mean over lists with any gain; 0 where there is none.
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
    r"""Logistic loss of every two items of a list that differ in gain, weighted by the gap.

    With d = g_i - g_j > 0, the loss is the sum of d log(1 + exp(s_j - s_i)) over all such pairs of
    all lists, over the sum of d: RankNet (Burges et al., 2005) with each pair weighted by its gap.

    Args:
        scores: Logits.
        gains: Any numbers that are higher for better items.
        where: False for items that are to be in no pair.

    Returns:
        The weighted mean over pairs; 0 where there is none.
    """
    gaps = gains[..., :, None] - gains[..., None, :]
    both = where[..., :, None] & where[..., None, :]
    weights = jnp.where(both & (gaps > 0), gaps, 0.0)
    losses = jax.nn.softplus(scores[..., None, :] - scores[..., :, None])
    total = weights.sum()
    loss: Array = (weights * losses).sum() / jnp.where(total > 0, total, 1.0)
    return loss
