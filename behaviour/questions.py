"""Preference questions: which items to show a new person, so that the answers say the most.

The taste of a person is taken to be one of the popular items, with its share of all events as the
probability p_t. A person with taste t says yes to item q with probability a_tq. The answers to the
chosen items are independent given the taste, so their information about the taste is

    I = H(answers) - sum_t p_t sum_q h(a_tq)

in bits, where h is the entropy of one answer. Items are chosen one after the other, each to add the
most information. This greedy choice reaches at least 1 - 1/e of the best set, because the
information of independent answers is submodular (Krause and Guestrin, UAI 2005).
"""

import numpy as np
from jaxtyping import Float64

_NOISE = 0.02  # probability of an answer that says nothing about the taste
MAX_QUESTIONS = 12  # the joint distribution of the answers has 2 to the power of this many values


def choose_questions(
    shares: Float64[np.ndarray, " items"],
    affinity: Float64[np.ndarray, "items items"],
    count: int,
) -> list[tuple[int, float]]:
    """Choose the items whose answers say the most about the taste of a person.

    Args:
        shares: The popularity of each item; not negative, and not all 0.
        affinity: How much a person with the taste of the row likes the item of the column, from 0
            to 1.
        count: Maximum number of items, at most MAX_QUESTIONS.

    Returns:
        The chosen items, each with the information that it adds, in bits. The order is that of the
        choice. Of items that add the same, the one with the lower index is chosen. Items that add
        nothing are left out.
    """
    prior = shares / shares.sum()
    yes = _NOISE + (1 - 2 * _NOISE) * np.clip(affinity, 0, 1)
    unsure = prior @ _entropy(yes)  # expected entropy of each answer, given the taste
    patterns = np.ones((len(prior), 1))  # probability of each pattern of answers, given the taste
    chosen: list[tuple[int, float]] = []
    total = 0.0
    for _ in range(min(count, MAX_QUESTIONS, len(prior))):
        joint = (prior[:, None] * patterns).T
        with_yes, all_ = joint @ yes, joint.sum(axis=1, keepdims=True)
        entropy = -(_plogp(with_yes) + _plogp(all_ - with_yes)).sum(axis=0)
        spent = sum(unsure[item] for item, _ in chosen)
        information = entropy - unsure - spent
        information[[item for item, _ in chosen]] = -np.inf
        best = int(np.argmax(np.round(information, 9)))
        added = float(information[best] - total)
        if added < 1e-6:
            break
        chosen.append((best, added))
        total = float(information[best])
        answer = yes[:, [best]]
        patterns = np.concatenate([patterns * answer, patterns * (1 - answer)], axis=1)
    return chosen


def _entropy(
    probability: Float64[np.ndarray, "items items"],
) -> Float64[np.ndarray, "items items"]:
    return np.asarray(-(_plogp(probability) + _plogp(1 - probability)))


def _plogp(values: Float64[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """Return x · log2(x), and 0 for x = 0."""
    positive = np.maximum(values, 1e-300)
    return np.asarray(values * np.log2(positive))
