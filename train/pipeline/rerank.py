"""The `rerank` step: train the cross-encoder and its fusion on graded candidate lists."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Bool, Float32, Float64, Int64

from base.errors import InputError
from bert.batch import Packed
from bert.numerics import Numerics
from bert.tokens import Tokenised, Tokenizer
from catalog.item_text import item_text
from rerank.features import FEATURES, FeatureStatistics
from rerank.losses import pairwise_logistic, weighted_listwise_softmax
from rerank.model import Reranker, RerankerConfig, with_features
from rerank.scorer import PairScorer
from rerank.tokens import tokenise_pairs
from search.channels.base import Query
from search.feature_source import FeatureSource
from train.data.batches import Packer, shuffled_plan
from train.data.candidates import CandidateLists, list_features
from train.data.relevance import Relevance
from train.evaluation.guard import Rule, decide
from train.evaluation.metrics import bootstrap, ndcg
from train.loop.fit import Loss, TrainingSetup, fit
from train.loop.parameters import Params, encoder_parameters, split

logger = logging.getLogger(__name__)

DEV_RANKS = 10  # ranks that the dev metric counts


@dataclass(frozen=True)
class ListsConfig:
    """Batches of the reranker's training, and its evaluation on `dev`."""

    batch: int = 8  # number of lists in a training step
    # weight of the pairwise loss over judged items; the listwise loss over all items has weight 1
    pairwise: float = 0.5
    dev_queries: int = 100  # number of `dev` queries, on which the best step is chosen
    dev_depth: int = 20  # recalled candidates to rerank for each `dev` query

    def __post_init__(self) -> None:
        """Check that counts are at least 1, and the weight is not negative."""
        for name in ("batch", "dev_queries", "dev_depth"):
            if getattr(self, name) < 1:
                raise InputError(f"lists: {name} is {getattr(self, name)}; give 1 or more")
        if not self.pairwise >= 0:
            raise InputError(f"lists: pairwise is {self.pairwise}; give 0 or more")


class ListBatch(NamedTuple):
    """The inputs of one training step: packed pairs, and the pairs of each list."""

    packed: Packed
    features: Float32[np.ndarray, "pairs inputs"]
    pair: Int64[np.ndarray, "lists candidates"]  # pair numbers; 0 after a list's end
    where: Bool[np.ndarray, "lists candidates"]
    gains: Float32[np.ndarray, "lists candidates"]
    weights: Float32[np.ndarray, "lists candidates"]
    judged: Bool[np.ndarray, "lists candidates"]


@dataclass(frozen=True)
class ListLoader:
    """Makes training batches of candidate lists."""

    lists: CandidateLists
    features: Float32[np.ndarray, "candidates inputs"]  # standardised
    packer: Packer
    width: int  # number of candidates in the longest list

    @classmethod
    def fitting(
        cls,
        lists: CandidateLists,
        tokenised: Tokenised,
        features: Float32[np.ndarray, "candidates inputs"],
        plan: Sequence[Int64[np.ndarray, "batch"]],
        devices: int,
    ) -> "ListLoader":
        """Make a loader whose batches all have one shape."""
        batches = [_candidates(lists, batch) for batch in plan]
        packer = Packer.fitting(tokenised, batches, devices=devices)
        return cls(lists, features, packer, int(np.diff(lists.start).max()))

    def __call__(self, numbers: Int64[np.ndarray, "batch"]) -> ListBatch:
        """Make one batch from the lists with these numbers."""
        chosen = _candidates(self.lists, numbers)
        sizes = np.diff(self.lists.start)[numbers]
        where = np.arange(self.width) < sizes[:, None]
        pair = np.where(where, (np.cumsum(sizes) - sizes)[:, None] + np.arange(self.width), 0)
        features = np.zeros((self.packer.count or len(chosen), self.features.shape[1]), np.float32)
        features[: len(chosen)] = self.features[chosen]
        return ListBatch(
            self.packer(chosen),
            features,
            pair,
            where,
            np.where(where, self.lists.gain[chosen][pair], 0).astype(np.float32),
            np.where(where, self.lists.weight[chosen][pair], 1).astype(np.float32),
            where & self.lists.judged[chosen][pair],
        )


@dataclass(frozen=True)
class PairInputs:
    """What the reranker reads of each candidate and its query: their texts, and features."""

    relevance: Relevance  # the candidate lists were made from it
    queries: Sequence[Query]  # the queries of `relevance`, with the vectors of the towers
    source: FeatureSource  # the same features as in serving
    tokenizer: Tokenizer  # of the reranker's encoder

    def features(self, lists: CandidateLists) -> Float32[np.ndarray, "candidates inputs"]:
        """Compute the features of each candidate."""
        return list_features(lists, self.queries, self.source)

    def tokenise(self, lists: CandidateLists, config: RerankerConfig) -> tuple[Tokenised, int]:
        """Tokenise each candidate with its query; also return the number of pairs that were cut."""
        queries = np.repeat(lists.query, np.diff(lists.start))
        items, roles = self.source.catalogue, self.source.catalogue.roles
        texts = {row: item_text(items.item(row), roles) for row in np.unique(lists.row).tolist()}
        return tokenise_pairs(
            self.tokenizer,
            config,
            [self.relevance.queries[query] for query in queries],
            [texts[row] for row in lists.row.tolist()],
        )


def train_reranker(
    reranker: Reranker,
    pairs: PairInputs,
    numerics: Numerics,
    training: CandidateLists,
    dev: CandidateLists,
    config: ListsConfig,
    setup: TrainingSetup,
    *,
    earlier: PairScorer | None = None,
    rule: Rule = "always",
) -> tuple[Reranker, FeatureStatistics, dict[str, Any]]:
    """Train a reranker, and return the weights with the best metric on `dev`.

    Args:
        reranker: The initial reranker.
        pairs: What the reranker reads of the candidates.
        numerics: Input type of matrix products.
        training: Lists to train on; at least one.
        dev: Lists on which the best step is chosen.
        config: Settings of batches and of the `dev` metric.
        setup: Settings, devices and directories of the training loop.
        earlier: The reranker that training continues with, as it was. None for a new reranker.
        rule: When to take the trained reranker instead of the earlier one.

    Returns:
        The trained reranker, the statistics of its features, and a report. If there is an earlier
        reranker, the report has the decision by `rule`.
    """
    features = pairs.features(training)
    statistics = FeatureStatistics.of(features)
    log_untrained(statistics)
    reranker = with_features(reranker, statistics.names)  # an older reranker may lack features
    tokenised, cut = pairs.tokenise(training, reranker.config)
    plan = shuffled_plan(len(training), config.batch, epochs=setup.config.epochs, seed=setup.seed)
    inputs = statistics.standardise(features)
    scorer = PairScorer(reranker, statistics, pairs.tokenizer, numerics)
    build, initial = split(reranker)
    values = dev_values(dev, pairs, reranker.config)

    def metric(params: Params) -> float:
        scorer.update(build(params))
        return float(values(scorer).mean())

    best, report = fit(
        initial,
        lists_loss(build, numerics.input_dtype, config.pairwise),
        plan,
        ListLoader.fitting(training, tokenised, inputs, plan, setup.devices),
        setup,
        encoder=encoder_parameters(reranker),
        evaluate=metric if len(dev) else None,
    )
    report |= {"lists": len(training), "pairs": len(training.row), "truncated": cut}
    trained = build(best)
    if earlier is not None:
        scorer.update(trained)
        difference = bootstrap(values(scorer) - values(earlier))
        report["guard"] = decide("reranker", "the earlier one stays", rule, difference).to_json()
    return trained, statistics, report


def log_untrained(statistics: FeatureStatistics) -> None:
    """Log the features that training learns nothing from."""
    for feature, trained in zip(FEATURES, statistics.trained, strict=True):
        if not trained:
            logger.info(
                "feature not trained, because it is constant or missing: feature=%s missing=%r",
                feature.name,
                feature.missing,
            )


def lists_loss(build: Callable[[Params], Reranker], dtype: DTypeLike, pairwise: float) -> Loss:
    """Make the training loss: listwise softmax of all items, and pairwise loss of judged items."""

    def loss(params: Params, batch: ListBatch, key: Array | None) -> tuple[Array, dict[str, Array]]:
        pairs = build(params).score_packed(
            batch.packed, jnp.asarray(batch.features), dtype=dtype, dropout_key=key
        )
        scores, gains = pairs[batch.pair], jnp.asarray(batch.gains)
        listwise = weighted_listwise_softmax(
            scores, gains, where=jnp.asarray(batch.where), weights=jnp.asarray(batch.weights)
        )
        judged = pairwise_logistic(scores, gains, where=jnp.asarray(batch.judged))
        return listwise + pairwise * judged, {"listwise": listwise, "pairwise": judged}

    return loss


def dev_values(
    lists: CandidateLists, pairs: PairInputs, config: RerankerConfig
) -> Callable[[PairScorer], Float64[np.ndarray, "lists"]]:
    """Make the `dev` metric of a scorer: nDCG@10 of the reranked candidates of each query.

    The ideal ranking contains all judged items, including items that are not recalled.
    """
    if not len(lists):
        return lambda _: np.zeros(0)
    features, (tokenised, _) = pairs.features(lists), pairs.tokenise(lists, config)
    depth = int(np.diff(lists.start).max())
    gains = lists.gain.reshape(len(lists), depth)
    relevance = pairs.relevance
    judged = [relevance.gain[relevance.pairs_of(query)] for query in lists.query.tolist()]
    ideal = np.zeros((len(judged), max(map(len, judged))), np.float32)
    for row, of_query in enumerate(judged):
        ideal[row, : len(of_query)] = of_query

    def values(scorer: PairScorer) -> Float64[np.ndarray, "lists"]:
        scores = scorer.run(tokenised, features).reshape(len(lists), depth)
        order = np.argsort(-scores, axis=1, kind="stable")
        return ndcg(np.take_along_axis(gains, order, axis=1), ideal, DEV_RANKS)

    return values


def _candidates(
    lists: CandidateLists, numbers: Int64[np.ndarray, "batch"]
) -> Int64[np.ndarray, "candidates"]:
    """Return the candidate numbers of the given lists, list after list."""
    spans = [np.arange(lists.start[n], lists.start[n + 1]) for n in numbers]
    return np.concatenate(spans).astype(np.int64)
