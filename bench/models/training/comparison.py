"""Compare training steps of both stages with the trainers of sentence-transformers."""

import os
from pathlib import Path
from typing import Any

from bench.harness import inputs
from bench.harness.contest import Setups, contest
from bench.harness.rows import OURS, Measurement, Row, Sizes, compare
from bench.models import exporting
from bench.models.training import ours, trainers
from train.loop.huge_pages import huge_pages

ROUNDS = 7
_TOWERS_BATCH, _CROSS_ENCODER_BATCH = 64, 32
_PACKAGES = (
    "accelerate", "jax", "numpy", "optax", "sentence-transformers", "torch", "transformers",
)  # fmt: skip


def towers(_: Path, sizes: Sizes) -> Row:
    """Train both towers with each tool."""
    pairs = inputs.judged(_TOWERS_BATCH * (sizes.steps + 1), relevant=True)
    train = trainers.train_towers
    setups: Setups = {
        OURS: (ours.train_towers, (pairs, sizes.steps)),
        "SentenceTransformerTrainer, bf16": (train, (pairs, sizes.steps, True)),
        "SentenceTransformerTrainer, float32": (train, (pairs, sizes.steps, False)),
    }
    return _row("train two towers", _TOWERS_BATCH, setups, sizes)


def cross_encoder(work: Path, sizes: Sizes) -> Row:
    """Train the cross-encoder with each tool."""
    pairs = inputs.judged(_CROSS_ENCODER_BATCH * (sizes.steps + 1))
    common = (pairs, exporting.source(work, "cross-encoder"), sizes.steps)
    train = trainers.train_cross_encoder
    setups: Setups = {
        OURS: (ours.train_cross_encoder, common),
        "CrossEncoderTrainer, bf16": (train, (*common, True)),
        "CrossEncoderTrainer, float32": (train, (*common, False)),
    }
    return _row("train a cross-encoder", _CROSS_ENCODER_BATCH, setups, sizes)


def _row(work: str, batch: int, setups: Setups, sizes: Sizes) -> Row:
    rounds = sizes.rounds or ROUNDS
    results = contest(setups, rounds, {OURS: huge_pages(os.environ)})
    contestants = compare(results, batch * sizes.steps, _not_compared)
    return Row(f"{work} in batches of {batch}", "pairs", rounds, contestants)


def _not_compared(_: Any) -> tuple[None, str]:
    # The rows of encoding and reranking already show that all tools use the same model.
    return None, "not compared, because each tool has its own loss and order of pairs"


TRAINING = (
    Measurement("train-towers", __name__, _PACKAGES, towers),
    Measurement("train-cross-encoder", __name__, _PACKAGES, cross_encoder),
)
