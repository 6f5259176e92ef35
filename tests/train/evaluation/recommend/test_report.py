"""Reports pool cuts and seeds by user, and mark differences."""

import numpy as np
import pytest

from train.evaluation.recommend.metrics import METRICS
from train.evaluation.recommend.report import CaseReport, Measured, pooled


def measured(values, ids, coverage=0.5):
    metrics = {name: np.array(values, float) for name in (*METRICS, "novelty")}
    return Measured(ids, metrics, coverage)


def test_a_user_of_several_runs_counts_once():
    runs = [measured([0.2, np.nan, 0.6], ["a", "b", "c"]), measured([0.4, 0.3], ["a", "b"])]
    assert pooled(runs, "mrr").tolist() == pytest.approx([0.3, 0.3, 0.6])


def test_a_user_without_a_value_is_left_out():
    assert np.isnan(pooled([measured([np.nan], ["a"])], "mrr")).all()


def test_differences_are_paired_by_user_in_any_order():
    random = np.random.default_rng(0)
    base, ids = random.random(200), [f"u{number}" for number in range(200)]
    better = measured(base + 0.01, ids, 0.25)
    order = random.permutation(200)
    other = measured(base[order], [ids[place] for place in order], 0.75)
    report = CaseReport.of({"ranked": [better], "popular": [other, other]}, "ranked")
    difference = report.differences["popular"]["ndcg@20"]
    assert (difference.low, difference.high) == pytest.approx((-0.01, -0.01))
    assert report.coverage == {"ranked": 0.25, "popular": 0.75}
    content = report.to_json()
    assert content["systems"]["popular"]["ndcg@20"]["users"] == 200
    assert {row["a"] for row in content["differences"]} == {"popular"}
    assert report.table("title").row_count == 2
