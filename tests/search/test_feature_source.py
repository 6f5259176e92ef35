import datetime

import numpy as np
import pytest

from catalog.catalogue import Catalogue
from catalog.items import Item
from catalog.store import ItemStore
from lexical.index import LexicalIndex
from rerank.features import FEATURES, FeatureInputs, feature_matrix
from search.channels.base import Query
from search.channels.fusion import Channels
from search.channels.lexical import LexicalChannel
from search.feature_source import FeatureSource, newest_release

NAN = float("nan")
NO_VECTOR = np.zeros(4, np.float32)
ALL = np.arange(3, dtype=np.int32)
ITEMS = [
    Item("a", "red desk lamp", price=12.5, rating=4.0, rating_count=3, in_stock=True,
         released=datetime.date(2024, 1, 1)),
    Item("b", "garden chair", released=datetime.date(2024, 1, 31), in_stock=False),
    Item("c", "lamp shade, red"),
]  # fmt: skip


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def raw(candidates: FeatureInputs, name: str) -> np.ndarray:
    """Return the raw values of a feature."""
    return next(feature.source(candidates) for feature in FEATURES if feature.name == name)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> FeatureSource:
    store, directory = ItemStore.of(ITEMS), tmp_path_factory.mktemp("bundle")
    channel = LexicalChannel(LexicalIndex.build(store, directory / "lexical"))
    return FeatureSource(Catalogue.of(store), Channels([channel]), newest_release(store))


def test_raw_values_are_those_of_the_catalogue(source):
    rows = np.array([1, 0], np.int32)
    candidates = source.inputs(Query("red lamp", NO_VECTOR), rows, {"dense": floats(0.3, 0.4)})
    np.testing.assert_array_equal(raw(candidates, "cosine"), floats(0.3, 0.4))
    np.testing.assert_array_equal(raw(candidates, "overlap"), floats(0, 1))
    np.testing.assert_array_equal(raw(candidates, "price"), floats(NAN, 12.5))
    np.testing.assert_array_equal(raw(candidates, "rating"), floats(NAN, 4))
    np.testing.assert_array_equal(raw(candidates, "rating_count"), floats(NAN, 3))
    np.testing.assert_array_equal(raw(candidates, "in_stock"), floats(0, 1))
    # The age counts days before the release of the newest item.
    np.testing.assert_array_equal(raw(candidates, "age"), floats(0, 30))


def test_each_channel_of_the_catalogue_scores_the_items(source):
    inputs = source.inputs(Query("red lamp", NO_VECTOR), ALL)
    assert inputs.channel_scores["lexical"].argmin() == 1
    assert inputs.channel_scores["lexical"][1] == 0
    assert inputs.channel_scores["lexical"].max() == 1


def test_items_that_are_not_indexed_have_no_lexical_score_and_without_a_day_no_age(source):
    outside = FeatureSource(source.catalogue, None, None)
    candidates = outside.inputs(Query("red lamp", NO_VECTOR), ALL)
    assert np.isnan(raw(candidates, "cosine")).all()
    assert np.isnan(raw(candidates, "lexical")).all()
    assert np.isnan(raw(candidates, "age")).all()


def test_an_item_from_the_future_is_new(source):
    early = FeatureSource(source.catalogue, source.channels, datetime.date(2024, 1, 11))
    candidates = early.inputs(Query("lamp", NO_VECTOR), ALL)
    np.testing.assert_array_equal(raw(candidates, "age"), floats(10, 0, NAN))


def test_computing_features_does_not_change_the_catalogue(source):
    before = source.catalogue.base.number("released").copy()
    feature_matrix(source.inputs(Query("lamp", NO_VECTOR), ALL))
    np.testing.assert_array_equal(source.catalogue.base.number("released"), before)


def test_a_catalogue_without_dates_has_no_newest_item():
    assert newest_release(ItemStore.of(ITEMS[2:])) is None
    assert newest_release(ItemStore.of(ITEMS)) == datetime.date(2024, 1, 31)
