"""The events and attributes of people that the user tower trains on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from base.errors import InputError
from behaviour.interactions import Interactions
from catalog.dataset.reading import Dataset
from catalog.schema import USERS
from train.data.relevance import EVENT_GRADES, outside_test


@dataclass(frozen=True)
class People:
    """The users of a dataset.

    Attributes:
        interactions: The users' events with a grade, except those of `test` queries.
        contexts: The text attributes of each user, such as the country.
    """

    interactions: Interactions
    contexts: Sequence[Mapping[str, str]]

    @property
    def returning(self) -> int:
        """Number of users with two or more sessions."""
        _, first = np.unique(self.interactions.session, return_index=True)
        return int((np.bincount(self.interactions.user[first]) > 1).sum())


def people_of(dataset: Dataset) -> People | None:
    """Read the users of a dataset; None if no event counts."""
    if dataset.events is None:
        return None
    events = outside_test(dataset.events, dataset.judgments)
    graded = pc.is_in(events["type"], value_set=pa.array(list(EVENT_GRADES)))
    try:
        interactions = Interactions.of_events(
            events.filter(graded), dataset.items["item_id"].to_pylist()
        )
    except InputError:  # no event has a user or a session
        return None
    known = _attributes(dataset.users)
    return People(interactions, [known.get(user or "", {}) for user in interactions.user_ids])


def _attributes(users: pa.Table | None) -> dict[str, dict[str, str]]:
    """Return the text attributes of each user by id."""
    if users is None:
        return {}
    columns = [
        field.name
        for field in users.schema
        if field.name not in USERS.names
        and (pa.types.is_string(field.type) or pa.types.is_large_string(field.type))
    ]
    return {
        row["user_id"]: {name: row[name] for name in columns if row[name] is not None}
        for row in users.select([*USERS.names, *columns]).to_pylist()
    }
