"""What training reads from the files of a pretrained model."""

import json
import shutil
from pathlib import Path

import pytest

from base.errors import InputError
from bert.params import load_bert, resolve_pretrained
from rerank.model import RerankerConfig
from tests.unigram import write_multilingual
from towers.model import TowersConfig
from train.loop.initial_weights import InitialWeights
from train.loop.pretrained import read_pooling, read_prefixes, read_sizes, read_tokenizer

POOLING = "1_Pooling/config.json"


@pytest.fixture
def model(tmp_path) -> Path:
    return write_multilingual(tmp_path / "model", "xlm-roberta")


def write(directory: Path, name: str, content: object) -> None:
    (directory / name).parent.mkdir(exist_ok=True)
    (directory / name).write_text(json.dumps(content))


def write_modules(directory: Path, pooling: object, *more: str) -> None:
    """Write the modules of a model of sentence-transformers, and the settings of its pooling."""
    kinds = {"": "Transformer", "1_Pooling": "Pooling", **{name: name for name in more}}
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(kinds.items())
    ]
    write(directory, "modules.json", modules)
    write(directory, POOLING, pooling)


def test_sizes_are_those_of_the_configuration(model, pretrained):
    for directory in (model, pretrained):
        assert read_sizes(directory) == load_bert(directory).config


def test_transformers_fills_in_sizes_that_the_file_omits(model):
    config = json.loads((model / "config.json").read_text())
    del config["type_vocab_size"]
    write(model, "config.json", config)
    assert read_sizes(model).type_vocab_size == 2  # the default of Hugging Face's XLMRobertaConfig


def test_a_configuration_that_transformers_cannot_read_is_one_clear_message(model):
    write(model, "config.json", {"model_type": "no-such-type"})
    with pytest.raises(InputError, match=r"has no configuration that can be read: .*no-such-type"):
        read_sizes(model)


def test_the_tokenizer_file_is_kept_as_it_is(model, pretrained):
    for directory in (model, pretrained):
        kept = read_tokenizer(directory).files["tokenizer.json"]
        assert kept == (directory / "tokenizer.json").read_bytes()


def test_a_tokenizer_is_made_of_a_vocabulary_alone(pretrained, tmp_path):
    whole = read_tokenizer(pretrained)
    directory = tmp_path / "vocabulary"
    shutil.copytree(pretrained, directory)
    vocabulary = json.loads((directory / "tokenizer.json").read_text())["model"]["vocab"]
    for path in directory.glob("*token*"):
        path.unlink()
    (directory / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.get)) + "\n")
    assert resolve_pretrained(str(directory)) == directory
    made = read_tokenizer(directory)
    texts = ["USB-C Café charger 20W", "无线耳机"]
    assert made.ids(texts, 50)[0].values.tolist() == whole.ids(texts, 50)[0].values.tolist()
    made.save(tmp_path / "saved")
    assert (tmp_path / "saved" / "tokenizer.json").is_file()
    assert made.vocab_size == whole.vocab_size
    weights = InitialWeights.find(str(directory), None)
    assert weights.digest == InitialWeights.find(str(directory), None).digest


def test_a_vocabulary_that_cannot_be_read_is_one_clear_message(model):
    (model / "tokenizer.json").unlink()
    (model / "sentencepiece.bpe.model").write_bytes(b"\0")
    with pytest.raises(InputError, match="has no tokenizer that can be read"):
        read_tokenizer(model)


def test_a_tokenizer_of_another_model_is_refused(model, pretrained):
    shutil.copy(pretrained / "tokenizer.json", model)
    weights = InitialWeights.find(str(model), None)
    config = TowersConfig(dim=16, max_query_tokens=8, max_item_tokens=8)
    with pytest.raises(InputError, match="has 30,522 pieces, and the encoder only"):
        weights.check(config, RerankerConfig(max_query_tokens=8, max_tokens=16))


# The files of sentence-transformers.


@pytest.mark.parametrize(
    ("settings", "pooling"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean"),
        ({"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}, "cls"),
        ({"pooling_mode": "cls", "include_prompt": True}, "cls"),
        ({"pooling_mode": "mean"}, "mean"),
    ],
)
def test_the_pooling_is_read_in_both_formats(model, settings, pooling):
    write_modules(model, settings)
    assert read_pooling(model) == {"pooling": pooling}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pooling_mode_max_tokens": True}, "pools by max_tokens"),
        ({"pooling_mode_max_tokens": True, "pooling_mode_cls_token": True}, "max_tokens and cls"),
        ({}, "pools by nothing"),
    ],
)
def test_another_pooling_is_refused_unless_an_option_replaces_it(model, settings, message):
    write_modules(model, settings)
    weights = InitialWeights.find(str(model), None)
    with pytest.raises(InputError, match=f"{message}.*; give --towers.pooling mean or cls"):
        weights.resolve(TowersConfig())
    assert weights.resolve(TowersConfig(pooling="mean")).pooling == "mean"


def test_a_layer_that_is_not_used_is_logged(model, caplog):
    write_modules(model, {"pooling_mode": "mean"}, "Normalize")
    read_pooling(model)
    assert not caplog.records
    write_modules(model, {"pooling_mode": "mean"}, "Dense")
    read_pooling(model)
    assert "unused layer of the pretrained model: layer=Dense" in caplog.text


@pytest.mark.parametrize(
    ("config", "prefixes"),
    [
        (
            {"prompts": {"query": "query: ", "passage": "passage: "}},
            {"query_prefix": "query: ", "item_prefix": "passage: "},
        ),
        (
            {"prompts": {"query": "q", "document": "d", "passage": "p"}},
            {"query_prefix": "q", "item_prefix": "d"},
        ),
        ({"prompts": {"query": "q"}}, {"query_prefix": "q"}),
        (
            {"prompts": {"any": "a "}, "default_prompt_name": "any"},
            {"query_prefix": "a ", "item_prefix": "a "},
        ),
        ({"prompts": {}, "default_prompt_name": None}, {}),
        ({}, {}),
    ],
)
def test_the_prefixes_are_the_prompts_of_the_model(model, config, prefixes):
    write(model, "config_sentence_transformers.json", config)
    assert read_prefixes(model) == prefixes


def test_options_replace_what_the_model_says(model):
    write_modules(model, {"pooling_mode": "cls"})
    write(model, "config_sentence_transformers.json", {"prompts": {"query": "q ", "passage": "p "}})
    weights = InitialWeights.find(str(model), None)
    own = weights.resolve(TowersConfig())
    assert (own.pooling, own.query_prefix, own.item_prefix) == ("cls", "q ", "p ")
    chosen = weights.resolve(TowersConfig(pooling="mean", query_prefix=""))
    assert (chosen.pooling, chosen.query_prefix, chosen.item_prefix) == ("mean", "", "p ")


def test_a_model_that_says_nothing_is_pooled_by_the_mean_without_prefixes(model):
    config = InitialWeights.find(str(model), None).resolve(TowersConfig())
    assert config.pooling is None
    assert config.prefix("query") == config.prefix("item") == ""


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("modules.json", {"idx": 0}),
        ("modules.json", [{"idx": 0}]),
        ("config_sentence_transformers.json", {"prompts": ["query: "]}),
        ("config_sentence_transformers.json", []),
    ],
)
def test_a_damaged_file_of_sentence_transformers_is_named(model, name, content):
    write(model, name, content)
    with pytest.raises(InputError, match=name):
        InitialWeights.find(str(model), None).resolve(TowersConfig())
