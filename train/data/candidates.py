"""Candidate lists that the reranker is trained on: judged items, and a few that stage 1 recalls."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int, Int32

from base.errors import InputError
from rerank.features import feature_matrix
from search.signals import SignalSource
from towers.vectors import Vectors
from train.data.mine import Recalled
from train.data.relevance import Relevance, first_of_equals
from train.progress import track


@dataclass(frozen=True)
class CandidatesConfig:
    """Which candidates a training list has."""

    candidates: int = 10  # most candidates of a list
    unjudged: int = 4  # of them, most that stage 1 recalled and nobody judged
    margin: float = 0.05  # how far below the judged positives' cosine an unjudged one must lie
    unjudged_weight: float = 0.5  # how far an unjudged item is believed to be a negative
    max_queries: int = 0  # most training queries, chosen by seed; 0 takes all

    def __post_init__(self) -> None:
        """Refuse lists that cannot hold a positive, and weights that are none."""
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
    """Lists of candidates end to end.

    Attributes:
        query: Query of each list, as an index into the `Relevance` they come from.
        start: Where each list starts, and behind the last one where it ends.
        row: Item row of each candidate.
        cosine: Tower cosine of each.
        gain: Grade above the least grade; 0 for an unjudged candidate.
        weight: 1 for a judged candidate, less for an unjudged one.
        judged: Whether somebody judged the candidate.
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
) -> Int32[np.ndarray, " places"]:
    """Places of the hardest recalled items that may count as negatives, best first.

    An item that nobody judged may well be relevant. It counts only if stage 1 puts it clearly
    below the judged positives: its cosine lies under theirs by more than `margin` of it (relative
    margin, as in NV-Retriever, Moreira et al., 2024, arXiv 2407.15831).
    """
    below = cosines < positive_cosine - config.margin * abs(positive_cosine)
    allowed = below & ~np.isin(recalled, judged)
    return np.flatnonzero(allowed)[: config.unjudged].astype(np.int32)


def training_lists(
    relevance: Relevance,
    recalled: Recalled,
    vectors: Vectors,
    queries: Float32[np.ndarray, "queries dim"],
    texts: Sequence[str],
    config: CandidatesConfig,
    seed: int,
) -> CandidateLists:
    """One list for each `train` query with a relevant item.

    Args:
        relevance: Judged pairs of all splits.
        recalled: Stage 1's candidates of each of its queries.
        vectors: Item vectors by row.
        queries: Vectors of its queries.
        texts: Item texts by row; an item that reads like a judged one is no negative.
        config: Sizes and the margin.
        seed: Decides which judged items a long list keeps, and which queries if not all.
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
        cosines = vectors[judged] @ queries[query]
        places = unjudged_negatives(
            text[recalled.rows[query]],
            recalled.cosines[query],
            text[judged],
            float(cosines[relevant].mean()),
            config,
        )
        kept = _keep(gains, config.candidates - len(places), random)
        row = np.concatenate([judged[kept], recalled.rows[query][places]])
        cosine = np.concatenate([cosines[kept], recalled.cosines[query][places]])
        gain = np.concatenate([gains[kept], np.zeros(len(places), np.float32)])
        known = np.arange(len(row)) < len(kept)
        weight = np.where(known, 1.0, config.unjudged_weight)
        if len(row) > 1:
            lists.append((query, row, cosine, gain, weight, known))
    return _end_to_end(lists)


def dev_lists(
    relevance: Relevance, recalled: Recalled, *, queries: int, depth: int, seed: int
) -> CandidateLists:
    """What stage 1 recalls for some `dev` queries, as serving would rerank it; unjudged gain 0."""
    dev = [n for n, split in enumerate(relevance.splits) if split == "dev"]
    chosen = sorted(np.random.default_rng(seed).permutation(dev)[:queries].tolist())
    lists = []
    for query in chosen:
        pairs = relevance.pairs_of(query)
        grades = dict(zip(relevance.item[pairs].tolist(), relevance.gain[pairs], strict=True))
        row = recalled.rows[query][:depth]
        gain = np.array([grades.get(int(r), 0.0) for r in row], np.float32)
        known = np.isin(row, relevance.item[pairs])
        lists.append((query, row, recalled.cosines[query][:depth], gain, np.ones(len(row)), known))
    return _end_to_end(lists)


def list_features(
    lists: CandidateLists, relevance: Relevance, source: SignalSource
) -> Float32[np.ndarray, "candidates features"]:
    """Features of every candidate, by the code that serves."""
    parts = []
    for number in track(range(len(lists)), "features", len(lists)):
        inside = slice(lists.start[number], lists.start[number + 1])
        query = relevance.queries[lists.query[number]]
        candidates = source.gather(query, lists.row[inside], lists.cosine[inside])
        parts.append(feature_matrix(candidates))
    return np.concatenate(parts)


def _keep(
    gains: Float32[np.ndarray, " judged"], most: int, random: np.random.Generator
) -> Int32[np.ndarray, " kept"]:
    """Judged items of a list: all, or the best half of the room and a random choice of the rest."""
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

    def joined(column: int, kind: type) -> np.ndarray:
        return np.concatenate([np.zeros(0, kind), *columns[column]]).astype(kind)

    return CandidateLists(
        np.array(columns[0], np.int32),
        start,
        joined(1, np.int32),
        joined(2, np.float32),
        joined(3, np.float32),
        joined(4, np.float32),
        joined(5, np.bool_),
    )
