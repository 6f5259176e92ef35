"""Events of shoppers of the tiny items, and a bundle that was trained on them.

The item A of the tests is a charger. Shoppers buy it together with the cable C. The item B is like
A: another brand of the same charger.
"""

import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import pyarrow as pa
from flax import nnx

from behaviour.events import DAY
from behaviour.histories import PastEvent
from behaviour.interactions import Interactions
from bert.numerics import choose_numerics
from catalog.schema import EVENTS
from catalog.store import ItemStore
from search import bundle
from search.channels import CHANNELS
from search.channels.model_items import write_item_ids
from search.people.weights import USER_TOWER
from tests import tiny
from towers.history.encoder import UserEncoder
from towers.history.model import HistoryConfig, HistoryTower
from towers.history.moment import MomentFeatures
from towers.vectors import open_vectors
from train.people.residuals import ResidualConfig, fit_residuals
from train.people.training import end_of, save_user_tower
from train.pipeline.behaviour import BehaviourConfig, fit_behaviour
from train.recommend.windows import RecommenderConfig

A, B, C = "Ch-65-voltix", "Ch-65-ampere", "Ca-2-voltix"
POPULAR = "Ca-10-ohm & co"  # most shoppers buy it alone
POPULAR_IN_FRANCE = "Ca-30-ampere"
NOW = datetime(2024, 3, 1, tzinfo=UTC)
MICROSECONDS = int(NOW.timestamp() * 1_000_000)


def purchase(
    user: str, item_id: str, days_ago: float = 5, basket: str = "", **fields: Any
) -> dict[str, Any]:
    """Return a row of the table of events."""
    return {
        "time": NOW - timedelta(days=days_ago),
        "item_id": item_id,
        "type": "purchase",
        "session_id": basket or f"{user}-{days_ago}",
        "user_id": user,
        **fields,
    }


def purchases() -> list[dict[str, Any]]:
    """Return what some shoppers bought."""
    rows = []
    for number in range(8):
        user = f"couple-{number}"
        rows += [purchase(user, A), purchase(user, C)]
    for number in range(20):
        rows.append(purchase(f"single-{number}", POPULAR, context=[("country", "UK")]))
    for number in range(12):
        rows.append(
            purchase(f"french-{number}", POPULAR_IN_FRANCE, context=[("country", "France")])
        )
    return rows


def table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return a table of events."""
    return pa.Table.from_pylist(list(rows), schema=EVENTS.arrow)


def write_people_bundle(
    directory: Path,
    tiny_bundle: Path,
    rows: Sequence[Any],
    config: BehaviourConfig | None = None,
    recommender: RecommenderConfig | None = None,
) -> None:
    """Write the tiny bundle with the counts of some events."""
    shutil.copytree(tiny_bundle, directory)
    (directory / bundle.BEHAVIOUR).mkdir()
    fit_behaviour(
        directory / bundle.BEHAVIOUR,
        table(rows),
        ItemStore.read(directory / bundle.ITEMS),
        open_vectors(directory / bundle.INDEX),
        config or BehaviourConfig(min_segment_events=10),
        recommender,
    )
    names = tuple(channel.name for channel in CHANNELS if channel.name != USER_TOWER)
    tiny.write_manifest(directory, choose_numerics(), names)


def write_tower_bundle(directory: Path, people_bundle: Path) -> None:
    """Write the people bundle with a user tower that has factors of EASE and first weights.

    The tower knows the purchases of `purchases`, and that others bought one item each. Nobody
    bought the item B.
    """
    shutil.copytree(people_bundle, directory)
    store = ItemStore.read(directory / bundle.ITEMS)
    text = open_vectors(directory / bundle.INDEX)[:]
    others = [purchase(f"other-{item_id}", item_id) for item_id in store.ids if item_id != B]
    past = Interactions.of_events(table([*purchases(), *others]), list(store.ids))
    residuals = fit_residuals(past, end_of(past), 4, ResidualConfig(penalty=1.0), seed=0)
    config = HistoryConfig(*text.shape, 4, 2, read_types=("purchase",))
    tower = HistoryTower(config, rngs=nnx.Rngs(0))
    tower.item_residual = nnx.Param(jnp.asarray(residuals.items))
    tower.event_residual = nnx.Param(jnp.asarray(residuals.events))
    moments = MomentFeatures.of(past, text, store.number("price"))
    (directory / bundle.PEOPLE).mkdir()
    encoder = UserEncoder(tower, text, moments)
    save_user_tower(encoder, tower, end_of(past), directory / bundle.PEOPLE)
    write_item_ids(list(store.ids), directory / bundle.PEOPLE)
    names = tuple(channel.name for channel in CHANNELS)
    tiny.write_manifest(directory, choose_numerics(), names)


def past(item_id: str, kind: str = "view", days_ago: float = 0.0) -> PastEvent:
    """Return an event of a history."""
    return PastEvent(MICROSECONDS - int(days_ago * DAY), 0, kind, item_id)
