"""The cases of an evaluation of recommendations: who is asked for, what is known, what is right.

All cases split by time. A random split of baskets would let models read the season of the test.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Int
from scipy import sparse

from behaviour.interactions import SECONDS_PER_DAY, Interactions


@dataclass(frozen=True)
class Case:
    """One question to recommenders, for a batch of users.

    Attributes:
        now: The time of the question, in seconds since 1970.
        past: The events before `now` that models may read.
        histories: The events that are known of each user of the batch.
        targets: The right items, as a users × items matrix.
        excluded: Items that are not ranked, as a users × items matrix; None ranks all items.
    """

    now: int
    past: Interactions
    histories: Interactions
    targets: sparse.csr_matrix
    excluded: sparse.csr_matrix | None = None

    def of_users(self, users: Int[np.ndarray, " batch"]) -> "Case":
        """Return the questions for some users of the batch."""
        return replace(
            self,
            histories=self.histories.of_users(users),
            targets=self.targets[users],
            excluded=None if self.excluded is None else self.excluded[users],
        )

    def masked(
        self, scores: Float32[np.ndarray, "users items"]
    ) -> Float32[np.ndarray, "users items"]:
        """Return a copy of a score matrix in which excluded items have the score -inf."""
        scores = scores.copy()
        if self.excluded is not None:
            scores[self.excluded.nonzero()] = -np.inf
        return scores


def window_case(
    events: Interactions, cut: int, days: int, *, first_basket: bool, new_items: bool
) -> Case:
    """Ask for what users with a history buy in the days after a cut.

    Args:
        events: The purchases of all users.
        cut: Seconds since 1970. Models may read events before the cut.
        days: Length of the window after the cut.
        first_basket: Whether only the first session of each user in the window counts.
        new_items: Whether items that the user bought before are neither ranked nor right.
    """
    past = events.before(cut)
    window = events.since(cut).before(cut + days * SECONDS_PER_DAY)
    users = np.intersect1d(past.user, window.user)
    histories, later = past.of_users(users), window.of_users(users)
    if first_basket:
        later = first_sessions(later)
    targets, owned = _pairs(later), _pairs(histories)
    if new_items:
        targets = targets - targets.multiply(owned)
        targets.eliminate_zeros()
    return Case(cut, past, histories, targets.tocsr(), owned if new_items else None)


def cold_item_case(case: Case, withheld: Bool[np.ndarray, " items"]) -> Case:
    """Ask only for withheld items, of which models and histories know no event."""
    keep = sparse.diags(withheld.astype(np.float32))
    return replace(
        case,
        past=case.past.select(~withheld[case.past.item]),
        histories=case.histories.select(~withheld[case.histories.item]),
        targets=_nonzero(case.targets @ keep),
    )


def withheld_items(item_ids: Sequence[str], share: float) -> Bool[np.ndarray, " items"]:
    """Choose a share of the items by a hash of their ids."""
    digests = (hashlib.sha256(item_id.encode()).digest()[:8] for item_id in item_ids)
    limit = int(share * 2**64)
    return np.array([int.from_bytes(digest, "big") < limit for digest in digests])


def cold_user_cases(
    events: Interactions, cut: int, days: int, shown: Iterable[int], seed: int
) -> list[Case]:
    """Ask for the rest of a new user's first basket, once for each number of shown items.

    The users and targets of all cases are the same: users without an event before the cut, and the
    items of their first basket but for the items that the last case shows. The items of a basket
    have no order, so a seed chooses the shown items.
    """
    past = events.before(cut)
    window = events.since(cut).before(cut + days * SECONDS_PER_DAY)
    new = np.setdiff1d(window.user, past.user)
    baskets = first_sessions(window.of_users(new))
    order = np.lexsort((np.random.default_rng(seed).random(len(baskets)), baskets.user))
    place = np.empty(len(baskets), np.int64)
    place[order] = np.arange(len(baskets)) - baskets.starts[baskets.user[order]]
    shown = sorted(shown)
    targets = _pairs(baskets.select(place >= shown[-1]))
    return [
        Case(cut, past, given, targets, _pairs(given))
        for given in (baskets.select(place < count) for count in shown)
    ]


def leave_one_out_case(events: Interactions, back: int) -> Case:
    """Ask for one event of each user's sequence, and let models read all earlier events.

    Args:
        events: Sequences; the times of a user's events are 0, 1, 2, ….
        back: 0 asks for the last event, 1 for the event before the last.
    """
    starts = events.starts
    place = starts[events.user + 1] - 1 - np.arange(len(events))
    past = events.select(place > back)
    now = int(events.time.max()) + 1
    excluded = _pairs(past)
    targets = _pairs(events.select(place == back))
    targets = _nonzero(targets - targets.multiply(excluded))
    return Case(now, past, past, targets, excluded)


def first_sessions(events: Interactions) -> Interactions:
    """Return only the events of each user's first session."""
    starts = events.starts
    first = events.session[np.minimum(starts[:-1], max(len(events) - 1, 0))]
    return events.select(events.session == first[events.user])


def _pairs(events: Interactions) -> sparse.csr_matrix:
    matrix = events.matrix()
    matrix.data[:] = 1
    return matrix


def _nonzero(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    matrix = matrix.tocsr()
    matrix.eliminate_zeros()
    return matrix
