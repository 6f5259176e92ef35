"""Contestants on torch and ONNX Runtime, each used as its own documentation shows."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.contest import Work
from bert.params import DEFAULT_PRETRAINED, resolve_pretrained

MAX_TOKENS = 64
_BATCH = 32  # the default of every peer
# Our training has no dropout, and dropout takes time.
_NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def st_encode(dtype: str) -> Work:
    """`SentenceTransformer.encode`."""
    import torch
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(resolve_pretrained(DEFAULT_PRETRAINED)), device="cpu")
    model.max_seq_length = MAX_TOKENS
    model = model.to(getattr(torch, dtype))
    return lambda texts: np.asarray(
        model.encode(list(texts), show_progress_bar=False, convert_to_numpy=True), np.float32
    )


def onnx_encode(file: Path) -> Work:
    """ONNX Runtime, with batches sorted by length as in sentence-transformers."""
    run = _onnx(file)

    def work(texts: Sequence[str]) -> np.ndarray:
        result = np.empty((len(texts), 384), np.float32)
        order = np.argsort([-len(text) for text in texts], kind="stable")
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            hidden, mask = run([texts[row] for row in rows])
            pooled = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
            result[rows] = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
        return result

    return work


def st_rerank(pairs: Sequence[tuple[str, str]], directory: Path, dtype: str) -> Work:
    """`CrossEncoder.predict`."""
    import torch
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(str(directory), device="cpu", max_length=MAX_TOKENS)
    model.model.to(getattr(torch, dtype))
    given = [list(pair) for pair in pairs]
    return lambda: model.predict(
        given, show_progress_bar=False, activation_fn=torch.nn.Identity()
    ).astype(np.float32)


def onnx_rerank(pairs: Sequence[tuple[str, str]], file: Path) -> Work:
    """ONNX Runtime, all pairs in one batch."""
    run = _onnx(file)
    first, second = [query for query, _ in pairs], [text for _, text in pairs]
    return lambda: run(first, second)[0][:, 0]


def make_cross_encoder(directory: Path) -> None:
    """Make MiniLM with a random head, the same for all contestants."""
    import torch
    from transformers import AutoTokenizer, BertForSequenceClassification

    torch.manual_seed(0)
    source = str(resolve_pretrained(DEFAULT_PRETRAINED))
    model = BertForSequenceClassification.from_pretrained(source, num_labels=1)
    model.classifier.weight.data.normal_(0.0, 1.0)
    model.save_pretrained(directory)
    AutoTokenizer.from_pretrained(source).save_pretrained(directory)


def onnx_file(directory: Path, model: str, numerics: str) -> Path:
    """Return the path of an "encoder" or "cross-encoder" in "float32" or "int8"."""
    return directory / f"{model}-fused-{numerics}.onnx"


def make_onnx(directory: Path) -> None:
    """Export the encoder and the cross-encoder, in float32 and dynamic int8.

    Both go through ONNX Runtime's own optimizer, which makes one operator of a layer's attention.
    It finds attention only in what the older exporter makes of its plain form: the newer exporter
    leaves the products apart, and 8% less speed at encoding and reranking in float32.
    """
    import torch
    from onnx import TensorProto
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers.optimizer import optimize_model
    from transformers import AutoModel, AutoModelForSequenceClassification

    sources = {
        "encoder": (AutoModel, str(resolve_pretrained(DEFAULT_PRETRAINED))),
        "cross-encoder": (AutoModelForSequenceClassification, str(directory / "cross-encoder")),
    }
    names = ["input_ids", "attention_mask", "token_type_ids"]

    class Named(torch.nn.Module):  # the older exporter passes inputs by position
        def __init__(self, model: Any) -> None:
            super().__init__()
            self.model = model

        def forward(self, *tokens: Any) -> Any:
            return self.model(**dict(zip(names, tokens, strict=True)))[0]

    for name, (kind, source) in sources.items():
        model = kind.from_pretrained(source, attn_implementation="eager").eval()
        file = onnx_file(directory, name, "float32")
        torch.onnx.export(
            Named(model),
            tuple(torch.ones((2, 8), dtype=torch.int64) for _ in names),
            file,
            input_names=names,
            dynamic_axes={each: {0: "batch", 1: "length"} for each in names},
            opset_version=17,
            dynamo=False,
        )
        shape = {"num_heads": model.config.num_attention_heads}
        shape["hidden_size"] = model.config.hidden_size
        fused = optimize_model(str(file), model_type="bert", opt_level=0, **shape)
        if fused.get_fused_operator_statistics()["Attention"] != model.config.num_hidden_layers:
            raise RuntimeError(f"ONNX Runtime's optimizer did not find the attention of {name}")
        fused.save_model_to_file(str(file))
        quantize_dynamic(
            file,
            onnx_file(directory, name, "int8"),
            weight_type=QuantType.QInt8,
            extra_options={"DefaultTensorType": TensorProto.FLOAT},  # of fused operators' results
        )


def st_train_towers(pairs: Sequence[tuple[str, str, float]], steps: int) -> Work:
    """Its trainer with MultipleNegativesRankingLoss, batches of 64 and no dropout."""
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
    return _trained(
        SentenceTransformerTrainer, Arguments, model, data, MultipleNegativesRankingLoss, 64, steps
    )


def st_train_cross_encoder(
    pairs: Sequence[tuple[str, str, float]], directory: Path, steps: int
) -> Work:
    """Its trainer with BinaryCrossEntropyLoss, batches of 32 and no dropout."""
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
        {name: [pair[at] for pair in pairs] for at, name in enumerate(columns)}
    )
    return _trained(CrossEncoderTrainer, Arguments, model, data, BinaryCrossEntropyLoss, 32, steps)


def _trained(
    trainer: Any, arguments: Any, model: Any, data: Any, loss: Any, batch: int, steps: int
) -> Work:
    """Trains for some steps; the seconds are those from the end of the first to the last."""
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
            per_device_train_batch_size=batch,
            max_steps=steps + 1,
            learning_rate=2e-5,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
        )
        trainer(
            model=model, args=options, train_dataset=data, loss=loss(model), callbacks=[clock]
        ).train()
        return clock.times[-1] - clock.times[0], None

    return work


def _onnx(file: Path) -> Any:
    import onnxruntime
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(resolve_pretrained(DEFAULT_PRETRAINED)))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = os.cpu_count() or 1
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]

    def run(*texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        tokens = tokenizer(
            *map(list, texts),
            padding=True,
            truncation=True,
            max_length=MAX_TOKENS,
            return_tensors="np",
        )
        result = session.run(None, {name: tokens[name].astype(np.int64) for name in names})[0]
        return result, tokens["attention_mask"].astype(np.float32)

    return run
