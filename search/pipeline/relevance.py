"""Relevance: estimate for each candidate how probably it is relevant, and apply the minimum."""

import numpy as np

from search.bundle.calibration import (
    COSINE,
    KNOWN_WORDS,
    LAST_WORD,
    LEXICAL_SCORE,
    LOGIT,
    Calibration,
)
from search.pipeline.state import SearchState
from search.relevance import Signals, estimate
from search.request import DENSE, LEXICAL


class Relevance:
    """Sets the relevance of the ranked candidates; leaves out those below the minimum."""

    def __init__(self, calibration: Calibration | None) -> None:
        """Use the calibration of the bundle; without one, no result has a relevance."""
        self._calibration = calibration

    def __call__(self, state: SearchState) -> None:
        """Set the signals, the relevance, the number of relevant items and `nothing_fits`."""
        if state.interpretation is None:
            return  # browsing and recommendations have no query
        with state.timer.step("relevance"):
            state.signals = _signals(state)
            if self._calibration is not None:
                _apply(state, self._calibration)


def _apply(state: SearchState, calibration: Calibration) -> None:
    pins, ranking, minimum = len(state.pins), state.ranking, state.request.min_relevance
    exact = state.exact
    if minimum is None:
        minimum = state.config.min_relevance
    # Pinned items have a relevance of their own, because their positions say nothing about it.
    others = estimate(calibration, {name: of[pins + exact :] for name, of in state.signals.items()})
    pinned = [
        estimate(calibration, {name: of[pin : pin + 1] for name, of in state.signals.items()})
        for pin in range(pins)
    ]
    # An item with a code that the query names is what the shopper wants.
    certain = np.ones(exact, np.float32)
    of_pins = (estimate.relevance for estimate in pinned)
    relevance = np.concatenate([*of_pins, certain, others.relevance])
    last = pins + exact + int(np.count_nonzero(others.relevance >= minimum))
    recalled = relevance[pins + exact : min(last, pins + ranking.recalled)]
    state.relevance, state.nothing_fits = relevance, others.nothing_fits and not exact
    state.relevant = exact
    if not others.nothing_fits:
        state.relevant += max(round(float(recalled.sum())), min(len(recalled), 0 if exact else 1))
    if last < len(ranking.rows):
        state.ranking = ranking.first(last, pins)


def _signals(state: SearchState) -> Signals:
    """Return the signals of each rank.

    A lexical score that was not computed counts as 0, because recall finds all items with a high
    score.
    """
    assert state.query is not None
    assert state.candidates is not None
    order, scores = state.ranking.candidates, state.candidates.channel_scores
    cosine = scores[DENSE][order]
    lexical = np.zeros_like(cosine)
    if LEXICAL in scores:
        lexical = np.nan_to_num(scores[LEXICAL][order])
    logit = np.full(len(scores[DENSE]), np.nan, np.float32)
    logit[: len(state.scores)] = state.scores.logits
    # The uncorrected text counts, because a wrong correction has words that items have.
    index = state.snapshot.channels.lexical_index
    assert index is not None  # a calibration needs the lexical channel
    understood = state.interpretation
    terms = index.terms(state.request.text if understood is None else understood.uncorrected)
    known, last = index.known_share(terms), index.last_word_plausibility(terms)
    return {
        COSINE: cosine,
        LEXICAL_SCORE: lexical,
        KNOWN_WORDS: np.full_like(cosine, known),
        LAST_WORD: np.full_like(cosine, last),
        LOGIT: logit[order],
    }
