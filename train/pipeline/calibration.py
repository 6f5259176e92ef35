"""Calibrate relevance: fit how a bundle turns scores into probabilities (see `search.relevance`).

The models learn from the engine's answers to two kinds of queries:

* Known queries: judged queries with a relevant item. If there are too few, pieces of titles stand
  in for them, and the item of the title is relevant. Some pieces have a typing error. Each piece
  counts once more as if no item had its words, because shoppers use other words than titles.
* Absent queries, which no item fits: random letters, words that no item has, and known queries
  whose last word is replaced by such a word. The words come from the models' tokenizer.

The models are fitted on `train` queries and their thresholds are chosen on `dev` queries. Queries
of `test` are never read.
"""

import logging
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float32

from base.errors import InputError
from catalog.item_text import normalise_query
from lexical.index import LexicalIndex
from search.bundle.calibration import (
    COSINE,
    KNOWN_WORDS,
    LAST_WORD,
    LEXICAL_SCORE,
    LOGIT,
    SIGNALS,
    Calibration,
    LogisticModel,
    StageModel,
)
from search.engine import Engine
from search.relevance import probability
from search.request import MAX_PAGE_SIZE, SearchRequest
from search.result import Hit
from search.understanding.interpretation import UNCURATED
from train.evaluation.metrics import MIN_QUERIES
from train.evaluation.report import JudgedQuery
from train.pipeline.logistic import fit_logistic
from train.progress import track

logger = logging.getLogger(__name__)

CALIBRATION = 2  # increase this when the calibration of unchanged models alters
_WRONGLY_NOTHING = 0.025  # largest share of known queries that nothing may fit
_KNOWN_SHARE = 0.5  # share of queries that some item is assumed to fit
_RIGHTLY_NOTHING = 0.95  # share of absent queries that nothing shall fit, if possible
_SHORTEST = 4  # minimum number of letters of a word that no item has
_SEED = 0
_ITEM = (COSINE, LEXICAL_SCORE)  # signals of an item
# signals of the first item, which say whether any item fits
_FIRST = (COSINE, LEXICAL_SCORE, KNOWN_WORDS, LAST_WORD)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


@dataclass(frozen=True)
class CalibrationConfig:
    """The numbers of queries that relevance is calibrated on; each takes one reranked search."""

    train_queries: int = 400  # maximum number of known queries to fit on
    # maximum number of known queries to choose thresholds on: few of them lie below a threshold
    dev_queries: int = 1_000
    pieces: int = 800  # maximum number of pieces of titles, if there are too few judged queries
    # maximum number of absent queries of each of the three kinds; there are at most as many of each
    # kind as there are known queries
    absent: int = 200

    def __post_init__(self) -> None:
        """Check that all numbers are at least 1."""
        for name, value in asdict(self).items():
            if value < 1:
                raise InputError(f"calibration: {name} is {value}; give 1 or more")


@dataclass(frozen=True)
class Answer:
    """The results of one query, best first.

    Attributes:
        signals: The signals of each result, in the order of `SIGNALS`.
        labels: 1 for a relevant result, 0 for another judged result, NaN for all others.
        recall_scores: The recall score of each result.
    """

    signals: Float32[np.ndarray, "results signals"]
    labels: Float32[np.ndarray, " results"]
    recall_scores: Float32[np.ndarray, " results"]


@dataclass(frozen=True)
class Answers:
    """The answers to the queries of one split."""

    known: list[Answer]
    absent: list[Answer]


def calibrate(
    engine: Engine,
    words: Sequence[str],
    train: Sequence[JudgedQuery],
    dev: Sequence[JudgedQuery],
    config: CalibrationConfig,
) -> tuple[Calibration, dict[str, Any]]:
    """Fit the models on `train`, and choose their thresholds on `dev`.

    Args:
        engine: An engine of the bundle, with the weights that were chosen for it.
        words: Words of the models' tokenizer.
        train: The judged `train` queries.
        dev: The judged `dev` queries.
        config: The numbers of queries.

    Returns:
        The calibration, and a report: the numbers of queries and, for each stage, the share of the
        known and of the absent `dev` queries that nothing fits.
    """
    chance = random.Random(_SEED)  # noqa: S311 - for samples, not secrets
    known = [_sample(train, config.train_queries, chance), _sample(dev, config.dev_queries, chance)]
    if needs_pieces := min(map(len, known)) < MIN_QUERIES:
        pieces = list(title_pieces(engine, config.pieces, chance))
        known = [known[0] + pieces[::2], known[1] + pieces[1::2]]
    index = engine.snapshot.channels.lexical_index
    assert index is not None  # training writes all channels
    every = known[0] + known[1]
    absent = absent_queries(index, words, every, min(config.absent, len(every)), chance)
    fit, choose = (_answers(engine, known[part], absent[part::2]) for part in (0, 1))
    if needs_pieces:
        for answers in (fit, choose):
            answers.known.extend([_in_other_words(answer) for answer in answers.known])
    report: dict[str, Any] = {
        name: {"known": len(answers.known), "absent": len(answers.absent)}
        for name, answers in (("train", fit), ("dev", choose))
    }
    recalled, report["recalled"] = _stage_model(fit, choose, reranked=False)
    reranked = None
    if engine.has_reranker:
        reranked, report["reranked"] = _stage_model(fit, choose, reranked=True)
    logger.info("relevance: %s", report)
    return Calibration(recalled, reranked), report


def _sample(queries: Sequence[JudgedQuery], most: int, chance: random.Random) -> list[JudgedQuery]:
    with_relevant = [query for query in queries if query.relevant]
    return chance.sample(with_relevant, min(most, len(with_relevant)))


def title_pieces(engine: Engine, most: int, chance: random.Random) -> Iterator[JudgedQuery]:
    """Yield pieces of `most` titles, each with its item; one in four has a typing error."""
    store = engine.store
    titles = store.text("title")
    for number, row in enumerate(chance.sample(range(len(store)), min(most, len(store)))):
        words = (titles[row] or "").split()
        start = chance.randrange(max(len(words) - 1, 1))
        text = " ".join(words[start : start + chance.choice((2, 3))])
        if len(words) == 1:  # a language without spaces
            start = chance.randrange(len(text) // 2 + 1)
            text = text[start : start + max(len(text) // 2, 2)]
        if number % 4 == 0 and len(text) > 4:
            swapped = chance.randrange(1, len(text) - 2)
            text = text[:swapped] + text[swapped + 1] + text[swapped] + text[swapped + 2 :]
        if normalise_query(text):
            item_id = store.ids[row]
            yield JudgedQuery(text, text, {item_id: 1.0}, frozenset({item_id}))


def absent_queries(
    index: LexicalIndex,
    words: Sequence[str],
    known: Sequence[JudgedQuery],
    count: int,
    chance: random.Random,
) -> list[str]:
    """Return random letters, words that no item has, and known queries that end in such words.

    There are `count` queries of each kind, or fewer if too few words are unknown.
    """
    unknown = [
        word
        for word in words
        if len(word) >= _SHORTEST and not any(t in index.vocabulary for t in index.terms(word))
    ]
    absent = chance.sample(unknown, min(2 * count, len(unknown)))
    begins = [words[:-1][-2:] for query in known if len(words := query.text.split()) > 1]
    phrases = [" ".join([*chance.choice(begins), word]) for word in absent[::2] if begins]
    letters = [
        " ".join(_random_word(chance) for _ in range(chance.choice((1, 1, 2))))
        for _ in range(count)
    ]
    queries = [*letters, *absent[1::2], *phrases]
    chance.shuffle(queries)
    return queries


def _random_word(chance: random.Random) -> str:
    """Return random letters, a row of keys, or random syllables."""
    kind = chance.random()
    if kind < 0.3:
        return "".join(chance.choices(_LETTERS, k=chance.randint(4, 10)))
    if kind < 0.4:
        row = chance.choice(_KEYS)
        start = chance.randrange(len(row) - 3)
        return row[start : start + chance.randint(4, 10)]
    return "".join(
        chance.choice("bcdfghjklmnprstvwz") + chance.choice("aeiou") + chance.choice(("", "n", "r"))
        for _ in range(chance.randint(2, 4))
    )


def _answers(engine: Engine, known: Sequence[JudgedQuery], absent: Sequence[str]) -> Answers:
    answers = Answers([], [])
    for query in track(known, "relevance", len(known)):
        hits = engine.search(
            SearchRequest(query.text, page_size=MAX_PAGE_SIZE, understanding=UNCURATED)
        ).hits
        labels = {item_id: float(item_id in query.relevant) for item_id in query.gains}
        if hits:
            answers.known.append(_answer(hits, labels))
    for text in track(absent, "nothing fits", len(absent)):
        if hits := engine.search(SearchRequest(text, understanding=UNCURATED)).hits:
            answers.absent.append(_answer(hits, {}))
    return answers


def _answer(hits: Sequence[Hit], labels: dict[str, float]) -> Answer:
    return Answer(
        np.array([[hit.signals.get(name, np.nan) for name in SIGNALS] for hit in hits], np.float32),
        np.array([labels.get(hit.item_id, np.nan) for hit in hits], np.float32),
        np.array([hit.recall_score for hit in hits], np.float32),
    )


def _in_other_words(answer: Answer) -> Answer:
    """Return the answer to a query that means the same, but has no word of any item.

    Without it, the models would learn from pieces of titles that only words of items fit.
    """
    signals = answer.signals.copy()
    signals[:, [SIGNALS.index(name) for name in (LEXICAL_SCORE, KNOWN_WORDS, LAST_WORD)]] = 0
    return replace(answer, signals=signals)


def _stage_model(
    fit: Answers, choose: Answers, *, reranked: bool
) -> tuple[StageModel, dict[str, float]]:
    """Fit the models of a stage, and choose its threshold; return a report on `choose`."""
    more = (LOGIT,) if reranked else ()
    queries = [_firsts(answers, reranked) for answers in (fit.known, fit.absent)]
    fits = _fit(_FIRST + more, queries, _KNOWN_SHARE)
    relevant = _fit(_ITEM + more, _results(fit.known, reranked))
    known, absent = (
        probability(fits, dict(zip(SIGNALS, _firsts(answers, reranked).T, strict=True)))
        for answers in (choose.known, choose.absent)
    )
    threshold = choose_threshold(known, absent)
    shares = {"known": (known < threshold).mean(), "absent": (absent < threshold).mean()}
    report = {f"nothing_fits_{name}": round(float(share), 4) for name, share in shares.items()}
    return StageModel(fits, relevant, threshold), report


def _firsts(answers: Sequence[Answer], reranked: bool) -> Float32[np.ndarray, "queries signals"]:
    """Return the signals of the first result of each list."""
    firsts = (0 if reranked else int(answer.recall_scores.argmax()) for answer in answers)
    first = [answer.signals[rank] for answer, rank in zip(answers, firsts, strict=True)]
    return np.array(first, np.float32).reshape(-1, len(SIGNALS))


def _results(answers: Sequence[Answer], reranked: bool) -> list[Float32[np.ndarray, "_ signals"]]:
    """Return the signals of relevant results, and of the other judged results.

    If no other result is judged, as with events and with pieces of titles, the second half of each
    list stands in for them.
    """
    relevant, irrelevant, others = [], [], []
    for answer in answers:
        usable = np.isfinite(answer.signals[:, SIGNALS.index(LOGIT)]) if reranked else slice(None)
        signals, labels = answer.signals[usable], answer.labels[usable]
        if not reranked:  # in recall order
            order = np.argsort(-answer.recall_scores, kind="stable")
            signals, labels = signals[order], labels[order]
        relevant.append(signals[labels == 1])
        irrelevant.append(signals[labels == 0])
        others.append(signals[np.isnan(labels) & (np.arange(len(labels)) >= len(labels) / 2)])
    judged = np.concatenate(irrelevant)
    return [np.concatenate(relevant), judged if len(judged) else np.concatenate(others)]


def _fit(
    names: Sequence[str],
    examples: Sequence[Float32[np.ndarray, "_ signals"]],
    share: float | None = None,
) -> LogisticModel:
    columns = [SIGNALS.index(name) for name in names]
    positive, negative = (part[:, columns] for part in examples)
    intercept, weights = fit_logistic(
        positive.astype(np.float64), negative.astype(np.float64), share
    )
    return LogisticModel(intercept, dict(zip(names, weights.tolist(), strict=True)))


def choose_threshold(
    known: Float32[np.ndarray, " known"], absent: Float32[np.ndarray, " absent"]
) -> float:
    """Choose the probability below which nothing fits.

    Args:
        known: The probability that any item fits, for known queries.
        absent: The same for absent queries.

    Returns:
        The largest threshold that leaves at most `_WRONGLY_NOTHING` of the known queries below. If
        nearly all absent queries lie further below, the threshold is in the middle of the gap,
        because shoppers' queries are harder than the queries here.
    """
    if not (len(known) and len(absent)):
        return 0.0
    highest = float(np.quantile(known, _WRONGLY_NOTHING, method="lower"))
    lowest = float(np.quantile(absent, _RIGHTLY_NOTHING))
    if lowest >= highest:
        return highest
    middle = (_log_odds(lowest) + _log_odds(highest)) / 2
    return 1 / (1 + math.exp(-middle))


def _log_odds(probability: float) -> float:
    clipped = min(max(probability, 1e-6), 1 - 1e-6)
    return math.log(clipped / (1 - clipped))
