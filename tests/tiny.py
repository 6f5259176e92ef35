"""Small but complete models, tokenizers and bundles for the tests of every package."""

import datetime
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx
from safetensors.numpy import load_file, save_file

from bench.index.ours import build_index
from bert.config import BertConfig
from bert.model import Bert
from bert.numerics import Numerics
from bert.params import (
    CONFIG_FILE,
    DEFAULT_PRETRAINED,
    WEIGHTS_FILE,
    bert_tensors,
    resolve_pretrained,
)
from bert.tokens import Tokenizer
from catalog.attribute_roles import ALL_READ, AttributeRoles
from catalog.item_text import item_text
from catalog.items import ITEM_FIELDS, Item
from catalog.store import ItemStore
from lexical.config import LexicalConfig
from lexical.index import LexicalIndex
from lexical.suggestions import PastQueries, SuggestionConfig, build_suggestions
from rerank.features import FEATURES, FeatureStatistics
from rerank.model import Reranker, RerankerConfig, save_reranker
from search import bundle
from search.bundle import golden
from search.bundle.building import save_held_out
from search.bundle.manifest import FIRST_CHANNELS
from search.config import EngineConfig
from search.engine import Engine
from search.feature_source import newest_release
from towers.encoder import TowerEncoder
from towers.index import IndexConfig
from towers.model import Towers, TowersConfig
from towers.saving import save_towers

# Settings of an engine that collapses no groups, and leaves items out of stock where they rank.
BY_SCORE = EngineConfig(max_per_group=0, ignore_stock=True)
PAST_QUERIES = ("usb c charger", "hdmi cable", "voltix charger 65 watt")  # the most frequent first
HELD_OUT_QUERIES = 40  # number of random query vectors


def sample_fields(without: Collection[str] = ()) -> dict[str, Any]:
    """Return a value for each field of an item, including fields that are added later."""
    values = {
        str: "text",
        float: 1.5,
        int: 2,
        bool: True,
        datetime.date: datetime.date(2024, 1, 31),
        tuple: ("text",),
        dict: {"colour": "red"},
    }
    fields = {field.name: values[field.type] for field in ITEM_FIELDS} | {"language": "en"}
    return {name: value for name, value in fields.items() if name not in without}


def tiny_items() -> list[Item]:
    """Return 48 items: chargers and cables of eight sizes and three brands."""
    return [
        Item(
            item_id=f"{kind[:2]}-{size}-{brand.lower()}",
            title=f"{brand} {what} {size} {unit}",
            description=f"A {what} with {size} {unit}." if size % 2 else None,
            brand=brand,
            category=f"Electronics > {kind}",
            price=10.0 + size,
            rating=3.5 if size < 60 else None,
            rating_count=size,
            released=datetime.date(2024, 1, 1 + size % 28),
            in_stock=size % 3 > 0,
            attributes={unit: str(size)},
        )
        for kind, what, unit in (
            ("Chargers", "usb c charger", "watt"),
            ("Cables", "hdmi cable", "metre"),
        )
        for size in (1, 2, 5, 10, 15, 30, 65, 100)
        for brand in ("Voltix", "Ampere", "Ohm & Co")
    ]


def tiny_bert(tokenizer: Tokenizer, *, layers: int = 1) -> BertConfig:
    """Return the configuration of an encoder that compiles and runs fast."""
    return BertConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=32,
        num_layers=layers,
        num_heads=4,
        intermediate_size=64,
        max_positions=64,
    )


def break_word(towers: Towers, tokenizer: Tokenizer, word: str) -> None:
    """Set the weights of one word to NaN, so that texts with it have no vector."""
    ids, _ = tokenizer.ids([word], 1)
    words = towers.bert.embeddings.word
    words[...] = words[...].at[int(ids[0][0])].set(np.nan)


def write_bundle(
    directory: Path,
    items: list[Item],
    numerics: Numerics,
    seed: int = 0,
    index: IndexConfig | None = None,
    lexical: LexicalConfig | None = None,
    roles: AttributeRoles = ALL_READ,
) -> None:
    """Write a complete bundle over some items; both stages have random weights."""
    for part in (bundle.TOWERS, bundle.RERANK, bundle.INDEX, bundle.LEXICAL):
        (directory / part).mkdir(parents=True)
    tokenizer = Tokenizer.from_directory(resolve_pretrained(DEFAULT_PRETRAINED))
    tokenizer.save(directory / bundle.TOKENIZER)
    store = ItemStore.of(items, roles)
    store.write(directory / bundle.ITEMS)
    lexical_index = LexicalIndex.build(store, directory / bundle.LEXICAL, lexical)
    build_suggestions(
        directory / bundle.SUGGESTIONS,
        store,
        lexical_index,
        PastQueries(PAST_QUERIES, range(len(PAST_QUERIES), 0, -1)),
        SuggestionConfig(),
    )

    shape = tiny_bert(tokenizer)
    towers = Towers(
        TowersConfig(dim=16, max_query_tokens=16, max_item_tokens=24),
        shape,
        rngs=nnx.Rngs(seed + 1),
    )
    save_towers(towers, directory / bundle.TOWERS)
    reranker = Reranker(
        RerankerConfig(max_query_tokens=8, max_tokens=32, fusion=8), shape, rngs=nnx.Rngs(seed + 2)
    )
    save_reranker(reranker, directory / bundle.RERANK)
    features = np.random.default_rng(3).normal(size=(20, len(FEATURES))).astype(np.float32)
    FeatureStatistics.of(features).write(directory / bundle.RERANK)

    encoder = TowerEncoder(towers, tokenizer, numerics)
    texts = [item_text(store.item(row), roles) for row in range(len(store))]
    vectors = encoder.items(texts)
    build_index(vectors, directory / bundle.INDEX, index or IndexConfig(), vectors)
    queries = np.random.default_rng(4).normal(size=(HELD_OUT_QUERIES, 16)).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    save_held_out(directory / bundle.INDEX, queries)
    write_manifest(directory, numerics)


def write_manifest(
    directory: Path, numerics: Numerics, channels: tuple[str, ...] = FIRST_CHANNELS
) -> None:
    """Write the golden queries and the manifest of a bundle that has all other files."""
    released = newest_release(ItemStore.read(directory / bundle.ITEMS))

    manifest = bundle.Manifest(
        bundle_id="",
        created="2024-01-31T09:30:00Z",
        as_of=released and released.isoformat(),
        numerics=numerics.dtype,
        built_from={},
        reports={},
        metrics={},
        files={},
        channels=channels,
    )
    unfinished = Engine(directory, manifest, EngineConfig(numerics=numerics.dtype))
    golden.record(unfinished, ["usb c charger", "hdmi"], directory / bundle.GOLDEN)
    manifest.with_files(bundle.list_files(directory)).write(directory)


def write_pretrained(directory: Path) -> Path:
    """Write a random BERT in Hugging Face's format, as initial weights of a training run."""
    tokenizer = Tokenizer.from_directory(resolve_pretrained(DEFAULT_PRETRAINED))
    tokenizer.save(directory)
    bert = Bert(tiny_bert(tokenizer, layers=2), rngs=nnx.Rngs(5))
    save_file(bert_tensors(bert), directory / WEIGHTS_FILE)
    (directory / CONFIG_FILE).write_text(json.dumps(bert.config.to_hf()))
    return directory


def write_cross_encoder(directory: Path) -> Path:
    """Write a random cross-encoder with one label in Hugging Face's format."""
    write_pretrained(directory)
    random = np.random.default_rng(7)
    tensors = {f"bert.{name}": x for name, x in load_file(directory / WEIGHTS_FILE).items()}
    config = json.loads((directory / CONFIG_FILE).read_text())
    width = config["hidden_size"]
    for name, shape in (
        ("bert.pooler.dense.weight", (width, width)),
        ("bert.pooler.dense.bias", (width,)),
        ("classifier.weight", (1, width)),
        ("classifier.bias", (1,)),
    ):
        tensors[name] = random.normal(0, 0.5, shape).astype(np.float32)
    save_file(tensors, directory / WEIGHTS_FILE, metadata={"format": "pt"})
    config |= {"architectures": ["BertForSequenceClassification"], "pad_token_id": 0}
    config |= {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
    (directory / CONFIG_FILE).write_text(json.dumps(config))
    return directory
