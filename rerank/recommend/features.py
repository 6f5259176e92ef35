"""Features of candidates for a user at a moment, as one matrix for the ranker.

Every feature of a candidate depends only on the history, the item and the moment, never on the
other candidates. All counts are counts before `now`, so no feature can read its own outcome.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, Int, Int32

from behaviour.interactions import SECONDS_PER_DAY, Interactions
from behaviour.models.popularity import Popularity

_NEVER_DAYS = 999.0  # days since an event that never happened
_WEEK, _MONTH = 7.0, 28.0


@dataclass(frozen=True)
class Candidates:
    """The candidates of a batch of users, and the data that their features are computed from.

    Attributes:
        histories: The history of each user.
        now: The moment, in seconds since 1970.
        rows: Item row of each candidate; negative for padding.
        channel_scores: The channels' scores of each candidate.
        recall_scores: The blended score of each candidate.
        popularity: Counts of the items before `now`.
        prices: Price of each item of the catalogue; NaN if missing.
    """

    histories: Interactions
    now: int
    rows: Int32[np.ndarray, "users candidates"]
    channel_scores: Float32[np.ndarray, "users candidates channels"]
    recall_scores: Float32[np.ndarray, "users candidates"]
    popularity: Popularity
    prices: Float32[np.ndarray, " items"]

    def first(self, count: int) -> "Candidates":
        """Return the first `count` candidates of each user."""
        return replace(
            self,
            rows=self.rows[:, :count],
            channel_scores=self.channel_scores[:, :count],
            recall_scores=self.recall_scores[:, :count],
        )

    def of_users(self, users: Int[np.ndarray, " batch"]) -> "Candidates":
        """Return the candidates of some users."""
        return replace(
            self,
            histories=self.histories.of_users(users),
            rows=self.rows[users],
            channel_scores=self.channel_scores[users],
            recall_scores=self.recall_scores[users],
        )


def feature_names(channels: Sequence[str], windows_days: Sequence[float]) -> tuple[str, ...]:
    """Return the names of the features, in the order of `candidate_features`."""
    windows = tuple(f"sold_{days:g}_days" for days in windows_days)
    item = (*windows, "trend", "days_since_first_sold", "days_since_last_sold", "price")
    own = ("price_against_history", "own_count", "days_since_own")
    user = ("history_events", "history_sessions", "days_since_history", "history_price")
    return (*channels, "recall", *item, *own, *user)


def candidate_features(
    candidates: Candidates,
) -> Float32[np.ndarray, "users candidates features"]:
    """Compute the features of every candidate; NaN for a missing price and for padding.

    Counts, days and prices are log-scaled. `trend` compares the last week with a week of the last
    28 days. A count of days is 999 for an event that never happened.
    """
    rows = np.maximum(candidates.rows, 0)
    items, own = _item_features(candidates, rows), _own_features(candidates, rows)
    user = _user_features(candidates)
    log_price = items[..., -1]
    parts = [
        candidates.channel_scores,
        candidates.recall_scores[..., None],
        items,
        (log_price - user[:, None, -1])[..., None],
        own,
        np.broadcast_to(user[:, None], (*rows.shape, user.shape[1])),
    ]
    features = np.concatenate(parts, axis=-1).astype(np.float32)
    features[candidates.rows < 0] = np.nan
    return features


def _item_features(
    candidates: Candidates, rows: Int[np.ndarray, "users candidates"]
) -> Float32[np.ndarray, "users candidates features"]:
    popularity = candidates.popularity
    week = np.log1p(popularity.window(_WEEK)[rows])
    columns = [
        *np.log1p(popularity.counts[:, rows]),
        week - np.log1p(popularity.window(_MONTH)[rows] * np.float32(_WEEK / _MONTH)),
        _log_days(popularity.first[rows], candidates.now),
        _log_days(popularity.last[rows], candidates.now),
        _log_price(candidates.prices[rows]),
    ]
    return np.stack(columns, axis=-1).astype(np.float32)


def _own_features(
    candidates: Candidates, rows: Int[np.ndarray, "users candidates"]
) -> Float32[np.ndarray, "users candidates features"]:
    histories = candidates.histories
    users = np.arange(histories.users, dtype=np.int64)[:, None]
    keys = histories.user.astype(np.int64) * histories.items + histories.item
    own, number = np.unique(keys, return_inverse=True)
    counts = np.zeros(len(own) + 1, np.float32)  # the last place: items that the user never had
    counts[:-1] = np.bincount(number, minlength=len(own))
    last = np.full(len(own) + 1, -1, np.int64)
    np.maximum.at(last, number, histories.time)
    wanted = users * histories.items + rows
    places = np.searchsorted(own, wanted)
    places[np.append(own, -1)[places] != wanted] = len(own)
    return np.stack([np.log1p(counts[places]), _log_days(last[places], candidates.now)], axis=-1)


def _user_features(candidates: Candidates) -> Float32[np.ndarray, "users features"]:
    histories = candidates.histories
    sessions = np.bincount(
        histories.user[np.unique(histories.session, return_index=True)[1]],
        minlength=histories.users,
    )
    last = np.full(histories.users, -1, np.int64)
    np.maximum.at(last, histories.user, histories.time)
    prices = _log_price(candidates.prices[histories.item])
    known = ~np.isnan(prices)
    sums = np.bincount(histories.user[known], prices[known], histories.users)
    counts = np.bincount(histories.user[known], minlength=histories.users)
    mean = np.divide(sums, counts, out=np.full(histories.users, np.nan), where=counts > 0)
    events = np.bincount(histories.user, minlength=histories.users)
    columns = [np.log1p(events), np.log1p(sessions), _log_days(last, candidates.now), mean]
    return np.stack(columns, axis=-1).astype(np.float32)


def _log_days(times: Int[np.ndarray, "*times"], now: int) -> Float32[np.ndarray, "*times"]:
    days = np.where(times < 0, _NEVER_DAYS, np.maximum(now - times, 0) / SECONDS_PER_DAY)
    return np.asarray(np.log1p(days), np.float32)


def _log_price(prices: Float32[np.ndarray, "*items"]) -> Float32[np.ndarray, "*items"]:
    return np.asarray(np.log(np.maximum(prices, np.float32(0.05))), np.float32)
