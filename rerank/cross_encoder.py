"""Public cross-encoders as initial weights of the reranker.

The score of Hugging Face's `BertForSequenceClassification` with one label is
c + w · tanh(b + W · h), where h is the hidden state of [CLS], W and b are the pooler, and w and c
are the classifier. A reranker with the activation tanh computes the same score, if its fusion
network is as wide as the encoder, and the weights of all features are 0.
"""

from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
from flax import nnx

from base.errors import InputError
from bert.config import BertConfig
from bert.params import WEIGHTS_FILE, load_bert, parameter, read_tensors
from rerank.model import Reranker, RerankerConfig

_HEADS = ("bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight",
          "classifier.bias")  # fmt: skip


def load_cross_encoder(
    directory: Path, config: RerankerConfig, sizes: BertConfig | None = None
) -> Reranker:
    """Make a reranker that scores pairs exactly as a cross-encoder.

    Args:
        directory: A Hugging Face directory of a `BertForSequenceClassification` with one label.
        config: The token budgets; the width and the activation come from the cross-encoder.
        sizes: Sizes of the encoder; None reads them from `config.json`.

    Raises:
        InputError: files are missing or damaged, or describe another model.
    """
    tensors = read_tensors(directory / WEIGHTS_FILE)
    if missing := [name for name in _HEADS if name not in tensors]:
        raise InputError(
            f"{directory} has no {missing[0]}, so it is no cross-encoder; give a "
            "BertForSequenceClassification with one label"
        )
    pooler, pooler_bias, classifier, classifier_bias = (tensors[name] for name in _HEADS)
    if len(classifier) != 1:
        raise InputError(f"{directory} has {len(classifier)} labels; give a model with one label")
    bert = load_bert(directory, sizes)
    config = replace(config, fusion=bert.config.hidden_size, activation="tanh")
    reranker = Reranker(config, bert.config, rngs=nnx.Rngs(0))
    reranker.bert = bert
    for layer, kernel, bias in (
        (reranker.text, pooler.T, pooler_bias),
        (reranker.output, classifier.T, classifier_bias),
    ):
        layer.kernel[...], layer.bias[...] = parameter(kernel), parameter(bias)
    for layer in (reranker.features, reranker.linear):
        layer.kernel[...] = jnp.zeros_like(layer.kernel[...])
    return reranker
