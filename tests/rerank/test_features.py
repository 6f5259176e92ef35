from dataclasses import replace
from datetime import date
from math import log

import numpy as np
import pytest

from base.errors import InputError
from catalog.catalogue import Catalogue
from catalog.items import Item
from catalog.store import ItemStore
from rerank.features import (
    BLOCKS,
    FEATURE_NAMES,
    FEATURES,
    FeatureInputs,
    FeatureStatistics,
    days_since,
    feature_matrix,
    word_overlap,
)

NAN = float("nan")


def matrix(**raw: list[float]) -> np.ndarray:
    """Return the feature matrix of two candidates; values that are not given are missing."""
    columns = [
        feature.transform(np.array(raw.get(feature.name, [NAN, NAN]), np.float32))
        for feature in FEATURES
    ]
    return np.stack(columns, axis=1)


def column(name: str) -> int:
    return FEATURE_NAMES.index(name)


def test_amounts_become_logarithms_and_other_values_stay_as_they_are():
    values = matrix(price=[0, 99], age=[9, NAN], rating=[4.5, 3], cosine=[-0.5, 1])
    np.testing.assert_allclose(values[:, column("price")], [0, log(100)], rtol=1e-6)
    np.testing.assert_allclose(values[:, column("age")], [log(10), NAN], rtol=1e-6)
    np.testing.assert_array_equal(values[:, column("rating")], [4.5, 3])
    np.testing.assert_array_equal(values[:, column("cosine")], [-0.5, 1])
    assert np.isnan(values[:, column("in_stock")]).all()
    assert values.shape == (2, len(FEATURES))


def test_the_matrix_reads_each_feature_from_its_source():
    items = [
        Item("a", "red desk lamp", price=99.0, rating=4.5, rating_count=9, in_stock=True,
             released=date(2024, 1, 1)),
        Item("b", "garden chair"),
    ]  # fmt: skip
    rows = np.array([1, 0], np.int32)
    scores = {
        "dense": np.array([0.25, 0.5], np.float32),
        "lexical": np.array([0, 0.75], np.float32),
    }
    catalogue = Catalogue.of(ItemStore.of(items))
    values = feature_matrix(FeatureInputs("red lamps", rows, catalogue, scores, date(2024, 1, 10)))
    expected = {
        "cosine": [0.25, 0.5],
        "lexical": [0, 0.75],
        "overlap": [0, 0.5],
        "price": [NAN, 99],
        "rating": [NAN, 4.5],
        "rating_count": [NAN, 9],
        "age": [NAN, 9],
        "in_stock": [NAN, 1],
    }
    assert values.dtype == np.float32
    columns = [column(name) for name in expected]
    np.testing.assert_array_equal(values[:, columns], matrix(**expected)[:, columns])


def test_an_age_is_never_negative_and_is_missing_without_a_day_or_a_date():
    released = [date(2024, 1, 9), date(2024, 1, 10), date(2024, 1, 11), None]
    items = [Item(str(row), "lamp", released=day) for row, day in enumerate(released)]
    catalogue, rows = Catalogue.of(ItemStore.of(items)), np.arange(4, dtype=np.int32)
    for as_of, expected in ((date(2024, 1, 10), [1, 0, 0, NAN]), (None, [NAN] * 4)):
        inputs = FeatureInputs("lamp", rows, catalogue, {}, as_of)
        np.testing.assert_array_equal(days_since("released")(inputs), expected)


def test_every_feature_has_a_name_of_its_own_a_unit_and_a_meaning_of_missing():
    assert len(set(FEATURE_NAMES)) == len(FEATURES) == sum(map(len, BLOCKS.values()))
    assert all(feature.name and feature.unit and feature.missing for feature in FEATURES)


def test_features_are_standardised_by_the_statistics_of_training():
    statistics = FeatureStatistics.of(matrix(rating=[2, 4]))
    inputs = statistics.standardise(matrix(rating=[3, 5]))
    # The training ratings have the mean 3 and the standard deviation 1.
    np.testing.assert_allclose(inputs[:, column("rating")], [0, 2])
    np.testing.assert_array_equal(inputs[:, len(FEATURES) + column("rating")], 0)


def test_a_missing_value_becomes_the_mean_with_its_indicator_set():
    statistics = FeatureStatistics.of(matrix(rating=[2, 4]))
    inputs = statistics.standardise(matrix(rating=[NAN, 4]))
    np.testing.assert_allclose(inputs[:, column("rating")], [0, 1])
    np.testing.assert_array_equal(inputs[:, len(FEATURES) + column("rating")], [1, 0])


def test_missing_values_do_not_count_in_the_statistics():
    rows = np.concatenate([matrix(rating=[2, 4]), matrix(rating=[NAN, NAN])])
    statistics = FeatureStatistics.of(rows)
    assert statistics.mean[column("rating")] == 3
    assert statistics.scale[column("rating")] == 1


@pytest.mark.parametrize("values", [[3, 3], [NAN, NAN], [NAN, 3]])
def test_a_feature_that_was_constant_or_missing_in_training_always_counts_as_missing(values):
    statistics = FeatureStatistics.of(matrix(rating=values, cosine=[0.1, 0.9]))
    assert not statistics.trained[column("rating")]
    assert statistics.trained[column("cosine")]
    inputs = statistics.standardise(matrix(rating=[1, 5], cosine=[0.1, 0.9]))
    np.testing.assert_array_equal(inputs[:, column("rating")], 0)
    np.testing.assert_array_equal(inputs[:, len(FEATURES) + column("rating")], 1)


@pytest.mark.parametrize("values", [[-1e-7, 1e-7], [1e6, 1e6 + 0.5]])
def test_a_feature_that_varies_only_by_rounding_counts_as_constant(values):
    assert not FeatureStatistics.of(matrix(rating=values)).trained[column("rating")]


@pytest.mark.parametrize("values", [[-1.5e-6, 1.5e-6], [1e6, 1e6 + 4]])
def test_a_feature_that_varies_by_more_than_rounding_is_trained(values):
    assert FeatureStatistics.of(matrix(rating=values)).trained[column("rating")]


def test_no_feature_is_trained_on_a_single_row():
    row = matrix(rating=[3, 4])[:1]
    assert not any(FeatureStatistics.of(row).trained)


def test_extremes_are_clipped_at_five_standard_deviations():
    statistics = FeatureStatistics.of(matrix(cosine=[-0.1, 0.1]))
    inputs = statistics.standardise(matrix(cosine=[-1e6, 1e6]))
    np.testing.assert_array_equal(inputs[:, column("cosine")], [-5, 5])


def test_inputs_are_finite_whatever_the_raw_values():
    extreme = matrix(price=[3e38, -7], rating=[1e30, 0], cosine=[0, 1])
    inputs = FeatureStatistics.of(extreme).standardise(extreme)
    assert np.isfinite(inputs).all()


@pytest.mark.parametrize(
    ("query", "title", "share"),
    [
        ("usb c charger", "Charger, USB-C (65 W)", 1),
        ("usb c charger", "charger for bikes", 1 / 3),
        ("lamp lamp desk", "lamp", 1 / 2),  # repeated words count once
        ("lamp", "lampshade", 0),  # only whole words count
        ("lamp", "", 0),
        ("STRASSE", "Straße", 1),
        ("ｆｕｌｌ width", "full width", 1),
        ("café", "cafe\u0301 crème", 1),  # é as one or two characters
        ("充电器", "充电器 65W", 1),
        ("!?", "lamp", NAN),
        ("", "lamp", NAN),
    ],
)
def test_overlap_is_the_share_of_the_query_s_words_in_the_title(query, title, share):
    np.testing.assert_array_equal(word_overlap(query, [title]), np.array([share], np.float32))


def test_overlap_of_a_huge_query_and_of_no_titles():
    assert word_overlap("lamp " * 2_000, ["a lamp"]).tolist() == [1]
    assert word_overlap("lamp", []).shape == (0,)
    assert word_overlap("?", []).shape == (0,)


def test_statistics_read_back_as_written(tmp_path):
    statistics = FeatureStatistics.of(matrix(cosine=[0.1, 0.7], price=[5, 6]))
    statistics.write(tmp_path)
    assert FeatureStatistics.read(tmp_path) == statistics


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "[]",
        "{}",
        '{"names": 3}',
        "\xff",
        '{"names": ["price", "age"], "mean": [1.0], "scale": [1.0], "trained": [true]}',
    ],
)
def test_damaged_statistics_are_refused_by_name(tmp_path, content):
    if content is not None:
        (tmp_path / "features.json").write_text(content, encoding="latin-1")
    with pytest.raises(InputError, match=r"features\.json (cannot be read|holds no JSON object)"):
        FeatureStatistics.read(tmp_path)


def test_a_feature_that_is_not_in_the_table_is_refused_by_name(tmp_path):
    statistics = FeatureStatistics.of(matrix(cosine=[0.1, 0.7]))
    replace(statistics, names=(*FEATURE_NAMES[:-1], "colour")).write(tmp_path)
    with pytest.raises(InputError, match=r"cannot compute: colour;.*train the reranker again"):
        FeatureStatistics.read(tmp_path)


def test_a_repeated_feature_is_refused(tmp_path):
    statistics = FeatureStatistics.of(matrix(cosine=[0.1, 0.7]))
    replace(statistics, names=("cosine",) * len(FEATURE_NAMES)).write(tmp_path)
    with pytest.raises(InputError, match="it repeats a feature"):
        FeatureStatistics.read(tmp_path)


def test_statistics_that_name_some_features_in_another_order_give_those_inputs(tmp_path):
    (tmp_path / "features.json").write_text(
        '{"names": ["price", "cosine"], "mean": [1.0, 0.5], "scale": [2.0, 0.25],'
        ' "trained": [true, true]}'
    )
    inputs = FeatureStatistics.read(tmp_path).standardise(matrix(price=[0, NAN], cosine=[1, 0.25]))
    np.testing.assert_array_equal(inputs, [[-0.5, 2, 0, 0], [0, -1, 1, 0]])
