"""Small interactions and towers of people."""

import numpy as np
from flax import nnx

from behaviour.interactions import SECONDS_PER_DAY, Interactions
from catalog.events import EVENT_TYPES
from towers.history.encoder import UserEncoder
from towers.history.model import HistoryConfig, HistoryTower
from towers.history.moment import MomentFeatures

PURCHASE = EVENT_TYPES.index("purchase")
START = 1_000 * SECONDS_PER_DAY
NO_PRICES = np.full(4, np.nan, np.float32)


def at(day: float) -> int:
    """Return the time of a day, in seconds since 1970."""
    return START + round(day * SECONDS_PER_DAY)


def bought(*events, items=4, users=None) -> Interactions:
    """Make interactions of (user, item, day), each purchase in a session of its day."""
    user, item, day = (np.array(column) for column in zip(*events, strict=True))
    count = users or int(user.max()) + 1
    return Interactions.sorted_by_time(
        [f"u{number}" for number in range(count)],
        items,
        user,
        item,
        np.full(len(user), PURCHASE),
        np.array([at(one) for one in day]),
        user * 10_000 + day.astype(int),
    )


def unit_vectors(items=4, dim=8, seed=0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(items, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def random_tower(items=4, text_dim=8, seed=0) -> HistoryTower:
    """Make a tower with random values in all parameters, so that every input has an effect."""
    config = HistoryConfig(items=items, text_dim=text_dim, residual_dim=3, moment_dim=2, hidden=5)
    tower = HistoryTower(config, rngs=nnx.Rngs(seed))
    random = np.random.default_rng(seed)
    flat = [
        (path, leaf.replace(leaf[...] + random.normal(size=leaf.shape, scale=0.3).astype("f4")))
        for path, leaf in nnx.to_flat_state(nnx.state(tower))
    ]
    nnx.update(tower, nnx.from_flat_state(flat))
    return tower


def random_encoder(interactions: Interactions, seed=0) -> UserEncoder:
    text = unit_vectors(interactions.items, seed=seed)
    prices = np.full(interactions.items, np.nan, np.float32)
    moments = MomentFeatures.of(interactions, text, prices)
    return UserEncoder(random_tower(interactions.items, seed=seed), text, moments)
