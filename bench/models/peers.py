"""Contestants on torch and ONNX Runtime, each used as its documentation shows."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.harness.contest import Work
from bert.params import DEFAULT_PRETRAINED, resolve_pretrained

MAX_TOKENS = 64
_BATCH = 32  # the default batch size of every library here
# Dropout is off, as in our training; it would cost the other contestants time.
_NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def st_encode(dtype: str) -> Work:
    """Encode with `SentenceTransformer.encode`."""
    import torch
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(resolve_pretrained(DEFAULT_PRETRAINED)), device="cpu")
    model.max_seq_length = MAX_TOKENS
    model = model.to(getattr(torch, dtype))
    return lambda texts: np.asarray(
        model.encode(list(texts), show_progress_bar=False, convert_to_numpy=True), np.float32
    )


def onnx_encode(file: Path) -> Work:
    """Encode with ONNX Runtime, in batches sorted by length as in sentence-transformers."""
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
    """Rerank with `CrossEncoder.predict`."""
    import torch
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(str(directory), device="cpu", max_length=MAX_TOKENS)
    model.model.to(getattr(torch, dtype))
    inputs = [list(pair) for pair in pairs]
    return lambda: model.predict(
        inputs, show_progress_bar=False, activation_fn=torch.nn.Identity()
    ).astype(np.float32)


def onnx_rerank(pairs: Sequence[tuple[str, str]], file: Path) -> Work:
    """Rerank with ONNX Runtime, all pairs in one batch."""
    run = _onnx(file)
    first, second = [query for query, _ in pairs], [text for _, text in pairs]
    return lambda: run(first, second)[0][:, 0]


def make_cross_encoder(directory: Path) -> None:
    """Save MiniLM with a random head; all contestants use this model."""
    import torch
    from transformers import AutoTokenizer, BertForSequenceClassification

    torch.manual_seed(0)
    source = str(resolve_pretrained(DEFAULT_PRETRAINED))
    model = BertForSequenceClassification.from_pretrained(source, num_labels=1)
    model.classifier.weight.data.normal_(0.0, 1.0)
    model.save_pretrained(directory)
    AutoTokenizer.from_pretrained(source).save_pretrained(directory)


def onnx_file(directory: Path, model: str, numerics: str) -> Path:
    """Return the path of a model ("encoder", "cross-encoder") in "float32" or "int8"."""
    return directory / f"{model}-fused-{numerics}.onnx"


def make_onnx(directory: Path) -> None:
    """Export the encoder and the cross-encoder, in float32 and dynamic int8.

    ONNX Runtime's own optimizer fuses the attention of each layer into one operator. The optimizer
    recognises only plain ("eager") attention that torch's older exporter has written. The attention
    of models from the newer exporter is not fused. These models encode and rerank 8% slower in
    float32.
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

    class Named(torch.nn.Module):  # names the inputs that the older exporter passes by position
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
            dynamic_axes={name: {0: "batch", 1: "length"} for name in names},
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
            extra_options={"DefaultTensorType": TensorProto.FLOAT},  # results of fused operators
        )


def st_train_towers(pairs: Sequence[tuple[str, str, float]], steps: int) -> Work:
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
    return _trained(
        SentenceTransformerTrainer, Arguments, model, data, MultipleNegativesRankingLoss, 64, steps
    )


def st_train_cross_encoder(
    pairs: Sequence[tuple[str, str, float]], directory: Path, steps: int
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
    return _trained(CrossEncoderTrainer, Arguments, model, data, BinaryCrossEntropyLoss, 32, steps)


def _trained(
    trainer: Any, arguments: Any, model: Any, data: Any, loss: Any, batch: int, steps: int
) -> Work:
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
    names = [model_input.name for model_input in session.get_inputs()]

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
