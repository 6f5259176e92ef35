"""Contestants for encoding and reranking that run exported models: ONNX Runtime and OpenVINO."""

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from pathlib import Path

import numpy as np

from bench.harness.contest import Setups, Work
from bench.harness.machine import usable_cores
from bench.models import exporting
from bench.models.batches import BATCH_SIZES, Batch, Batches, Model, Texts, fastest
from bench.models.exporting import INPUTS

# Packages whose versions matter for encoding and reranking.
PACKAGES = (
    "jax", "numpy", "onnxruntime", "openvino", "sentence-transformers", "torch", "transformers",
)  # fmt: skip
# Opens a model file; returns the model with each configuration that may be the fastest.
Open = Callable[[Path], list[Model]]


def setups(work: Path, model: str, setup: Callable[..., Work], sample: Texts) -> Setups:
    """Return the contestants that run the exported model "encoder" or "cross-encoder"."""
    contestants = {
        "OpenVINO, bfloat16": (openvino_models, exporting.openvino_model),
        "ONNX Runtime, float32": (onnx_models, exporting.fused_onnx),
        "OpenVINO, int8": (openvino_models, exporting.int8_openvino),
        "ONNX Runtime, int8": (onnx_models, exporting.int8_onnx),
    }
    source = exporting.source(work, model)
    return {
        name: (setup, (source, open_models, export(work, model), sample))
        for name, (open_models, export) in contestants.items()
    }


def encode(source: Path, open_models: Open, file: Path, sample: Sequence[str]) -> Work:
    """Encode with the configuration and batch size that are fastest on a sample."""

    def outputs(batch: Batch, hidden: np.ndarray) -> np.ndarray:
        mask = batch[1][1][..., None].astype(np.float32)
        return np.asarray((hidden * mask).sum(1) / mask.sum(1))

    return _fastest(source, open_models(file), outputs, sample)


def rerank(source: Path, open_models: Open, file: Path, pairs: Sequence[tuple[str, str]]) -> Work:
    """Rerank with the configuration and batch size that are fastest on some pairs."""
    return _fastest(source, open_models(file), lambda _, logits: logits[:, 0], pairs)


def _fastest(
    source: Path,
    models: Iterable[Model],
    outputs: Callable[[Batch, np.ndarray], np.ndarray],
    sample: Texts,
) -> Work:
    """Return a function from texts to outputs, with the fastest model and batch size."""
    batches = Batches(source)

    def run(texts: Texts, model: Model, size: int) -> np.ndarray:
        parts: list[tuple[np.ndarray, np.ndarray]] = []

        def done(batch: Batch, output: np.ndarray) -> None:  # several threads may call this
            parts.append((batch[0], outputs(batch, output)))

        model(batches(texts, size), done)
        rows, values = map(np.concatenate, zip(*parts, strict=True))
        return np.asarray(values[np.argsort(rows)])

    model, size = fastest(product(models, BATCH_SIZES), lambda option: run(sample, *option))
    return lambda texts: run(texts, model, size)


def onnx_models(file: Path) -> list[Model]:
    """Open a model with ONNX Runtime, on all cores."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def run(batches: Iterable[Batch], done: Callable[[Batch, np.ndarray], None]) -> None:
        for batch in batches:
            done(batch, session.run(None, dict(zip(INPUTS, batch[1], strict=True)))[0])

    return [run]


def openvino_models(file: Path) -> list[Model]:
    """Open a model with OpenVINO in bfloat16.

    OpenVINO runs either one batch at a time on all cores, or one batch per core.
    """
    import openvino

    def opened(hint: str) -> Model:
        options = {"INFERENCE_PRECISION_HINT": "bf16", "PERFORMANCE_HINT": hint}
        queue = openvino.AsyncInferQueue(openvino.Core().compile_model(file, "CPU", options))

        def run(batches: Iterable[Batch], done: Callable[[Batch, np.ndarray], None]) -> None:
            queue.set_callback(
                lambda request, batch: done(batch, request.get_output_tensor().data.copy())
            )
            for batch in batches:
                queue.start_async(dict(zip(INPUTS, batch[1], strict=True)), batch)
            queue.wait_all()

        return run

    return [opened(hint) for hint in ("LATENCY", "THROUGHPUT")]
