"""A tiny multilingual model: a unigram tokenizer in the format of XLM-R, and a random encoder."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import tokenizers
from flax import nnx
from safetensors.numpy import save_file
from tokenizers import models, normalizers, pre_tokenizers, processors

from bert.config import BertConfig
from bert.model import Bert
from bert.params import CONFIG_FILE, WEIGHTS_FILE, bert_tensors
from bert.tokens import TOKENIZER_FILE

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
TEXTS = [
    "大落地窗 窗帘 遮光 客厅",
    "手机壳 苹果 防摔 透明",
    "无线蓝牙耳机 降噪",
    "wireless bluetooth headphones with noise cancelling",
    "transparent phone case for apple, shockproof",
    "blackout curtains for the living room",
    "Kabellose Kopfhörer mit Geräuschunterdrückung",
    "Verdunkelungsvorhänge für das Wohnzimmer",
    "fundas de móvil transparentes",
]


def unigram_tokenizer(texts: Sequence[str] = TEXTS, size: int = 220) -> tokenizers.Tokenizer:
    """Make a unigram tokenizer whose pairs are `<s> A </s> </s> B </s>`, as those of XLM-R.

    The pieces are all characters of the texts, and the most frequent longer parts of words. The
    trainer of `tokenizers` would give other pieces in every process.
    """
    words = [f"▁{word}" for text in texts for word in text.split()]
    parts = Counter(
        word[i : i + length]
        for word in words
        for length in range(1, 9)
        for i in range(len(word) - length + 1)
    )
    single = {part for part in parts if len(part) == 1}
    frequent = sorted(parts, key=lambda part: (part not in single, -parts[part], part))
    chosen = sorted(frequent[:size], key=lambda part: (-parts[part], part))
    scores = [(part, math.log(parts[part] / parts.total())) for part in chosen]
    vocabulary = [*((token, 0.0) for token in SPECIAL), *scores]
    tokenizer = tokenizers.Tokenizer(models.Unigram(vocabulary, unk_id=3))
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return tokenizer


def write_multilingual(
    directory: Path, model_type: str = "bert", texts: Sequence[str] = TEXTS, size: int = 220
) -> Path:
    """Write a random encoder and a unigram tokenizer in Hugging Face's format."""
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer = unigram_tokenizer(texts, size)
    tokenizer.save(str(directory / TOKENIZER_FILE))
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size() + 5,  # as some models, with unused rows
        hidden_size=32,
        num_layers=2,
        num_heads=4,
        intermediate_size=48,
        max_positions=64,
    )
    if model_type == "xlm-roberta":
        config = replace(config, type_vocab_size=1, first_position=2)
    bert = Bert(config, rngs=nnx.Rngs(7))
    save_file(bert_tensors(bert), directory / WEIGHTS_FILE)
    (directory / CONFIG_FILE).write_text(json.dumps(config.to_hf()))
    return directory
