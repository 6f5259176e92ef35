"""A reranker that starts from a public cross-encoder scores pairs as that cross-encoder does."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from base.errors import InputError
from bert.numerics import Numerics
from bert.params import WEIGHTS_FILE, load_bert
from bert.tokens import Tokenizer
from rerank.cross_encoder import load_cross_encoder
from rerank.features import FEATURES, FeatureStatistics
from rerank.model import RerankerConfig, load_reranker, save_reranker
from rerank.scorer import PairScorer
from tests.tiny import write_cross_encoder, write_pretrained

PAIRS = (
    ("usb c charger", "Voltix usb c charger 65 watt"),
    ("usb c charger", "Ampere hdmi cable 2 metre"),
    ("hdmi", "Ohm & Co hdmi cable, 15 metre, black"),
)
CONFIG = RerankerConfig(max_query_tokens=8, max_tokens=32)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A cross-encoder with random weights, in Hugging Face's format."""
    return write_cross_encoder(tmp_path_factory.mktemp("cross_encoder"))


def scores_of(reranker, tokenizer) -> np.ndarray:
    untrained = FeatureStatistics.of(np.full((1, len(FEATURES)), np.nan, np.float32))
    scorer = PairScorer(reranker, untrained, tokenizer, Numerics("float32", "tests"))
    tokens = scorer.tokenise(*zip(*PAIRS, strict=True))
    features = np.random.default_rng(3).normal(size=(len(PAIRS), len(FEATURES)))
    return scorer.run(tokens, features.astype(np.float32))


def test_scores_are_those_of_pooler_and_classifier(directory, tmp_path):
    tokenizer = Tokenizer.from_directory(directory)
    reranker = load_cross_encoder(directory, CONFIG)
    tensors = load_file(directory / WEIGHTS_FILE)
    widened = np.asarray(reranker.text.kernel[...])
    np.testing.assert_array_equal(widened, tensors["bert.pooler.dense.weight"].T)
    encoder = load_bert(directory)
    scorer = PairScorer(
        reranker, FeatureStatistics.of(np.zeros((1, len(FEATURES)), np.float32)), tokenizer,
        Numerics("float32", "tests"),
    )  # fmt: skip
    pooled = scorer.read_tokenised(scorer.tokenise(*zip(*PAIRS, strict=True)))
    expected = np.tanh(pooled) @ tensors["classifier.weight"][0] + tensors["classifier.bias"][0]
    found = scores_of(reranker, tokenizer)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert encoder.config == reranker.bert.config
    assert len(np.unique(found)) == len(PAIRS)
    save_reranker(reranker, tmp_path)
    FeatureStatistics.of(np.zeros((1, len(FEATURES)), np.float32)).write(tmp_path)
    np.testing.assert_allclose(scores_of(load_reranker(tmp_path), tokenizer), found, atol=1e-6)


def test_scores_are_those_of_hugging_face(directory):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    model = transformers.BertForSequenceClassification.from_pretrained(directory).eval()
    tokenizer = Tokenizer.from_directory(directory)
    ours = scores_of(load_cross_encoder(directory, CONFIG), tokenizer)
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(directory / "tokenizer.json"), pad_token="[PAD]"
    )
    queries, texts = zip(*PAIRS, strict=True)
    inputs = fast(
        list(queries), list(texts), padding=True, return_tensors="pt", return_token_type_ids=True
    )
    with torch.no_grad():
        theirs = model(**inputs).logits[:, 0].numpy()
    np.testing.assert_allclose(ours, theirs, atol=2e-5)


def test_other_models_are_refused(directory, tmp_path):
    plain = write_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"has no bert.pooler.dense.weight, so it is no cross"):
        load_cross_encoder(plain, CONFIG)
    tensors = load_file(directory / WEIGHTS_FILE)
    tensors["classifier.weight"] = np.zeros((3, 32), np.float32)
    save_file(tensors, plain / WEIGHTS_FILE)
    with pytest.raises(InputError, match="has 3 labels; give a model with one label"):
        load_cross_encoder(plain, CONFIG)
