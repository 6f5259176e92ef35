"""Compare encoding, reranking and training steps of Shortlist, torch and ONNX Runtime."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.harness import inputs
from bench.harness.contest import Setups, Timed, contest, contests
from bench.index import vectors
from bench.models import ours, peers
from bench.report.results import Row
from towers.exact import ExactIndex, recall
from train.loop.huge_pages import huge_pages

STEPS = 4  # training steps per round
# Two encoders give the same answers if the cosine of each title's two vectors reaches this value.
_SAME_COSINE = 0.9999
# Two rerankers give the same answers if they put at least this share of pairs in the same order.
_SAME_ORDER = 0.995
_QUERIES = 200  # queries whose nearest titles are compared
_NEAREST = 10


def prepare(directory: Path) -> None:
    """Make the models of the comparison if they are missing."""
    if not peers.onnx_file(directory, "cross-encoder", "int8").is_file():
        directory.mkdir(parents=True, exist_ok=True)
        peers.make_cross_encoder(directory / "cross-encoder")
        peers.make_onnx(directory)


def encoding(directory: Path, rounds: int) -> list[Row]:
    """Compare bulk encoding of titles, and the nearest titles of real queries."""
    texts, queries = inputs.titles(), vectors.queries()[:_QUERIES]
    onnx = {name: peers.onnx_file(directory, "encoder", name) for name in ("float32", "int8")}
    setups: Setups = {
        "ours": (ours.encode, ()),
        "sentence-transformers, float32": (peers.st_encode, ("float32",)),
        "sentence-transformers, bfloat16": (peers.st_encode, ("bfloat16",)),
        "ONNX Runtime, float32": (peers.onnx_encode, (onnx["float32"],)),
        "ONNX Runtime, dynamic int8": (peers.onnx_encode, (onnx["int8"],)),
    }
    answers = dict(contests(setups, {"titles": (texts,), "queries": (queries,)}, rounds))
    results = {
        name: Timed(timed.seconds, (_unit(timed.answer), _unit(answers["queries"][name].answer)))
        for name, timed in answers["titles"].items()
    }
    exact = results["sentence-transformers, float32"].answer

    def agreement(answer: tuple[np.ndarray, np.ndarray]) -> tuple[bool, str]:
        cosine = float((answer[0] * exact[0]).sum(1).min())
        shared = recall(_nearest(*exact), _nearest(*answer))
        how = f"least cosine to float32 {cosine:.6f}, {shared:.2%} of a query's {_NEAREST} nearest"
        return cosine >= _SAME_COSINE, how

    return _rows(f"encode {len(texts):,} titles", results, len(texts), "items/s", agreement)


def reranking(directory: Path, rounds: int) -> list[Row]:
    """Compare reranking of the candidates of one query."""
    pairs, model = inputs.candidates(), directory / "cross-encoder"
    onnx = {name: peers.onnx_file(directory, "cross-encoder", name) for name in ("float32", "int8")}
    results = contest(
        {
            "ours": (ours.rerank, (pairs, model)),
            "CrossEncoder.predict, float32": (peers.st_rerank, (pairs, model, "float32")),
            "CrossEncoder.predict, bfloat16": (peers.st_rerank, (pairs, model, "bfloat16")),
            "ONNX Runtime, float32": (peers.onnx_rerank, (pairs, onnx["float32"])),
            "ONNX Runtime, dynamic int8": (peers.onnx_rerank, (pairs, onnx["int8"])),
        },
        rounds,
    )
    exact = results["CrossEncoder.predict, float32"].answer

    def agreement(answer: np.ndarray) -> tuple[bool, str]:
        share, correlation = pair_order_agreement(answer, exact), np.corrcoef(answer, exact)[0, 1]
        how = f"{share:.2%} of pairs in the order of float32, scores' correlation {correlation:.6f}"
        return share >= _SAME_ORDER, how

    return _rows(f"rerank {len(pairs)} pairs", results, len(pairs), "pairs/s", agreement)


def training(directory: Path, rounds: int) -> list[Row]:
    """Compare training steps of both stages."""
    model = directory / "cross-encoder"
    relevant = inputs.judged(64 * (STEPS + 1), relevant=True)
    judged = inputs.judged(32 * (STEPS + 1))
    rows = []
    for work, batch, setups in (
        (
            "two-tower training step, batch 64",
            64,
            {
                "ours": (ours.train_towers, (relevant, STEPS)),
                "SentenceTransformerTrainer, MNRL": (peers.st_train_towers, (relevant, STEPS)),
            },
        ),
        (
            "cross-encoder training step, batch 32",
            32,
            {
                "ours": (ours.train_cross_encoder, (judged, model, STEPS)),
                "CrossEncoderTrainer, BCE": (peers.st_train_cross_encoder, (judged, model, STEPS)),
            },
        ),
    ):
        results = contest(setups, rounds, {"ours": huge_pages(os.environ)})
        rows += _rows(work, results, batch * STEPS, "pairs/s", _not_compared)
    return rows


def _not_compared(_: np.ndarray | None) -> tuple[None, str]:
    # Training needs no comparison of answers: the rows of encoding and reranking already show that
    # all contestants use the same model.
    how = "the same pairs, weights and learning rate, dropout off"
    return None, f"{how}; each library's own loss and order"


def pair_order_agreement(scores: np.ndarray, exact: np.ndarray) -> float:
    """Return the share of item pairs that two lists of scores put in the same order."""
    first, second = np.triu_indices(len(exact), 1)
    return float(
        (np.sign(scores[first] - scores[second]) == np.sign(exact[first] - exact[second])).mean()
    )


def _rows(
    work: str,
    results: Mapping[str, Timed],
    count: int,
    unit: str,
    agreement: Callable[[Any], tuple[bool | None, str]],
) -> list[Row]:
    mine = results["ours"]
    ours_same, ours_how = agreement(mine.answer)
    rows = []
    for name, timed in results.items():
        if name != "ours":
            same, how = agreement(timed.answer)
            rows.append(
                Row(
                    work,
                    name,
                    mine.faster_than(timed),
                    f"{count / float(np.median(mine.seconds)):.1f} {unit}",
                    f"{count / float(np.median(timed.seconds)):.1f} {unit}",
                    None if same is None or ours_same is None else ours_same and same,
                    how if how == ours_how else f"theirs {how}; ours {ours_how}",
                    len(mine.seconds),
                )
            )
    return rows


def _nearest(titles: np.ndarray, queries: np.ndarray) -> np.ndarray:
    return ExactIndex(titles).search(queries, _NEAREST)[0]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
