"""The calibration: probabilities of relevance from signals, computed by hand."""

import math
from dataclasses import asdict

import numpy as np
import pytest

from search.bundle.calibration import Calibration, LogisticModel, StageModel
from search.relevance import estimate as estimate_of
from search.relevance import probability

ALWAYS = LogisticModel(20.0, {})  # probability 1


def odds(probability: float) -> float:
    return math.log(probability / (1 - probability))


def signals(cosine: list[float], logit: tuple[float, ...] = (), known: float = 1.0) -> dict:
    """Return the signals of a list whose first items were reranked."""
    count = len(cosine)
    return {
        "cosine": np.array(cosine, np.float32),
        "lexical_score": np.zeros(count, np.float32),
        "known_words": np.full(count, known, np.float32),
        "last_word": np.full(count, known == 1, np.float32),
        "logit": np.array([*logit, *[math.nan] * (count - len(logit))], np.float32),
    }


def test_a_logistic_model_is_the_logistic_of_the_weighted_signals():
    model = LogisticModel(-1.0, {"cosine": 2.0, "known_words": 0.5})
    probabilities = probability(model, signals([0.0, 0.5], known=0.5))
    assert probabilities == pytest.approx([1 / (1 + math.exp(0.75)), 1 / (1 + math.exp(-0.25))])


def test_reranked_items_have_the_model_of_their_stage_and_the_others_that_of_recall():
    recalled = StageModel(ALWAYS, LogisticModel(odds(0.25), {}), 0.5)
    reranked = StageModel(ALWAYS, LogisticModel(0.0, {"logit": 1.0}), 0.5)
    estimate = estimate_of(
        Calibration(recalled, reranked), signals([0.9, 0.8, 0.7], logit=(odds(0.9), odds(0.6)))
    )
    assert estimate.relevance == pytest.approx([0.9, 0.6, 0.25])
    assert estimate_of(Calibration(recalled, None), signals([0.9])).relevance == pytest.approx(
        [0.25]
    )


def test_relevance_never_rises_along_the_list():
    recalled = StageModel(ALWAYS, LogisticModel(odds(0.5), {}), 0.5)
    reranked = StageModel(ALWAYS, LogisticModel(0.0, {"logit": 1.0}), 0.5)
    logits = tuple(odds(p) for p in (0.9, 0.3, 0.8))
    estimate = estimate_of(Calibration(recalled, reranked), signals([0.0] * 4, logit=logits))
    assert estimate.relevance == pytest.approx([0.9, 0.3, 0.3, 0.3])


def test_relevance_is_the_product_of_fit_and_relevance():
    fits = LogisticModel(odds(0.5), {"known_words": odds(0.75) - odds(0.5)})
    model = StageModel(fits, LogisticModel(odds(0.4), {}), 0.6)
    for known, fit in ((1.0, 0.75), (0.0, 0.5)):
        estimate = estimate_of(Calibration(model, None), signals([0.0, 0.0], known=known))
        assert estimate.relevance == pytest.approx([fit * 0.4] * 2)
        assert estimate.nothing_fits == (fit < 0.6)


def test_the_first_item_alone_says_whether_anything_fits():
    fits = LogisticModel(0.0, {"cosine": 1.0})
    calibration = Calibration(StageModel(fits, ALWAYS, 0.6), None)
    assert estimate_of(calibration, signals([0.0, 1.0])).nothing_fits
    assert not estimate_of(calibration, signals([1.0, 0.0])).nothing_fits
    assert estimate_of(calibration, signals([])).nothing_fits


def test_a_calibration_is_read_back_as_it_was_written():
    model = StageModel(ALWAYS, LogisticModel(0.5, {"cosine": 2.0}), 0.25)
    for calibration in (Calibration(model, model), Calibration(model, None)):
        assert Calibration.of(asdict(calibration)) == calibration


@pytest.mark.parametrize(
    ("intercept", "weights"),
    [(0.0, {"colour": 1.0}), (0.0, {"cosine": -1.0}), (math.nan, {}), (0.0, {"logit": math.inf})],
)
def test_a_model_with_values_out_of_their_limits_is_refused(intercept, weights):
    with pytest.raises(ValueError, match="calibration has"):
        LogisticModel(intercept, weights)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, math.nan])
def test_a_threshold_that_is_no_probability_is_refused(threshold):
    with pytest.raises(ValueError, match="threshold"):
        StageModel(ALWAYS, ALWAYS, threshold)
