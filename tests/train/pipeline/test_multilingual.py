"""Bundles of a model with a unigram tokenizer, prefixes and a pruned vocabulary."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bert.tokens import Tokenizer
from catalog.dataset.reading import read_dataset
from rerank.model import load_reranker
from search.bundle import verify
from search.config import EngineConfig
from search.engine import Engine
from search.request import DENSE, LEXICAL, EmbedRequest, RetrieveRequest
from tests.unigram import TEXTS, write_multilingual
from towers.saving import load_towers
from towers.vectors import open_vectors
from train.cli.main import main
from train.pipeline.options import PRESETS, preset

ROOT = Path(__file__).parents[3]
FLOAT32 = EngineConfig(numerics="float32")
PREFIXES = ("--towers.query-prefix", "query: ", "--towers.item-prefix", "passage: ")
COLD = ("--towers.temperature", "0.01")
CATALOGUE = TEXTS

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_cache")]


@pytest.fixture(scope="module")
def model(demo, tmp_path_factory) -> Path:
    """A random XLM-R whose vocabulary is of the demo store and of other languages."""
    titles = read_dataset(demo).items["title"].to_pylist()
    texts = [*titles, *(title.lower() for title in titles), *TEXTS]
    return write_multilingual(tmp_path_factory.mktemp("model"), "xlm-roberta", texts, size=500)


@pytest.fixture(scope="module")
def trained(demo, flags, model, tmp_path_factory) -> Path:
    """The bundle of both stages, trained on the demo store with a pruned vocabulary."""
    out = tmp_path_factory.mktemp("trained") / "out"
    more = (
        *(*PREFIXES, "--towers.pooling", "cls", "--vocabulary.prune", "--vocabulary.common", "9"),
        *("--towers-fit.epochs", "2", "--rerank-fit.epochs", "1"),
    )
    assert main(flags(demo, out, *more, init=model)) == 0
    return out / "bundle"


def test_both_stages_are_trained_from_a_multilingual_model(trained, model):
    manifest = verify(trained)
    assert manifest.metrics["systems"]["rerank"]
    towers, reranker = load_towers(trained / "towers"), load_reranker(trained / "rerank")
    size = Tokenizer.from_directory(trained / "tokenizer").vocab_size
    assert size < Tokenizer.from_directory(model).vocab_size
    for bert in (towers.bert, reranker.bert):
        assert bert.config.vocab_size == size
        assert (bert.config.first_position, bert.config.type_vocab_size) == (2, 1)
    written = json.loads((trained / "towers" / "config.json").read_text())
    assert written["bert"]["model_type"] == "xlm-roberta"
    assert (written["pooling"], written["query_prefix"]) == ("cls", "query: ")
    assert written["item_prefix"] == "passage: "


def test_serving_a_multilingual_bundle_never_imports_transformers(trained):
    code = (
        "import sys\n"
        "import server.service\n"
        "from pathlib import Path\n"
        "from search.config import EngineConfig\n"
        "from search.engine import Engine\n"
        "from search.request import SearchRequest\n"
        "engine = Engine.load(Path(sys.argv[1]), EngineConfig(numerics='float32'))\n"
        "assert engine.search(SearchRequest('kettle')).hits\n"
        "assert 'transformers' not in sys.modules, 'transformers was imported'"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(trained)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


@pytest.fixture(scope="module")
def bundles(flags, model, tmp_path_factory) -> dict[str, Path]:
    """Bundles of untrained towers for a catalogue in four languages, by options."""
    root = tmp_path_factory.mktemp("bundles")
    data = root / "data"
    data.mkdir()
    rows = [{"item_id": str(i), "title": title} for i, title in enumerate(CATALOGUE)]
    (data / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    prune = ("--vocabulary.prune", "--vocabulary.common", "0")
    options = {"whole": (*PREFIXES, *COLD), "pruned": (*PREFIXES, *COLD, *prune), "plain": ()}
    for name, more in options.items():
        assert main(flags(data, root / name, *more, init=model)) == 0
    return {name: root / name / "bundle" for name in options}


def test_a_pruned_vocabulary_changes_no_vector_of_the_catalogue(bundles):
    whole, pruned = (open_vectors(bundles[name] / "index") for name in ("whole", "pruned"))
    rows = range(len(CATALOGUE))
    np.testing.assert_array_equal(whole[rows], pruned[rows])
    sizes = [load_towers(bundles[name] / "towers").bert.config.vocab_size for name in bundles]
    assert sizes[1] < sizes[0] == sizes[2]


def test_a_pruned_vocabulary_changes_no_answer_to_a_query_of_its_pieces(bundles):
    whole, pruned = (Engine.load(bundles[name], FLOAT32) for name in ("whole", "pruned"))
    for query in CATALOGUE:
        request = RetrieveRequest(query, channels=(DENSE,))
        answers = [
            [(hit.item_id, hit.score) for hit in engine.retrieve(request).hits]
            for engine in (whole, pruned)
        ]
        assert answers[0] == answers[1]


def test_a_bundle_weighs_cosines_in_units_of_the_temperature(bundles):
    weights = {name: Engine.load(bundles[name], FLOAT32).weights for name in ("plain", "whole")}
    of_queries = {k: (w.channels[DENSE], w.channels[LEXICAL]) for k, w in weights.items()}
    assert of_queries == {"plain": (1.0, 0.4), "whole": (5.0, 0.4)}


def test_queries_and_items_are_read_with_their_prefixes(bundles):
    plain, prefixed = (Engine.load(bundles[name], FLOAT32) for name in ("plain", "whole"))

    def embed(engine: Engine, query: str) -> np.ndarray:
        return np.asarray(engine.embed(EmbedRequest((query,))).vectors)

    with_prefix = embed(prefixed, "phone case")
    np.testing.assert_array_equal(with_prefix, embed(plain, "query: phone case"))
    assert not np.array_equal(with_prefix, embed(plain, "phone case"))


def test_the_preset_names_a_pinned_model_and_how_it_reads_texts():
    config = preset("multilingual", "my-shop")
    assert config is PRESETS["multilingual"]
    repository, _, revision = config.init_from.partition("@")
    assert repository == "intfloat/multilingual-e5-small"
    assert len(revision) == 40
    assert (config.towers.query_prefix, config.towers.item_prefix) == ("query: ", "passage: ")
    assert config.towers.pooling == "mean"
    assert config.vocabulary.prune
