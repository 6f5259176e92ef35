"""Write references.npz: results of Hugging Face's torch BERT and tokenizer for a few texts.

The tests compare with the stored file, and need neither torch nor transformers. Write a new file in
a separate virtual environment:

    pip install torch==2.13.0 transformers==5.23.0
    python tests/bert/make_references.py DIRECTORY_OF_ALL_MINILM_L6_V2

The file is small because it holds only three tokens of each row. Outputs of the last layer have all
features; other outputs have only every fourth feature. The file also has a random XLM-R of two tiny
layers, with its weights, inputs and last hidden states.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from transformers import AutoTokenizer, BertModel, XLMRobertaConfig, XLMRobertaModel

TEXTS = [
    "",
    "usb c charger",
    "Men's Waterproof Hiking Boots, Size 10.5 (Wide) - 50% OFF!!",
    "3/4 in. x 10 ft. PVC-Schedule 40 DWV plain-end pipe",
    "Café crème brûlée, naïve façade; Ångström Straße İstanbul",
    "无线蓝牙耳机 ノイズキャンセリング 무선 이어폰",
    "зарядное устройство سماعات لاسلكية हेडफ़ोन",
    "party 🎉 lights 👩‍👩‍👧 ½ price ™ ﬁne ①",
    "zero\u200bwidth\u00adsoft\u00a0hard\u2028line\ttab\x00nul\x07bell",
    "x" * 101 + " " + "y" * 100,
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    "drill 18v " * 100,
]
# Two batches, as indices into TEXTS: single texts of different lengths, and pairs of texts.
SINGLES = [1, 4, 7, 0]
PAIRS = [(1, 2), (0, 3), (5, 6)]
MAX_TOKENS = 64


def main() -> None:
    """Write references.npz beside this file."""
    directory = Path(sys.argv[1])
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = BertModel.from_pretrained(
        directory, attn_implementation="eager", dtype=torch.float32
    ).eval()
    references: dict[str, np.ndarray] = {}
    pieces = tokenizer(TEXTS, add_special_tokens=False)["input_ids"]
    references["texts"] = np.array(TEXTS)
    references["pieces"] = np.concatenate([np.array(row, np.int32) for row in pieces])
    references["piece_counts"] = np.array([len(row) for row in pieces])
    batches = {
        "single": ([TEXTS[i] for i in SINGLES], None),
        "pair": ([TEXTS[i] for i, _ in PAIRS], [TEXTS[j] for _, j in PAIRS]),
    }
    for name, texts in batches.items():
        inputs = tokenizer(
            *texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
        )
        for key, value in run(model, inputs).items():
            references[f"{name}.{key}"] = value
    references |= tiny_xlm_roberta()
    np.savez_compressed(Path(__file__).with_name("references.npz"), **references)


def run(model: BertModel, inputs: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Return the inputs and every module's output for one batch, at three tokens of each row."""
    lengths = inputs["attention_mask"].sum(dim=1)
    rows = torch.arange(len(lengths)).repeat_interleave(3)
    columns = torch.stack([0 * lengths, lengths // 2, lengths - 1], dim=1).flatten()
    outputs: dict[str, np.ndarray] = {}

    def keep(name: str):
        def hook(_module, _inputs, output):
            output = output[0] if isinstance(output, tuple) else output
            outputs[name] = output[rows, columns, ::4].numpy()

        return hook

    modules = {"embeddings": model.embeddings}
    for number, layer in enumerate(model.encoder.layer):
        modules[f"attention.{number}"] = layer.attention
        modules[f"intermediate.{number}"] = layer.intermediate
        modules[f"layer.{number}"] = layer
    hooks = [module.register_forward_hook(keep(name)) for name, module in modules.items()]
    with torch.no_grad():
        last = model(**inputs).last_hidden_state
    for hook in hooks:
        hook.remove()
    mask = inputs["attention_mask"].unsqueeze(-1)
    return {
        "ids": inputs["input_ids"].numpy().astype(np.int32),
        "mask": inputs["attention_mask"].numpy().astype(bool),
        "types": inputs["token_type_ids"].numpy().astype(np.int32),
        "rows": rows.numpy(),
        "columns": columns.numpy(),
        **outputs,
        "last": last[rows, columns].numpy(),
        "pooled": ((last * mask).sum(dim=1) / mask.sum(dim=1)).numpy(),
    }


def tiny_xlm_roberta() -> dict[str, np.ndarray]:
    """Return the weights of a random XLM-R, a padded batch, and its last hidden states."""
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=40,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=24,
        max_position_embeddings=14,
        type_vocab_size=1,
        pad_token_id=1,
        layer_norm_eps=1e-5,
        initializer_range=0.4,
    )
    model = XLMRobertaModel(config).eval()
    ids = torch.tensor([[0, 7, 8, 2, 2, 9, 10, 11, 2], [0, 12, 2, 2, 13, 2, 1, 1, 1]])
    with torch.no_grad():
        last = model(input_ids=ids, attention_mask=ids != 1).last_hidden_state
    weights = {f"xlmr.weight.{key}": value.numpy() for key, value in model.state_dict().items()}
    return {**weights, "xlmr.ids": ids.numpy().astype(np.int32), "xlmr.last": last.numpy()}


if __name__ == "__main__":
    main()
