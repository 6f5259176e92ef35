from dataclasses import replace
from math import log

import numpy as np
import pytest

from base.errors import InputError
from rerank.features import (
    FEATURES,
    FeatureStatistics,
    Signals,
    feature_matrix,
    title_overlap,
)

NAN = float("nan")


def signals(**values: list[float]) -> Signals:
    """Signals of two candidates; what is not named is unknown."""
    columns = {name: np.full(2, np.nan, np.float32) for name in FEATURES}
    columns |= {name: np.array(value, np.float32) for name, value in values.items()}
    return Signals(**columns)


def column(name: str) -> int:
    return FEATURES.index(name)


def test_amounts_enter_as_logarithms_and_the_rest_as_it_is():
    matrix = feature_matrix(signals(price=[0, 99], age=[9, NAN], rating=[4.5, 3], cosine=[-0.5, 1]))
    np.testing.assert_allclose(matrix[:, column("price")], [0, log(100)], rtol=1e-6)
    np.testing.assert_allclose(matrix[:, column("age")], [log(10), NAN], rtol=1e-6)
    np.testing.assert_array_equal(matrix[:, column("rating")], [4.5, 3])
    np.testing.assert_array_equal(matrix[:, column("cosine")], [-0.5, 1])
    assert np.isnan(matrix[:, column("in_stock")]).all()
    assert matrix.shape == (2, 8)


def test_features_are_standardised_by_the_statistics_of_training():
    statistics = FeatureStatistics.of(feature_matrix(signals(rating=[2, 4])))
    inputs = statistics.standardise(feature_matrix(signals(rating=[3, 5])))
    # Mean 3, standard deviation 1.
    np.testing.assert_allclose(inputs[:, column("rating")], [0, 2])
    np.testing.assert_array_equal(inputs[:, 8 + column("rating")], 0)


def test_a_missing_value_is_the_mean_with_its_indicator_set():
    statistics = FeatureStatistics.of(feature_matrix(signals(rating=[2, 4])))
    inputs = statistics.standardise(feature_matrix(signals(rating=[NAN, 4])))
    np.testing.assert_allclose(inputs[:, column("rating")], [0, 1])
    np.testing.assert_array_equal(inputs[:, 8 + column("rating")], [1, 0])


def test_missing_values_do_not_count_in_the_statistics():
    matrix = np.concatenate(
        [feature_matrix(signals(rating=[2, 4])), feature_matrix(signals(rating=[NAN, NAN]))]
    )
    statistics = FeatureStatistics.of(matrix)
    assert statistics.mean[column("rating")] == 3
    assert statistics.scale[column("rating")] == 1


@pytest.mark.parametrize("values", [[3, 3], [NAN, NAN], [NAN, 3]])
def test_a_feature_that_was_constant_or_absent_in_training_is_missing_for_ever(values):
    statistics = FeatureStatistics.of(feature_matrix(signals(rating=values, cosine=[0.1, 0.9])))
    assert not statistics.trained[column("rating")]
    assert statistics.trained[column("cosine")]
    inputs = statistics.standardise(feature_matrix(signals(rating=[1, 5], cosine=[0.1, 0.9])))
    np.testing.assert_array_equal(inputs[:, column("rating")], 0)
    np.testing.assert_array_equal(inputs[:, 8 + column("rating")], 1)


def test_one_row_of_training_trains_no_feature():
    matrix = feature_matrix(signals(rating=[3, 4]))[:1]
    assert not any(FeatureStatistics.of(matrix).trained)


def test_extremes_are_clipped_at_five_standard_deviations():
    statistics = FeatureStatistics.of(feature_matrix(signals(cosine=[-0.1, 0.1])))
    inputs = statistics.standardise(feature_matrix(signals(cosine=[-1e6, 1e6])))
    np.testing.assert_array_equal(inputs[:, column("cosine")], [-5, 5])


def test_inputs_are_finite_whatever_the_signals():
    extreme = signals(price=[3e38, -7], rating=[1e30, 0], cosine=[0, 1])
    inputs = FeatureStatistics.of(feature_matrix(extreme)).standardise(feature_matrix(extreme))
    assert np.isfinite(inputs).all()


@pytest.mark.parametrize(
    ("query", "title", "share"),
    [
        ("usb c charger", "Charger, USB-C (65 W)", 1),
        ("usb c charger", "charger for bikes", 1 / 3),
        ("lamp lamp desk", "lamp", 1 / 2),  # distinct words
        ("lamp", "lampshade", 0),  # whole words
        ("lamp", "", 0),
        ("STRASSE", "Straße", 1),
        ("ｆｕｌｌ width", "full width", 1),
        ("café", "cafe\u0301 crème", 1),  # composed or not
        ("充电器", "充电器 65W", 1),
        ("!?", "lamp", NAN),
        ("", "lamp", NAN),
    ],
)
def test_overlap_is_the_share_of_the_query_s_words_in_the_title(query, title, share):
    np.testing.assert_array_equal(title_overlap(query, [title]), np.array([share], np.float32))


def test_overlap_of_a_huge_query_and_of_no_titles():
    assert title_overlap("lamp " * 2_000, ["a lamp"]).tolist() == [1]
    assert title_overlap("lamp", []).shape == (0,)
    assert title_overlap("?", []).shape == (0,)


def test_statistics_read_back_as_written(tmp_path):
    statistics = FeatureStatistics.of(feature_matrix(signals(cosine=[0.1, 0.7], price=[5, 6])))
    statistics.write(tmp_path)
    assert FeatureStatistics.read(tmp_path) == statistics


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"names": 3}', "\xff"])
def test_damaged_statistics_are_refused_by_name(tmp_path, content):
    if content is not None:
        (tmp_path / "features.json").write_text(content, encoding="latin-1")
    with pytest.raises(InputError, match=r"features\.json cannot be read"):
        FeatureStatistics.read(tmp_path)


def test_statistics_of_other_features_are_refused(tmp_path):
    statistics = FeatureStatistics.of(feature_matrix(signals(cosine=[0.1, 0.7])))
    replace(statistics, names=(*FEATURES[:-1], "colour")).write(tmp_path)
    with pytest.raises(InputError, match=r"colour.*train the reranker again"):
        FeatureStatistics.read(tmp_path)
