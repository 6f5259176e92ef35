"""Small interactions for the tests of models."""

import numpy as np

from behaviour.interactions import SECONDS_PER_DAY, Interactions
from catalog.events import EVENT_TYPES


def interactions(users, items=4):
    """Make interactions of users: for each user, sessions of (day, items)."""
    rows = [
        (user, item, day, number)
        for user, sessions in enumerate(users)
        for number, (day, basket) in enumerate(sessions)
        for item in basket
    ]
    user, item, day, session = np.array(rows or np.zeros((0, 4)), np.int64).T
    purchase = np.full(len(user), EVENT_TYPES.index("purchase"))
    ids = [f"u{number}" for number in range(len(users))]
    times = day * SECONDS_PER_DAY
    return Interactions.sorted_by_time(ids, items, user, item, purchase, times, session)


def day(number):
    return number * SECONDS_PER_DAY
