"""A bundle whose home page is learned from made purchases."""

from pathlib import Path

import numpy as np
import pytest

from tests import shoppers
from tests.tiny import tiny_items
from train.pipeline.behaviour import BehaviourConfig
from train.recommend.ranker import RankerFitConfig
from train.recommend.windows import RecommenderConfig

IDS = [item.item_id for item in tiny_items()]
TASTES, USERS, DAYS = 6, 60, 90
FIT = RecommenderConfig(
    ranker=RankerFitConfig(hidden=8, epochs=4), windows=3, window_days=20, stride_days=20, depth=30
)


def purchases():
    """Return purchases of users, most of which are of items of one taste: one remainder of rows."""
    random = np.random.default_rng(0)
    rows = []
    for user in range(USERS):
        for _ in range(8):
            days_ago = float(random.uniform(0.1, DAYS))
            for _ in range(3):
                row = int(random.integers(len(IDS) // TASTES)) * TASTES + user % TASTES
                rows.append(shoppers.purchase(f"u-{user:02}", IDS[row], days_ago))
    return rows


@pytest.fixture(scope="package")
def learned_bundle(tiny_bundle, tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("learned") / "bundle"
    config = BehaviourConfig(min_segment_events=10, min_lists=50)
    shoppers.write_people_bundle(directory, tiny_bundle, purchases(), config, FIT)
    return directory
