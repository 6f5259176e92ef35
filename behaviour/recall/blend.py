"""The blend of the channels: weights that differ by how many actions of the user are known."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int
from scipy import optimize

from base.errors import InputError
from base.untrusted.small_files import read_object

# The first number of actions of each group of users: 0, 1, 2 to 5, 6 or more.
GROUPS = (0, 1, 2, 6)
_FILE = "blend.json"
# Penalties of squared weights, in the unit of the loss. The second one binds a group's weights to
# the weights of all users, so that a group of few examples stays near these.
_PENALTY, _BINDING = 1e-3, 1e-3


@dataclass(frozen=True)
class Lists:
    """Lists of candidates to learn weights from.

    Attributes:
        scores: Scores of each candidate by each channel.
        targets: Whether each candidate is right.
        where: False for padding.
        actions: Number of known actions of each list's user.
    """

    scores: Float32[np.ndarray, "lists candidates channels"]
    targets: Bool[np.ndarray, "lists candidates"]
    where: Bool[np.ndarray, "lists candidates"]
    actions: Int[np.ndarray, " lists"]


@dataclass(frozen=True)
class Blend:
    """Weights of channels; the score of an item is the weighted sum of its channels' scores.

    Attributes:
        channels: Names of the channels.
        weights: The weights of each group of users; see `GROUPS`.
    """

    channels: tuple[str, ...]
    weights: Float32[np.ndarray, "groups channels"]

    @classmethod
    def fit(cls, channels: Sequence[str], examples: Sequence[Lists]) -> "Blend":
        """Fit the weights by the listwise softmax of the right items; convex in the weights.

        The loss of a list is the cross-entropy between the softmax of the blended scores and equal
        shares of the right items. First all lists give common weights. Then the lists of each group
        give the group's own weights, which a penalty keeps near the common ones. Lists without a
        right item count nothing.
        """
        start = np.zeros(len(channels))
        common = _minimise(examples, start, _PENALTY, None)
        weights = []
        for group in range(len(GROUPS)):
            own = [_only(lists, group_of(lists.actions) == group) for lists in examples]
            weights.append(_minimise(own, common, _BINDING, common))
        return cls(tuple(channels), np.array(weights, np.float32))

    def scores(
        self,
        scores: Float32[np.ndarray, "users candidates channels"],
        actions: Int[np.ndarray, " users"],
    ) -> Float32[np.ndarray, "users candidates"]:
        """Blend the scores of the channels for users with a number of known actions each."""
        weights = self.weights[group_of(actions)]
        return np.asarray(np.einsum("ulc,uc->ul", scores, weights), np.float32)

    def save(self, directory: Path) -> None:
        """Write the weights to an existing directory."""
        content = {"channels": self.channels, "groups": GROUPS, "weights": self.weights.tolist()}
        (directory / _FILE).write_text(json.dumps(content) + "\n")

    @classmethod
    def open(cls, directory: Path, channels: Sequence[str]) -> "Blend":
        """Open the weights of some channels.

        Raises:
            InputError: the file is missing or damaged, or has weights of other channels or groups.
        """
        path = directory / _FILE
        try:
            content = read_object(path)
            if (content["channels"], content["groups"]) != (list(channels), list(GROUPS)):
                raise ValueError("it has other channels or groups")
            weights = np.array(content["weights"], np.float32)
            if weights.shape != (len(GROUPS), len(channels)) or not np.isfinite(weights).all():
                raise ValueError("its weights are no matrix of groups and channels")
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path} cannot be read: {error}; train again") from error
        return cls(tuple(channels), weights)


def group_of(actions: Int[np.ndarray, " users"]) -> Int[np.ndarray, " users"]:
    """Return the index in `GROUPS` of each user with a number of known actions."""
    return np.searchsorted(GROUPS, actions, side="right") - 1


def _only(lists: Lists, chosen: Bool[np.ndarray, " lists"]) -> Lists:
    return Lists(
        lists.scores[chosen], lists.targets[chosen], lists.where[chosen], lists.actions[chosen]
    )


def _minimise(
    examples: Sequence[Lists],
    start: Float64[np.ndarray, " channels"],
    penalty: float,
    centre: Float64[np.ndarray, " channels"] | None,
) -> Float64[np.ndarray, " channels"]:
    """Minimise the mean loss plus the penalty of the squared distance from the centre."""
    used = [_only(lists, (lists.targets & lists.where).any(axis=1)) for lists in examples]
    count = sum(len(lists.actions) for lists in used)
    if not count:
        return start
    middle = np.zeros_like(start) if centre is None else centre

    def loss(weights: Float64[np.ndarray, " channels"]) -> tuple[float, np.ndarray]:
        total, gradient = 0.0, np.zeros_like(weights)
        for lists in used:
            one, slope = _loss(lists, weights)
            total, gradient = total + one, gradient + slope
        away = weights - middle
        return total / count + penalty * away @ away, gradient / count + 2 * penalty * away

    return np.asarray(optimize.minimize(loss, start, jac=True, method="L-BFGS-B").x)


def _loss(
    lists: Lists, weights: Float64[np.ndarray, " channels"]
) -> tuple[float, Float64[np.ndarray, " channels"]]:
    """Return the sum of the lists' losses, and its gradient."""
    logits = np.where(lists.where, lists.scores @ weights.astype(np.float32), -np.inf)
    logits -= logits.max(axis=1, keepdims=True, initial=-1e9)
    shares = np.exp(logits)
    total = shares.sum(axis=1, keepdims=True)
    right = lists.targets & lists.where
    wanted = right / right.sum(axis=1, keepdims=True)
    logs = np.where(right, logits - np.log(total), 0)
    error = (shares / total - wanted).astype(np.float32)
    gradient = np.einsum("ul,ulc->c", error, lists.scores, optimize=True)
    return -float((wanted * logs).sum()), gradient.astype(np.float64)
