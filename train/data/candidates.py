"""Candidate lists of the reranker's training: judged items, and a few unjudged recalled items."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int, Int32

from base.errors import InputError
from catalog.equal_rows import first_of_equals
from rerank.features import feature_matrix
from search.channels.base import Query
from search.feature_source import FeatureSource
from search.request import DENSE
from towers.vectors import Vectors
from train.data.mine import MinedCandidates
from train.data.relevance import Relevance
from train.progress import track


@dataclass(frozen=True)
class CandidatesConfig:
    """Settings of the reranker's training lists."""

    candidates: int = 10  # maximum number of candidates in a list
    unjudged: int = 4  # maximum number of recalled, unjudged candidates in a list
    # an unjudged candidate's cosine must be below the mean cosine of the relevant items by more
    # than this share of the mean
    margin: float = 0.05
    unjudged_weight: float = 0.5  # weight of an unjudged candidate; a judged one has weight 1
    max_queries: int = 0  # maximum number of training queries, drawn at random; 0 takes all

    def __post_init__(self) -> None:
        """Check that lists have room for a judged item, and that values are in range."""
        if not 0 <= self.unjudged < self.candidates:
            raise InputError(
                f"candidates: unjudged {self.unjudged} is not between 0 and candidates "
                f"{self.candidates} - 1"
            )
        if not 0 < self.unjudged_weight <= 1:
            raise InputError(
                f"candidates: unjudged_weight {self.unjudged_weight} is not above 0 and at most 1"
            )
        if not 0 <= self.margin < 1:
            raise InputError(f"candidates: margin {self.margin} is not at least 0 and below 1")


@dataclass(frozen=True)
class CandidateLists:
    """Candidate lists, stored end to end.

    Attributes:
        query: Query of each list, as an index into the queries of a `Relevance`.
        start: Index of the first candidate of each list, then the total number of candidates.
        row: Item row of each candidate.
        cosine: Cosine of each candidate and its query, from the towers.
        gain: Grade minus the lowest possible grade; 0 for an unjudged candidate.
        weight: 1 for a judged candidate, less for an unjudged one.
        judged: Whether the candidate has a judgment.
    """

    query: Int32[np.ndarray, " lists"]
    start: Int32[np.ndarray, " lists_and_one"]
    row: Int32[np.ndarray, " candidates"]
    cosine: Float32[np.ndarray, " candidates"]
    gain: Float32[np.ndarray, " candidates"]
    weight: Float32[np.ndarray, " candidates"]
    judged: Bool[np.ndarray, " candidates"]

    def __len__(self) -> int:
        return len(self.query)


def unjudged_negatives(
    recalled: Int[np.ndarray, " depth"],
    cosines: Float32[np.ndarray, " depth"],
    judged: Int[np.ndarray, " judged"],
    positive_cosine: float,
    config: CandidatesConfig,
) -> Int32[np.ndarray, " ranks"]:
    """Return the ranks of the hardest recalled items that may count as negatives, best first.

    An unjudged item may be relevant, so it counts as a negative only if its cosine is below
    `positive_cosine` by more than the share `margin` of `positive_cosine` (relative margin, as in
    NV-Retriever, Moreira et al., 2024, arXiv 2407.15831).
    """
    below = cosines < positive_cosine - config.margin * abs(positive_cosine)
    allowed = below & ~np.isin(recalled, judged)
    return np.flatnonzero(allowed)[: config.unjudged].astype(np.int32)


def training_lists(
    relevance: Relevance,
    recalled: MinedCandidates,
    vectors: Vectors,
    queries: Sequence[Query],
    texts: Sequence[str],
    config: CandidatesConfig,
    seed: int,
) -> CandidateLists:
    """Make one list for each `train` query with a relevant item.

    Args:
        relevance: Judged pairs of all splits.
        recalled: Recalled candidates of each query of `relevance`.
        vectors: Item vectors by row.
        queries: The queries of `relevance`, with their vectors.
        texts: Item texts by row. An unjudged item with the text of a judged item is no negative.
        config: Sizes of the lists, and the margin.
        seed: Seed of the judged items drawn for long lists, and of the queries drawn if
            `max_queries` limits them.
    """
    random = np.random.default_rng(seed)
    lists = []
    text = first_of_equals(texts)
    train = [n for n, split in enumerate(relevance.splits) if split == "train"]
    if config.max_queries:
        train = sorted(random.permutation(train)[: config.max_queries].tolist())
    for query in train:
        pairs = relevance.pairs_of(query)
        judged, gains = relevance.item[pairs], relevance.gain[pairs]
        relevant = relevance.relevant[pairs]
        if not relevant.any():
            continue
        cosines = vectors[judged] @ queries[query].vector
        ranks = unjudged_negatives(
            text[recalled.rows[query]],
            recalled.cosines[query],
            text[judged],
            float(cosines[relevant].mean()),
            config,
        )
        chosen = _choose(gains, config.candidates - len(ranks), random)
        row = np.concatenate([judged[chosen], recalled.rows[query][ranks]])
        cosine = np.concatenate([cosines[chosen], recalled.cosines[query][ranks]])
        gain = np.concatenate([gains[chosen], np.zeros(len(ranks), np.float32)])
        is_judged = np.arange(len(row)) < len(chosen)
        weight = np.where(is_judged, 1.0, config.unjudged_weight)
        if len(row) > 1:
            lists.append((query, row, cosine, gain, weight, is_judged))
    return _end_to_end(lists)


def dev_lists(
    relevance: Relevance, recalled: MinedCandidates, *, queries: int, depth: int, seed: int
) -> CandidateLists:
    """Make lists of the recalled candidates of `dev` queries; unjudged items have gain 0.

    Queries without a gain are left out.
    """
    dev = relevance.queries_with_gain("dev")
    chosen = sorted(np.random.default_rng(seed).permutation(dev)[:queries].tolist())
    lists = []
    for query in chosen:
        pairs = relevance.pairs_of(query)
        grades = dict(zip(relevance.item[pairs].tolist(), relevance.gain[pairs], strict=True))
        row = recalled.rows[query][:depth]
        gain = np.array([grades.get(int(r), 0.0) for r in row], np.float32)
        judged = np.isin(row, relevance.item[pairs])
        lists.append((query, row, recalled.cosines[query][:depth], gain, np.ones(len(row)), judged))
    return _end_to_end(lists)


def list_features(
    lists: CandidateLists, queries: Sequence[Query], source: FeatureSource
) -> Float32[np.ndarray, "candidates features"]:
    """Compute the features of every candidate, with the code that serving uses.

    Args:
        lists: The candidate lists.
        queries: The queries of the `Relevance` that the lists were made from.
        source: The source of the features.
    """
    parts = []
    for number in track(range(len(lists)), "features", len(lists)):
        inside = slice(lists.start[number], lists.start[number + 1])
        query, known = queries[lists.query[number]], {DENSE: lists.cosine[inside]}
        parts.append(feature_matrix(source.inputs(query, lists.row[inside], known)))
    return np.concatenate(parts)


def _choose(
    gains: Float32[np.ndarray, " judged"], most: int, random: np.random.Generator
) -> Int32[np.ndarray, " chosen"]:
    """Choose at most `most` judged items: the best for one half, random items for the other."""
    if len(gains) <= most:
        return np.arange(len(gains), dtype=np.int32)
    order = np.argsort(-gains, kind="stable")
    best, rest = order[: (most + 1) // 2], order[(most + 1) // 2 :]
    return np.concatenate([best, random.permutation(rest)[: most - len(best)]]).astype(np.int32)


def _end_to_end(
    lists: list[tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]],
) -> CandidateLists:
    columns = list(zip(*lists, strict=True)) or [()] * 6
    start = np.cumsum([0, *(len(row) for row in columns[1])]).astype(np.int32)

    def values(column: int, kind: type) -> np.ndarray:
        return np.concatenate([np.zeros(0, kind), *columns[column]]).astype(kind)

    return CandidateLists(
        np.array(columns[0], np.int32),
        start,
        values(1, np.int32),
        values(2, np.float32),
        values(3, np.float32),
        values(4, np.float32),
        values(5, np.bool_),
    )
