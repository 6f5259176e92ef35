"""Weights come from the settings, else from the bundle, else they are the defaults."""

import shutil
from dataclasses import replace

import pytest

from base.errors import InputError
from search.bundle import BundleError, Manifest, golden, list_files
from search.config import EngineConfig
from search.engine import Engine
from search.ranking.weights import Weights, parse_channel_weights

CHOSEN = Weights({"dense": 1.0, "lexical": 0.7}, recall=3.0)


@pytest.fixture
def with_weights(tiny_bundle, tmp_path):
    """The tiny bundle, with weights that training chose."""
    directory = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, directory)
    manifest = replace(Manifest.read(directory), weights=CHOSEN)
    engine = Engine(directory, manifest, EngineConfig())
    queries = golden.queries(directory / "golden.jsonl")
    golden.record(engine, queries, directory / "golden.jsonl")
    manifest.with_files(list_files(directory)).write(directory)
    return directory


def test_a_bundle_without_weights_has_the_defaults(engine):
    assert engine.weights == Weights({"dense": 1.0, "lexical": 0.4}, recall=1.5)


def test_a_bundle_is_searched_with_its_weights(with_weights, tiny_bundle):
    engine = Engine.load(with_weights)
    assert engine.weights == CHOSEN
    assert engine.manifest.bundle_id != Manifest.read(tiny_bundle).bundle_id


def test_settings_come_before_the_weights_of_the_bundle(with_weights):
    config = EngineConfig(channel_weights="lexical=0.2", recall_weight=0.0)
    engine = Engine.load(with_weights, config)
    assert engine.weights == Weights({"dense": 1.0, "lexical": 0.2}, recall=0.0)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("lexical", "give a channel and a number"),
        ("lexical=much", "give a channel and a number"),
        ("lexical=-1", "give a weight from 0 to 100"),
        ("lexical=nan", "give a weight from 0 to 100"),
        ("lexical=101", "give a weight from 0 to 100"),
    ],
)
def test_bad_weights_are_refused(text, problem):
    with pytest.raises(InputError, match=problem):
        EngineConfig(channel_weights=text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("words=1", "names words; the bundle has the channels dense, lexical"),
        ("dense=0,lexical=0", "turns every channel off"),
    ],
)
def test_weights_that_the_bundle_cannot_use_are_refused(tiny_bundle, text, problem):
    with pytest.raises(InputError, match=problem):
        Engine.load(tiny_bundle, EngineConfig(channel_weights=text))


def test_weights_are_parsed():
    assert parse_channel_weights(" dense=1, lexical=0.4") == {"dense": 1.0, "lexical": 0.4}
    assert parse_channel_weights("") == {}


def test_a_manifest_with_a_bad_weight_is_refused(tiny_bundle, tmp_path):
    manifest = replace(Manifest.read(tiny_bundle), weights=Weights({"dense": -1.0}, recall=1.0))
    replace(manifest, bundle_id=manifest.identity()).write(tmp_path)
    with pytest.raises(BundleError, match=r"weights has -1\.0"):
        Manifest.read(tmp_path)
