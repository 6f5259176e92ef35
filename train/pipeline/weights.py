"""Choose on `dev` the weights with which a bundle combines scores (see `search.ranking.weights`).

A weight differs from its default only if the paired 95% interval of the improvement of nDCG@10 lies
above zero, and only with `MIN_QUERIES` queries or more. So chance seldom chooses a weight. There is
one exception: if reranking is not surely better than recall with the default weight of the recall
score, it gets the weight with which it is best.

Judgments can be worthless, for example if the ids of queries are mixed up. Then all rankings are
equally bad, and small differences between them say nothing about real queries. So a weight also
needs rankings that fit the judgments of their own queries better than those of other queries.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float64

from catalog.store import ItemStore
from search.engine import Engine
from search.ranking.weights import MAX_WEIGHT, RECALL_WEIGHT, Weights
from search.request import DENSE, MAX_PAGE_SIZE, SearchRequest
from search.result import Hit
from towers.model import TowersConfig
from train.data.relevance import Relevance
from train.evaluation.metrics import MIN_QUERIES, Interval, bootstrap
from train.evaluation.report import JudgedQuery, ndcg_at_10
from train.evaluation.runs import Ranking
from train.progress import track

logger = logging.getLogger(__name__)

CHOICE = 2  # increase this when the weights that are chosen for unchanged models can alter
# Weights to try. The dense channel keeps its weight, because only the ratios of weights matter.
CHANNEL_WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0)
RECALL_WEIGHTS = (0.0, 0.5, 1.0, 2.0, 3.0, 5.0)
MAX_QUERIES = 1_000
_SEED = 0  # of the sample of queries


def untuned_weights(temperature: float) -> Weights:
    """Return the weights of a bundle before any choice: cosines count in units of the temperature.

    An encoder that was trained with a low temperature puts all its cosines into a narrow band. With
    the weight of other cosines, its cosines would decide nothing beside lexical scores.

    Args:
        temperature: The start temperature of the towers.
    """
    weight = min(TowersConfig.temperature / temperature, float(MAX_WEIGHT))
    return Weights({DENSE: round(weight, 3)}, RECALL_WEIGHT)


def queries_of(relevance: Relevance | None, store: ItemStore, split: str) -> list[JudgedQuery]:
    """Return the queries of a split that have an item with a gain."""
    if relevance is None:
        return []
    chosen = relevance.only(split)
    gains: list[dict[str, float]] = [{} for _ in chosen.queries]
    relevant: list[set[str]] = [set() for _ in chosen.queries]
    pairs = zip(chosen.query, chosen.item, chosen.gain, chosen.relevant, strict=True)
    for query, row, gain, is_relevant in pairs:
        item_id = store.ids[row]
        gains[query][item_id] = float(gain)
        if is_relevant:
            relevant[query].add(item_id)
    return [
        JudgedQuery(text, text, of_items, frozenset(relevant_items))
        for text, of_items, relevant_items in zip(chosen.queries, gains, relevant, strict=True)
        if any(of_items.values())
    ]


def choose_weights(
    engine: Engine, queries: Sequence[JudgedQuery]
) -> tuple[Weights, Interval, dict[str, Any]]:
    """Choose the weights of channels one after the other, then the weight of the recall score.

    Args:
        engine: An engine of the bundle. From now on, it uses the chosen weights.
        queries: The judged `dev` queries. At most `MAX_QUERIES` are used, drawn at random. With
            fewer than `MIN_QUERIES`, all weights keep their defaults.

    Returns:
        The weights, the improvement of nDCG@10 by reranking, and a report: the number of queries,
        and the mean nDCG@10 of each weight.
    """
    order = np.random.default_rng(_SEED).permutation(len(queries))[:MAX_QUERIES]
    sample = [queries[number] for number in sorted(order.tolist())]
    report: dict[str, Any] = {"queries": len(sample)}
    defaults = _named(engine.weights)
    improvement = bootstrap(np.zeros(0))
    if len(sample) >= MIN_QUERIES:
        personal = engine.snapshot.channels.personal.keys()  # they say nothing about a query alone
        for name in engine.weights.channels.keys() - {DENSE} - personal:
            report[name] = _choose_channel_weight(engine, name, sample)
        if engine.has_reranker:
            report["recall"], improvement = _choose_recall_weight(engine, sample)
    report["line"] = _line(defaults, _named(engine.weights), len(sample))
    logger.info("%s", report["line"])
    return engine.weights, improvement, report


def _named(weights: Weights) -> dict[str, float]:
    return {**weights.channels, "recall": weights.recall}


def _line(defaults: Mapping[str, float], chosen: Mapping[str, float], queries: int) -> str:
    """Say for people which weights were chosen."""
    parts = (
        f"{name} {weight:g}"
        + ("" if weight == defaults[name] else f" instead of {defaults[name]:g}")
        for name, weight in chosen.items()
    )
    few = ": too few to tell" if queries < MIN_QUERIES else ""
    return f"weights: {', '.join(parts)} ({queries:,} dev queries{few})"


def _choose_channel_weight(
    engine: Engine, name: str, queries: Sequence[JudgedQuery]
) -> dict[str, float]:
    """Set the weight of a channel; return the mean nDCG@10 of recall for each weight."""
    before, runs = engine.weights, {}
    default, values = before.channels[name], {}
    weights = (default, *(weight for weight in CHANNEL_WEIGHTS if weight != default))
    for weight in track(weights, f"weight of {name}", len(weights)):
        _use(engine, replace(before, channels={**before.channels, name: weight}))
        requests = (SearchRequest.by_score(query.text, rerank_depth=0) for query in queries)
        runs[weight] = [_ranking(engine.search(request).hits) for request in requests]
        values[weight] = ndcg_at_10(queries, runs[weight])
    chosen = _best(values, default)
    if not fits(queries, runs[chosen]):
        chosen = default
    _use(engine, replace(before, channels={**before.channels, name: chosen}))
    return _means(values)


def _choose_recall_weight(
    engine: Engine, queries: Sequence[JudgedQuery]
) -> tuple[dict[str, float], Interval]:
    """Set the weight of the recall score.

    Returns:
        The mean nDCG@10 of reranking for each weight, and the improvement of nDCG@10 by reranking
        with the chosen weight.
    """
    default, recalled = engine.weights.recall, list[Ranking]()
    runs: dict[float, list[Ranking]] = {weight: [] for weight in (default, *RECALL_WEIGHTS)}
    for query in track(queries, "weight of recall", len(queries)):
        hits = engine.search(SearchRequest.by_score(query.text, page_size=MAX_PAGE_SIZE)).hits
        recalled.append(_recalled(hits))
        for weight, rankings in runs.items():
            rankings.append(_reranked(hits, weight))
    values = {weight: ndcg_at_10(queries, run) for weight, run in runs.items()}
    of_recall = ndcg_at_10(queries, recalled)
    chosen = best_recall_weight(values, of_recall, default)
    if not fits(queries, runs[chosen]):
        return _means(values), bootstrap(np.zeros(0))
    _use(engine, replace(engine.weights, recall=chosen))
    return _means(values), bootstrap(values[chosen] - of_recall)


def fits(queries: Sequence[JudgedQuery], run: Sequence[Ranking]) -> bool:
    """Return whether rankings fit the judgments of their queries better than of other queries."""
    order = np.random.default_rng(_SEED).permutation(len(queries)).tolist()
    other = [run[0]] * len(queries)
    for number, following in zip(order, order[1:] + order[:1], strict=True):
        other[number] = run[following]
    difference = ndcg_at_10(queries, run) - ndcg_at_10(queries, other)
    return bootstrap(difference).verdict == "better"


def best_recall_weight(
    values: Mapping[float, Float64[np.ndarray, "queries"]],
    of_recall: Float64[np.ndarray, "queries"],
    default: float,
) -> float:
    """Choose the weight of the recall score beside the reranker's logit.

    Args:
        values: The nDCG@10 of reranking with each weight.
        of_recall: The nDCG@10 of recall alone.
        default: The weight that stays unless another weight is surely better.

    Returns:
        A weight with which reranking is surely better than recall alone, if there is one.
    """
    chosen = _best(values, default)
    if bootstrap(values[chosen] - of_recall).low > 0:
        return chosen
    return max(values, key=lambda weight: values[weight].mean())


def _use(engine: Engine, weights: Weights) -> None:
    """Make an engine use weights from now on."""
    named = ",".join(f"{name}={weight!r}" for name, weight in weights.channels.items())
    engine.config = replace(engine.config, channel_weights=named, recall_weight=weights.recall)


def _best(values: Mapping[float, Float64[np.ndarray, "queries"]], default: float) -> float:
    """Return the weight with the best mean, or the default unless the best is surely better."""
    best = max(values, key=lambda weight: (values[weight].mean(), weight == default))
    return best if bootstrap(values[best] - values[default]).low > 0 else default


def _ranking(hits: Sequence[Hit]) -> Ranking:
    scores = np.array([hit.score for hit in hits], np.float32)
    return Ranking([hit.item_id for hit in hits], scores)


def _recalled(hits: Sequence[Hit]) -> Ranking:
    """Rank hits by their recall score alone."""
    return _ranking(sorted(hits, key=lambda hit: -(hit.recall_score or 0.0)))


def _reranked(hits: Sequence[Hit], recall_weight: float) -> Ranking:
    """Rank the reranked hits as the engine does with a weight of the recall score."""
    scores = {
        hit.item_id: hit.rerank_score + recall_weight * hit.recall_score
        for hit in hits
        if hit.rerank_score is not None and hit.recall_score is not None
    }
    best = sorted(scores, key=lambda item_id: -scores[item_id])
    return Ranking(best, np.array([scores[item_id] for item_id in best], np.float32))


def _means(values: Mapping[float, Float64[np.ndarray, "queries"]]) -> dict[str, float]:
    return {f"{weight:g}": round(float(values[weight].mean()), 4) for weight in sorted(values)}
