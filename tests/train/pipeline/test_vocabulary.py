"""Pruning of a vocabulary: kept texts keep their pieces, others use smaller pieces."""

import json
from dataclasses import replace

import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from base.errors import InputError
from bert.numerics import Numerics
from bert.params import load_bert
from bert.tokens import Tokenizer
from tests.unigram import TEXTS, unigram_tokenizer, write_multilingual
from towers.encoder import TowerEncoder
from towers.model import Towers, TowersConfig
from train.pipeline.vocabulary import keep_rows, prune

CHINESE = TEXTS[:3]
CONFIG = TowersConfig(dim=32, max_query_tokens=16, max_item_tokens=32)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_multilingual(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def tokenizer(model) -> Tokenizer:
    return Tokenizer.from_directory(model)


def pieces(tokenizer: Tokenizer) -> list[str]:
    return [piece for piece, _ in json.loads(tokenizer.files["tokenizer.json"])["model"]["vocab"]]


def split(tokenizer: Tokenizer, text: str) -> list[str]:
    names = pieces(tokenizer)
    return [names[i] for i in tokenizer.ids([text], 1000)[0].values]


def test_used_and_common_pieces_and_single_characters_are_kept(tokenizer):
    pruned, kept = prune(tokenizer, CHINESE, common=4 + 3)
    before, after = pieces(tokenizer), pieces(pruned)
    assert after == [before[i] for i in kept]
    assert kept.tolist() == sorted(set(kept.tolist()))
    used = {piece for text in CHINESE for piece in split(tokenizer, text)}
    single = {piece for piece in before if len(piece.removeprefix("▁")) <= 1}
    # The special tokens have the score 0, which is above that of every piece.
    common = set(before[:4]) | set(before[4 : 4 + 3])
    scores = dict(json.loads(tokenizer.files["tokenizer.json"])["model"]["vocab"])
    rarest = min(scores, key=scores.get)
    assert used | single | common | {rarest} == set(after)
    assert len(after) < len(before) / 2 + 60


def test_special_tokens_keep_their_meaning(tokenizer):
    # A special token after the vocabulary, as <mask> of XLM-R, gets a smaller id.
    whole = unigram_tokenizer()
    whole.add_special_tokens(["<mask>"])
    files = {
        "tokenizer.json": whole.to_str().encode(),
        "tokenizer_config.json": json.dumps(
            {"cls_token": "<s>", "added_tokens_decoder": {"224": {"content": "<mask>"}}}
        ).encode(),
    }
    large = Tokenizer(files)
    pruned, kept = prune(large, CHINESE, common=0)
    assert (pruned.cls_id, pruned.pad_id, pruned.sep_id) == (0, 1, 2)
    assert (pruned.separators, pruned.has_types) == (2, False)
    assert kept[-1] == large.vocab_size - 1
    assert pruned.vocab_size == len(kept) < large.vocab_size
    assert "added_tokens_decoder" not in json.loads(pruned.files["tokenizer_config.json"])


def test_ids_in_every_kind_of_post_processor_are_renumbered(tokenizer):
    content = json.loads(tokenizer.files["tokenizer.json"])
    vocabulary = content["model"]["vocab"]
    unused = [["unusedpiece", -50.0]]
    content["model"]["vocab"] = [*unused, *vocabulary]  # moves every special token by one
    content["model"]["unk_id"] += 1
    for token in content["added_tokens"]:
        token["id"] += 1
    content["padding"] = {
        "strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None,
        "pad_id": 2, "pad_type_id": 0, "pad_token": "<pad>",
    }  # fmt: skip
    content["model"]["vocab"].append(["rarest", -60.0])
    for processor in (
        {"type": "RobertaProcessing", "sep": ["</s>", 3], "cls": ["<s>", 1],
         "trim_offsets": True, "add_prefix_space": True},
        {"type": "Sequence", "processors": [{
            **content["post_processor"],
            "special_tokens": {
                "<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]},
                "</s>": {"id": "</s>", "ids": [3], "tokens": ["</s>"]},
            },
        }]},
    ):  # fmt: skip
        moved = Tokenizer(
            {"tokenizer.json": json.dumps(content | {"post_processor": processor}).encode()}
        )
        assert moved.cls_id == 1
        pruned, kept = prune(moved, CHINESE, common=0)
        assert 0 not in kept
        assert (pruned.cls_id, pruned.pad_id, pruned.sep_id) == (0, 1, 2)
        assert json.loads(pruned.files["tokenizer.json"])["padding"]["pad_id"] == 1


@given(st.lists(st.text(alphabet="手机壳 大窗帘apple ®case™ß", max_size=12), max_size=5))
def test_kept_texts_have_the_same_pieces(texts):
    tokenizer = Tokenizer({"tokenizer.json": unigram_tokenizer().to_str().encode()})
    pruned, kept = prune(tokenizer, texts, common=0)
    for text in texts:
        ids = pruned.ids([text], 1000)[0].values
        assert kept[ids].tolist() == tokenizer.ids([text], 1000)[0].values.tolist()


def test_texts_with_pruned_pieces_use_smaller_pieces(tokenizer):
    text = "headphones"
    pruned, _ = prune(tokenizer, CHINESE, common=0)
    before, after = split(tokenizer, text), split(pruned, text)
    assert len(after) > len(before)
    assert "".join(after) == "".join(before) == "▁headphones"
    assert "<unk>" not in after


def test_vectors_of_kept_texts_are_the_same_bit_by_bit(model, tokenizer):
    towers = Towers(CONFIG, load_bert(model).config, rngs=nnx.Rngs(1))
    towers.bert = load_bert(model)
    numerics = Numerics("float32", "test")
    before = TowerEncoder(towers, tokenizer, numerics).items(CHINESE)
    pruned, kept = prune(tokenizer, CHINESE, common=0)
    keep_rows(towers.bert, kept)
    assert towers.bert.config == replace(load_bert(model).config, vocab_size=len(kept))
    assert towers.bert.embeddings.word.shape == (len(kept), 32)
    after = TowerEncoder(towers, pruned, numerics).items(CHINESE)
    np.testing.assert_array_equal(before, after)


def test_the_vocabulary_of_word_pieces_is_not_pruned(tmp_path):
    from bert.params import DEFAULT_PRETRAINED, resolve_pretrained

    wordpiece = Tokenizer.from_directory(resolve_pretrained(DEFAULT_PRETRAINED))
    with pytest.raises(
        InputError, match=r"type WordPiece cannot be pruned.*--vocabulary\.no-prune"
    ):
        prune(wordpiece, ["a"], common=0)
