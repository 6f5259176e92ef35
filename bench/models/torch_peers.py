"""Contestants on torch for encoding and reranking: sentence-transformers.

There are four variants of number types:

- `float32` is the default.
- `bfloat16` converts the whole model to bfloat16.
- `autocast` computes matrix products in bfloat16 and keeps parameters in float32.
- `compiled` is `autocast` with a model that `torch.compile` compiled for inference.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bench.harness.contest import Work
from bench.harness.inputs import MAX_TOKENS
from bench.models.batches import BATCH_SIZES, fastest
from bert.params import DEFAULT_PRETRAINED, resolve_pretrained

Variant = Literal["float32", "bfloat16", "autocast", "compiled"]


def encode(sample: Sequence[str], variant: Variant) -> Work:
    """Encode with `SentenceTransformer.encode`, with the batch size that is fastest on a sample."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(resolve_pretrained(DEFAULT_PRETRAINED)), device="cpu")
    model.max_seq_length = MAX_TOKENS
    run = _prepared(model, model[0].auto_model, variant, model.encode)
    size = fastest(BATCH_SIZES, lambda size: run(list(sample), batch_size=size))
    return lambda texts: run(list(texts), batch_size=size)


def rerank(sample: Sequence[tuple[str, str]], directory: Path, variant: Variant) -> Work:
    """Rerank with `CrossEncoder.predict`, with the batch size that is fastest on some pairs."""
    import torch
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(str(directory), device="cpu", max_length=MAX_TOKENS)
    run = _prepared(model, model.model, variant, model.predict)

    def scores(pairs: Sequence[tuple[str, str]], size: int) -> np.ndarray:
        return run(list(pairs), batch_size=size, activation_fn=torch.nn.Identity())

    size = fastest(BATCH_SIZES, partial(scores, sample))
    return partial(scores, size=size)


def _prepared(
    model: Any, network: Any, variant: Variant, method: Callable[..., Any]
) -> Callable[..., np.ndarray]:
    """Convert or compile a model; return its method, with results in float32."""
    import torch

    if variant == "bfloat16":
        model.to(torch.bfloat16)
    if variant == "compiled":
        import torch._inductor.config

        torch._inductor.config.freezing = True  # converts and packs the weights once
        network.forward = torch.compile(network.forward, dynamic=True)
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=variant in ("autocast", "compiled"))

    def run(texts: Sequence[Any], **options: Any) -> np.ndarray:
        with torch.no_grad(), autocast:
            return np.asarray(method(texts, show_progress_bar=False, **options), np.float32)

    return run
