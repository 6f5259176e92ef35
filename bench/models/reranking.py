"""Compare reranking of the candidates of a query with other libraries."""

from pathlib import Path

import numpy as np

from bench.harness import inputs
from bench.harness.contest import Setups, contest
from bench.harness.rows import OURS, Measurement, Row, Sizes, compare
from bench.models import exported_peers, exporting, ours, torch_peers

ROUNDS = 15  # a round is short, so more rounds than for encoding
PAIRS = 50  # number of candidates of the query; equals the default `rerank_depth`
# Two rerankers give the same answers if they put at least this share of pairs in the same order.
_SAME_ORDER = 0.995
_REFERENCE = "CrossEncoder.predict, float32"


def reranking(work: Path, sizes: Sizes) -> Row:
    """Rerank the candidates of one query with each tool; compare the order of the scores."""
    pairs, rounds = candidates(), sizes.rounds or ROUNDS
    results = contest(_setups(work, pairs), rounds)
    exact = results[_REFERENCE].answer

    def agreement(scores: np.ndarray) -> tuple[bool, str]:
        share, most = pair_order_agreement(scores, exact), float(np.abs(scores - exact).max())
        how = f"{share:.2%} of all pairs of candidates have the same order, and scores differ by "
        return share >= _SAME_ORDER, f"{how}{most:.4f} at most"

    contestants = compare(results, len(pairs), agreement)
    return Row(f"rerank {len(pairs)} pairs", "pairs", rounds, contestants)


def candidates() -> list[tuple[str, str]]:
    """Return one query, paired with each of the `PAIRS` titles that BM25 ranks highest."""
    from catalog.store import ItemStore
    from train.evaluation.baseline import Bm25

    store = ItemStore(inputs.dataset().items)
    query = inputs.judged(1)[0][0]
    best = np.argsort(-Bm25(store).scores(query), kind="stable")[:PAIRS]
    return [(query, store.text("title")[row]) for row in best]


def pair_order_agreement(scores: np.ndarray, exact: np.ndarray) -> float:
    """Return the share of item pairs that two lists of scores put in the same order."""
    first, second = np.triu_indices(len(exact), 1)
    return float(
        (np.sign(scores[first] - scores[second]) == np.sign(exact[first] - exact[second])).mean()
    )


def _setups(work: Path, pairs: list[tuple[str, str]]) -> Setups:
    model = exporting.source(work, "cross-encoder")
    return {
        OURS: (ours.rerank, (pairs, model)),
        _REFERENCE: (torch_peers.rerank, (pairs, model, "float32")),
        "CrossEncoder.predict, bfloat16": (torch_peers.rerank, (pairs, model, "bfloat16")),
        "torch autocast, bfloat16": (torch_peers.rerank, (pairs, model, "autocast")),
        "torch autocast and compile, bfloat16": (torch_peers.rerank, (pairs, model, "compiled")),
        **exported_peers.setups(work, "cross-encoder", exported_peers.rerank, pairs),
    }


RERANKING = Measurement("rerank", __name__, exported_peers.PACKAGES, reranking)
