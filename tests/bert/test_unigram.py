"""Models with a unigram tokenizer: special tokens, pairs, and the positions of XLM-R."""

import json
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from base.errors import InputError
from bert.batch import Tokens
from bert.config import BertConfig
from bert.model import Bert
from bert.packing import pack
from bert.params import bert_tensors, fill_bert, load_bert
from bert.tokens import Ragged, Tokenised, Tokenizer
from tests.unigram import TEXTS, unigram_tokenizer, write_multilingual

BOS, PAD, EOS = 0, 1, 2


@pytest.fixture(scope="module")
def content() -> str:
    return unigram_tokenizer().to_str()


@pytest.fixture(scope="module")
def unigram(content) -> Tokenizer:
    return Tokenizer({"tokenizer.json": content.encode()})


# The tokenizer.


def test_the_special_tokens_of_a_unigram_tokenizer_are_found(unigram):
    assert (unigram.cls_id, unigram.pad_id, unigram.sep_id) == (BOS, PAD, EOS)
    assert (unigram.separators, unigram.pair_specials, unigram.has_types) == (2, 4, False)


def test_the_special_tokens_of_bert_are_found(tokenizer):
    assert (tokenizer.separators, tokenizer.pair_specials, tokenizer.has_types) == (1, 3, True)


def test_texts_and_pairs_are_those_of_the_tokenizers_own_format(unigram):
    reference = unigram_tokenizer()
    pairs = [(TEXTS[0], TEXTS[3]), (TEXTS[2], ""), ("", TEXTS[6])]
    first, _ = unigram.ids([a for a, _ in pairs], 100)
    second, _ = unigram.ids([b for _, b in pairs], 100)
    single = Tokenised.of_texts(first, unigram)
    both = Tokenised.of_pairs(first, second, unigram)
    for row, (a, b) in enumerate(pairs):
        assert single.ids[row].tolist() == reference.encode(a).ids
        assert both.ids[row].tolist() == reference.encode(a, b).ids
    padded = both.pad(range(3), 80, 3)
    assert not padded.types.any()
    assert (padded.ids[~padded.mask] == PAD).all()


def test_a_pair_has_two_separators_and_no_types(unigram):
    tokenised = Tokenised.of_pairs(Ragged.of([[7, 8], []]), Ragged.of([[9], [5, 6]]), unigram)
    rows = [tokenised.ids[row].tolist() for row in range(2)]
    assert rows == [
        [BOS, 7, 8, EOS, EOS, 9, EOS],
        [BOS, EOS, EOS, 5, 6, EOS],
    ]
    assert tokenised.lengths.tolist() == [7, 6]
    packed = pack(tokenised, [0, 1], rows=1, length=16)
    assert not packed.types.any()


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("<s> $A $B </s>", r"joins two texts with <s> </s>; only the formats"),
        ("<s> $A </s> <s> $B </s>", r"joins two texts with <s> </s> <s> </s>"),
        ("$A </s> $B </s>", r"joins two texts with </s> </s>"),
    ],
)
def test_another_format_of_pairs_is_refused(content, pair, message):
    from tokenizers import processors

    tokenizer = unigram_tokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair=pair, special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    with pytest.raises(InputError, match=message):
        Tokenizer({"tokenizer.json": tokenizer.to_str().encode()})


def test_without_a_format_of_its_own_a_tokenizer_has_berts(content):
    plain = json.loads(content) | {"post_processor": None}
    tokenizer = Tokenizer({"tokenizer.json": json.dumps(plain).encode()})
    assert (tokenizer.separators, tokenizer.has_types) == (1, True)


def test_a_tokenizer_without_a_padding_token_is_refused(content):
    without = content.replace("<pad>", "<hole>").encode()
    with pytest.raises(InputError, match=r"has no \[PAD\] or <pad> token"):
        Tokenizer({"tokenizer.json": without})


# The encoder.


def test_xlm_roberta_computes_what_hugging_face_computes(references):
    prefix = "xlmr.weight."
    weights = {k.removeprefix(prefix): v for k, v in references.items() if k.startswith(prefix)}
    config = BertConfig.from_hf(
        {
            "model_type": "xlm-roberta",
            "vocab_size": 40,
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 24,
            "max_position_embeddings": 14,
            "type_vocab_size": 1,
            "pad_token_id": 1,
            "layer_norm_eps": 1e-5,
        }
    )
    assert (config.max_positions, config.first_position) == (12, 2)
    bert = Bert(config, rngs=nnx.Rngs(0))
    fill_bert(bert, {f"roberta.{key}": value for key, value in weights.items()})
    ids = references["xlmr.ids"]
    mask = ids != PAD
    last = np.asarray(bert(Tokens(ids, mask, np.zeros_like(ids))))
    np.testing.assert_allclose(last[mask], references["xlmr.last"][mask], atol=1e-5)
    rows = Ragged.of([row[keep].tolist() for row, keep in zip(ids, mask, strict=True)])
    tokenised = Tokenised(rows, rows.lengths, PAD)
    packed = bert.first(pack(tokenised, [1, 0], rows=1, length=16))
    np.testing.assert_allclose(packed, references["xlmr.last"][[1, 0], 0], atol=1e-5)


def test_xlm_roberta_is_saved_in_hugging_faces_keys(tmp_path):
    directory = write_multilingual(tmp_path, "xlm-roberta")
    written = json.loads((directory / "config.json").read_text())
    assert written["architectures"] == ["XLMRobertaModel"]
    assert (written["model_type"], written["pad_token_id"]) == ("xlm-roberta", 1)
    assert written["max_position_embeddings"] == 66
    bert = load_bert(directory)
    assert BertConfig.from_hf(bert.config.to_hf()) == bert.config
    assert bert_tensors(bert)["embeddings.position_embeddings.weight"].shape == (66, 32)


def test_a_text_of_all_positions_fits_and_a_longer_one_does_not(tmp_path):
    bert = load_bert(write_multilingual(tmp_path, "xlm-roberta"))
    ids = jnp.full((1, 65), 5)
    assert bert(Tokens(ids[:, :64], ids[:, :64] > 0, 0 * ids[:, :64])).shape == (1, 64, 32)
    with pytest.raises(ValueError, match="65 tokens, but BERT has 64 positions"):
        bert(Tokens(ids, ids > 0, 0 * ids))


def test_a_model_of_the_offset_needs_the_id_of_padding(tiny_config):
    config = replace(tiny_config, first_position=2).to_hf()
    del config["pad_token_id"]
    with pytest.raises(InputError, match="no whole number under pad_token_id"):
        BertConfig.from_hf(config)
