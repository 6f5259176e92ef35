"""Exported models of the comparison: for ONNX Runtime and OpenVINO, also in int8.

All contestants use the same two models: the encoder is MiniLM; the cross-encoder is MiniLM with a
random head.
"""

from pathlib import Path
from typing import Any

from bench.harness import inputs
from bench.models.batches import Batches, Texts
from bert.params import DEFAULT_PRETRAINED, resolve_pretrained

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_CALIBRATION = 256  # texts from which OpenVINO learns the ranges of activations for int8
_HEADS, _WIDTH, _LAYERS = 12, 384, 6


def source(work: Path, model: str) -> Path:
    """Return the directory of the model "encoder" or "cross-encoder"; make it if missing."""
    if model == "encoder":
        return resolve_pretrained(DEFAULT_PRETRAINED)
    directory = work / "cross-encoder"
    if not (directory / "tokenizer.json").is_file():
        import torch
        from transformers import AutoTokenizer, BertForSequenceClassification

        torch.manual_seed(0)
        pretrained = str(resolve_pretrained(DEFAULT_PRETRAINED))
        network = BertForSequenceClassification.from_pretrained(pretrained, num_labels=1)
        network.classifier.weight.data.normal_(0.0, 1.0)
        network.save_pretrained(directory)
        AutoTokenizer.from_pretrained(pretrained).save_pretrained(directory)
    return directory


def fused_onnx(work: Path, model: str) -> Path:
    """Return a model for ONNX Runtime in float32, with fused attention.

    ONNX Runtime's own optimizer fuses the attention of each layer into one operator. Models without
    fused attention encode and rerank 8% slower.
    """
    file = work / f"{model}-fused.onnx"
    if not file.is_file():
        from onnxruntime.transformers.optimizer import optimize_model

        plain, shape = str(_plain_onnx(work, model)), {"num_heads": _HEADS, "hidden_size": _WIDTH}
        fused = optimize_model(plain, model_type="bert", opt_level=0, **shape)
        if fused.get_fused_operator_statistics()["Attention"] != _LAYERS:
            raise RuntimeError(f"ONNX Runtime's optimizer did not find the attention of {model}")
        fused.save_model_to_file(str(file))
    return file


def int8_onnx(work: Path, model: str) -> Path:
    """Return a model for ONNX Runtime in dynamic int8, with one scale per channel of the weights.

    The plain model is quantised, because int8 changes the answers of the fused model more.
    """
    file = work / f"{model}-int8.onnx"
    if not file.is_file():
        from onnxruntime.quantization import QuantType, quantize_dynamic

        plain = _plain_onnx(work, model)
        quantize_dynamic(plain, file, weight_type=QuantType.QInt8, per_channel=True)
    return file


def openvino_model(work: Path, model: str) -> Path:
    """Return a model for OpenVINO."""
    file = work / f"{model}.xml"
    if not file.is_file():
        import openvino

        converted = openvino.convert_model(_plain_onnx(work, model))
        openvino.save_model(converted, file, compress_to_fp16=False)
    return file


def int8_openvino(work: Path, model: str) -> Path:
    """Return a model for OpenVINO in int8, with the ranges of activations from sample texts."""
    file = work / f"{model}-int8.xml"
    if not file.is_file():
        import nncf
        import openvino

        texts: Texts = [(query, title) for query, title, _ in inputs.judged(_CALIBRATION)]
        if model == "encoder":
            texts = inputs.titles(_CALIBRATION)
        samples = [
            dict(zip(INPUTS, tokens, strict=True))
            for _, tokens in Batches(source(work, model))(texts, 1)
        ]
        quantised = nncf.quantize(
            openvino.Core().read_model(openvino_model(work, model)),
            nncf.Dataset(samples),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=_CALIBRATION,
        )
        openvino.save_model(quantised, file, compress_to_fp16=False)
    return file


def _plain_onnx(work: Path, model: str) -> Path:
    """Return the model as torch exports it.

    ONNX Runtime's optimizer recognises only plain ("eager") attention that torch's older exporter
    has written.
    """
    file = work / f"{model}.onnx"
    if not file.is_file():
        import torch
        from transformers import AutoModel, AutoModelForSequenceClassification

        class Named(torch.nn.Module):  # names the inputs that the older exporter passes by position
            def __init__(self, network: Any) -> None:
                super().__init__()
                self.network = network

            def forward(self, *tokens: Any) -> Any:
                return self.network(**dict(zip(INPUTS, tokens, strict=True)))[0]

        kind = AutoModel if model == "encoder" else AutoModelForSequenceClassification
        network = kind.from_pretrained(source(work, model), attn_implementation="eager").eval()
        work.mkdir(parents=True, exist_ok=True)
        torch.onnx.export(
            Named(network),
            tuple(torch.ones((2, 8), dtype=torch.int64) for _ in INPUTS),
            file,
            input_names=list(INPUTS),
            dynamic_axes={name: {0: "batch", 1: "length"} for name in INPUTS},
            opset_version=17,
            dynamo=False,
        )
    return file
