"""Contestants for training steps: the trainers of sentence-transformers.

With `bf16`, torch computes matrix products in bfloat16 and keeps parameters in float32.
"""

import os
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bench.harness.contest import Work
from bench.harness.inputs import MAX_TOKENS
from bert.params import DEFAULT_PRETRAINED, resolve_pretrained

# Dropout is off, as in our training; it would cost the other contestants time.
_NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def train_towers(pairs: Sequence[tuple[str, str, float]], steps: int, bf16: bool) -> Work:
    """Train with SentenceTransformerTrainer, MultipleNegativesRankingLoss and batches of 64."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
    from sentence_transformers import SentenceTransformerTrainingArguments as Arguments
    from sentence_transformers.losses import MultipleNegativesRankingLoss

    source = str(resolve_pretrained(DEFAULT_PRETRAINED))
    model = SentenceTransformer(source, device="cpu", config_kwargs=_NO_DROPOUT)
    model.max_seq_length = MAX_TOKENS
    data = Dataset.from_dict(
        {"anchor": [query for query, *_ in pairs], "positive": [title for _, title, _ in pairs]}
    )
    arguments = partial(Arguments, per_device_train_batch_size=64, bf16=bf16)
    loss = MultipleNegativesRankingLoss(model)
    return _trained(SentenceTransformerTrainer, arguments, model, data, loss, steps)


def train_cross_encoder(
    pairs: Sequence[tuple[str, str, float]], directory: Path, steps: int, bf16: bool
) -> Work:
    """Train with CrossEncoderTrainer, BinaryCrossEntropyLoss and batches of 32."""
    from datasets import Dataset
    from sentence_transformers.cross_encoder import CrossEncoder, CrossEncoderTrainer
    from sentence_transformers.cross_encoder import (
        CrossEncoderTrainingArguments as Arguments,
    )
    from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss

    model = CrossEncoder(
        str(directory), device="cpu", max_length=MAX_TOKENS, config_kwargs=_NO_DROPOUT
    )
    columns = ("query", "title", "label")
    data = Dataset.from_dict(
        {name: [pair[index] for pair in pairs] for index, name in enumerate(columns)}
    )
    arguments = partial(Arguments, per_device_train_batch_size=32, bf16=bf16)
    return _trained(
        CrossEncoderTrainer, arguments, model, data, BinaryCrossEntropyLoss(model), steps
    )


def _trained(trainer: Any, arguments: Any, model: Any, data: Any, loss: Any, steps: int) -> Work:
    """Return a function that trains, timed from the end of the first step to that of the last."""
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        def __init__(self) -> None:
            self.times: list[float] = []

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.times.append(time.perf_counter())

    def work() -> tuple[float, None]:
        clock = Clock()
        options = arguments(
            output_dir=os.devnull + "-unused",
            max_steps=steps + 1,
            learning_rate=2e-5,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
        )
        trainer(model=model, args=options, train_dataset=data, loss=loss, callbacks=[clock]).train()
        return clock.times[-1] - clock.times[0], None

    return work
