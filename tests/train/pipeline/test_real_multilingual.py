"""Multilingual-e5-small itself: its files are read, and its vocabulary is pruned, without loss."""

import re
from pathlib import Path

import numpy as np
import pytest
import tokenizers

from bert.tokens import Tokenised, Tokenizer
from catalog.dataset.reading import read_dataset
from search.config import EngineConfig
from search.engine import Engine
from search.request import DENSE, SearchRequest
from towers.saving import load_towers
from train.cli.main import main
from train.pipeline.options import MULTILINGUAL
from train.pipeline.vocabulary import model_texts, prune

ROOT = Path(__file__).parents[3]
TUTORIAL = (ROOT / "docs" / "zh" / "tutorial.md").read_text("utf-8")

pytestmark = [pytest.mark.slow, pytest.mark.real, pytest.mark.usefixtures("shared_cache")]


def test_texts_and_pairs_are_those_of_the_model_s_own_tokenizer(multilingual_e5):
    reference = tokenizers.Tokenizer.from_file(str(multilingual_e5 / "tokenizer.json"))
    tokenizer = Tokenizer.from_directory(multilingual_e5)
    query, passage = "query: 大落地窗", "passage: Nikon/尼康二代全画幅微单机身Z62"
    first, second = (tokenizer.ids([text], 100)[0] for text in (query, passage))
    single = Tokenised.of_texts(second, tokenizer)
    pair = Tokenised.of_pairs(first, second, tokenizer)
    assert single.ids[0].tolist() == reference.encode(passage).ids
    assert pair.ids[0].tolist() == reference.encode(query, passage).ids


def test_pruning_changes_no_token_of_ten_thousand_titles(multilingual_e5, real_data):
    dataset = read_dataset(real_data("zh_ecom"))
    whole = Tokenizer.from_directory(multilingual_e5)
    texts = list(model_texts(dataset, MULTILINGUAL.towers))
    pruned, kept = prune(whole, texts, common=0)
    assert len(texts) > 4 * 10_000
    assert len(kept) < whole.vocab_size / 6
    before, after = whole.ids(texts, 512)[0], pruned.ids(texts, 512)[0]
    np.testing.assert_array_equal(kept[after.values], before.values)
    np.testing.assert_array_equal(after.offsets, before.offsets)


@pytest.fixture(scope="module")
def shop(multilingual_e5, tmp_path_factory, compilation_cache) -> Engine:
    """The engine of the Chinese tutorial's second step."""
    out = tmp_path_factory.mktemp("shop")
    blocks = re.findall(r"^```sh\n(.*?)^```$", TUTORIAL, re.MULTILINE | re.DOTALL)
    [table] = [block for block in blocks if "items.csv" in block]
    (out / "data").mkdir()
    rows = re.search(r"<<'END'\n(.*?)^END$", table, re.MULTILINE | re.DOTALL)[1]
    (out / "data" / "items.csv").write_text(rows, "utf-8")
    (out / "cache").mkdir()
    (out / "cache" / "xla").symlink_to(compilation_cache)
    arguments = ["--data", str(out / "data"), "--out", str(out), "--preset", "multilingual"]
    assert main([*arguments, "--init-from", str(multilingual_e5), "--numerics", "float32"]) == 0
    return Engine.load(out / "bundle", EngineConfig(numerics="float32"))


def test_the_chinese_tutorial_s_search_finds_what_it_says(shop):
    [query] = re.findall(r'^shortlist search "(.*?)"', TUTORIAL, re.MULTILINE)
    [title] = re.findall("排在第一位的是“(.*?)”", TUTORIAL)
    hit, *_ = shop.search(SearchRequest(query)).hits
    assert shop.store.item(shop.store.row(hit.item_id)).title == title


def test_the_preset_prunes_the_vocabulary_and_weighs_the_cosines_of_a_bundle(shop):
    config = load_towers(shop.directory / "towers").bert.config
    assert config.vocab_size < 40_000
    assert config.num_layers == 12
    assert shop.weights.channels[DENSE] == 5.0
