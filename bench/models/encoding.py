"""Compare bulk encoding of titles with other libraries."""

from pathlib import Path

import numpy as np

from bench.harness import inputs
from bench.harness.contest import Setups, Timed, contests
from bench.harness.rows import OURS, Measurement, Row, Sizes, compare
from bench.index import vectors
from bench.models import exported_peers, ours, torch_peers
from towers.exact import ExactIndex, recall

ROUNDS = 5
# Two encoders give the same answers if the cosine of each title's two vectors reaches this value.
_SAME_COSINE = 0.9999
_REFERENCE = "sentence-transformers, float32"
_SAMPLE = 256  # titles that choose batch sizes
_QUERIES = 200  # queries whose nearest titles are compared
_NEAREST = 10


def encoding(work: Path, sizes: Sizes) -> Row:
    """Encode titles with each tool; compare the vectors, and the nearest titles of queries."""
    texts, rounds = inputs.titles(sizes.titles), sizes.rounds or ROUNDS
    tasks = {"titles": (texts,), "queries": (vectors.queries()[:_QUERIES],)}
    answers = dict(contests(_setups(work, texts[:_SAMPLE]), tasks, rounds))
    results = {
        name: Timed(timed.seconds, (_unit(timed.answer), _unit(answers["queries"][name].answer)))
        for name, timed in answers["titles"].items()
    }
    exact = results[_REFERENCE].answer

    def agreement(answer: tuple[np.ndarray, np.ndarray]) -> tuple[bool, str]:
        cosine = float((answer[0] * exact[0]).sum(1).min())
        shared = recall(_nearest(*exact), _nearest(*answer))
        how = f"the least cosine is {cosine:.6f}, and {shared:.2%} of the nearest titles are equal"
        return cosine >= _SAME_COSINE, how

    contestants = compare(results, len(texts), agreement)
    return Row(f"encode {len(texts):,} titles", "titles", rounds, contestants)


def _setups(work: Path, sample: list[str]) -> Setups:
    return {
        OURS: (ours.encode, ()),
        _REFERENCE: (torch_peers.encode, (sample, "float32")),
        "sentence-transformers, bfloat16": (torch_peers.encode, (sample, "bfloat16")),
        "torch autocast, bfloat16": (torch_peers.encode, (sample, "autocast")),
        "torch autocast and compile, bfloat16": (torch_peers.encode, (sample, "compiled")),
        **exported_peers.setups(work, "encoder", exported_peers.encode, sample),
    }


def _nearest(titles: np.ndarray, queries: np.ndarray) -> np.ndarray:
    return ExactIndex(titles).search(queries, _NEAREST)[0]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


ENCODING = Measurement("encode", __name__, exported_peers.PACKAGES, encoding)
