"""`python -m train`, from a dataset directory to a bundle."""

import html
import json
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from behaviour.histories import PastEvent
from bert.numerics import Numerics
from bert.tokens import Tokenizer
from catalog.dataset.reading import read_dataset
from catalog.item_text import normalise_query
from catalog.store import ItemStore
from lexical.config import LexicalConfig
from rerank.features import FEATURE_NAMES
from search.bundle import Manifest, golden, verify
from search.bundle.building import open_held_out
from search.config import EngineConfig
from search.engine import Engine
from search.people.person import Person, Recommending, Surface
from search.request import DENSE, EmbedRequest, RerankRequest, RetrieveRequest, SearchRequest
from tests.timing import eventually
from tests.tiny import tiny_items
from towers.encoder import TowerEncoder
from towers.history.blocks import BLOCKS_VERSION
from towers.index import open_queries
from towers.saving import load_towers
from towers.vectors import Bfloat16Vectors, open_vectors
from train.cli.main import main
from train.data.relevance import judged_pairs, relevance_of
from train.data.vectors import write_vectors
from train.evaluation.evaluate import collect_runs, evaluate
from train.evaluation.guard import lines_of
from train.evaluation.report import judged_queries
from train.pipeline.event_weight import UNSURE_WEIGHT
from train.pipeline.run import TrainingRun
from train.pipeline.steps import TrainingStep
from train.pipeline.towers import IN_BATCH_LOSS
from train.pipeline.weights import CHOICE

ROOT = Path(__file__).parents[3]
FLOAT32 = EngineConfig(numerics="float32")

pytestmark = pytest.mark.usefixtures("shared_cache")


@pytest.fixture(scope="module")
def built(demo, flags, tmp_path_factory) -> Path:
    """The output directory of a complete run on the small demo store."""
    out = tmp_path_factory.mktemp("run") / "out"
    assert main(flags(demo, out)) == 0
    return out


@pytest.fixture(scope="module")
def trained(built) -> Engine:
    return Engine.load(built / "bundle", FLOAT32)


def report(out: Path, step: str) -> dict:
    return json.loads((out / "steps" / step / "step.json").read_text())["report"]


def test_a_run_leaves_a_sound_bundle_and_its_figures(built, demo):
    manifest = verify(built / "bundle")
    assert manifest.built_from["dataset"] == "demo"
    assert manifest.built_from["config"]["towers"]["dim"] == 32
    assert manifest.reports["index"]["items"] == 300
    assert manifest.reports["behaviour"]["events"] > 0
    assert {"also_bought", "history", "popular", "repeat"} < set(manifest.channels)
    assert "behaviour/also_bought.npz" in manifest.files
    # The `dev` queries are too few to choose a weight of events, so both kinds of pairs are used.
    dataset = read_dataset(demo)
    judged = judged_pairs(dataset, ItemStore(dataset.items))
    assert manifest.reports["towers"]["events"]["weight"] == UNSURE_WEIGHT
    assert manifest.reports["towers"]["pairs"] > judged.only("train").relevant.sum()
    index = built / "bundle" / "index"
    tuned, measured = open_queries(index), open_held_out(index)
    assert len(measured)
    assert not (tuned[:, None] == measured).all(axis=-1).any()
    assert manifest.reports["index"]["recall@100"] == 1  # the index is exact
    assert manifest.reports["index"]["build_seconds"] >= 0
    assert sys.platform != "linux" or manifest.reports["index"]["build_peak_mib"] > 0
    figures = json.loads((built / "evaluation.json").read_text())
    systems = {"bm25", "bm25_stemmed", "dense", "lexical", "recall", "rerank", "served", "random"}
    assert set(figures["systems"]) == systems
    assert manifest.metrics == figures
    assert {"bm25.run", "dense.run", "rerank.run", "rerank_judged.run"} <= {
        path.name for path in (built / "runs").iterdir()
    }
    page = (built / "report.html").read_text()
    for line in lines_of(manifest.reports):
        assert html.escape(line) in page
    assert page.count("<svg") >= 4  # the loss and the `dev` metric of towers and reranker
    assert "Figures on dev" in page
    assert "Figures on test" in page
    names = {path.name for path in (built / "steps").iterdir()}
    # No step is unfinished.
    assert names == {"towers", "index", "mine", "rerank", "suggest", "behaviour", "people"}
    assert not list((built / "bundle").rglob("step.json"))


@pytest.mark.slow
def test_a_user_tower_is_in_the_bundle_and_recommends(built, demo, flags, tmp_path):
    assert "user_tower" not in Manifest.read(built / "bundle").channels  # too few users
    out = tmp_path / "out"
    shutil.copytree(built, out, symlinks=True)
    sizes = ("--people.residual-dim", "4", "--people.actions.steps", "1", "--people.dev-days", "0")
    more = flags(demo, out, "--people.min-users", "1", *sizes, "--people.batches.max-events", "8")
    assert main(["people", *more]) == 0
    assert main(["bundle", *more]) == 0
    assert "people/blocks.npz" in Manifest.read(out / "bundle").files
    engine = Engine.load(out / "bundle", FLOAT32)
    bought = read_dataset(demo).events.filter(pc.field("type") == "purchase")["item_id"][0].as_py()
    person = Person(history=(PastEvent(0, 0, "purchase", bought),))
    found = engine.search(SearchRequest(recommending=Recommending(Surface.HOME), person=person))
    assert any("user_tower" in hit.channel_ranks for hit in found.hits)


def test_what_is_trained_beats_what_it_started_from(built):
    # Best step 0 would mean that no trained weights are better on dev than the initial weights.
    assert report(built, "towers")["best_step"] > 0
    assert report(built, "rerank")["best_step"] > 0
    figures = json.loads((built / "evaluation.json").read_text())["systems"]
    chance = figures["random"]["ndcg@10_judged"]
    for system in ("dense", "rerank"):
        assert figures[system]["ndcg@10_judged"]["low"] > chance["mean"]


def test_a_second_run_finds_everything_up_to_date(built, demo, flags, capfd):
    before = {path: path.stat().st_mtime_ns for path in (built / "steps").rglob("*")}
    assert main(["bundle", *flags(demo, built)]) == 0
    assert {path: path.stat().st_mtime_ns for path in (built / "steps").rglob("*")} == before
    assert "up to date: step=bundle" in capfd.readouterr().err
    # Settings that have no effect on the results do not start a step anew.
    no_effect = ("--towers-fit.log-every", "7", "--rerank-fit.checkpoint-every", "50")
    assert main(["rerank", *flags(demo, built, *no_effect)]) == 0
    assert "up to date: step=rerank" in capfd.readouterr().err


def test_a_bundle_of_a_version_that_answers_otherwise_is_assembled_anew(
    built, demo, flags, tmp_path, capfd
):
    out = tmp_path / "out"
    shutil.copytree(built, out, symlinks=True)
    manifest = Manifest.read(out / "bundle")
    made_of = manifest.built_from["steps"]
    assert made_of["choice"] == CHOICE  # the version of the rules that choose weights
    earlier = {**manifest.built_from, "steps": {**made_of, "answers": golden.ANSWERS - 1}}
    replace(manifest, built_from=earlier).write(out / "bundle")
    assert main(["bundle", *flags(demo, out)]) == 0
    assert "up to date: step=bundle" not in capfd.readouterr().err
    assert verify(out / "bundle").built_from["steps"] == made_of


@pytest.mark.parametrize(
    ("name", "input_name", "present", "earlier"),
    [
        ("towers", "loss", IN_BATCH_LOSS.__name__, "another_loss"),
        ("rerank", "features", list(FEATURE_NAMES), ["cosine"]),
        ("people", "blocks", BLOCKS_VERSION, BLOCKS_VERSION - 1),
    ],
)
def test_a_step_of_a_version_that_trains_otherwise_is_out_of_date(
    built, demo, flags, tmp_path, capfd, name, input_name, present, earlier
):
    out = tmp_path / "out"
    shutil.copytree(built, out, symlinks=True)
    file = out / "steps" / name / "step.json"
    values = json.loads(file.read_text())
    step = TrainingStep(name, file.parent, values["inputs"], lambda *_: {})
    assert step.done
    inputs = values["inputs"]["inputs"][0]
    assert inputs[input_name] == present
    inputs[input_name] = earlier
    file.write_text(json.dumps(values | {"digest": step.digest}))
    assert step.done
    # `bundle` does not run other steps; it names the first step that is out of date.
    assert main(["bundle", *flags(demo, out)]) == 2
    assert f"step {name} was done with other" in capfd.readouterr().err


def test_vectors_are_written_some_at_a_time(built, demo, pretrained, tmp_path):
    towers, tokenizer = (
        load_towers(built / "steps" / "towers"),
        Tokenizer.from_directory(pretrained),
    )
    encoder = TowerEncoder(towers, tokenizer, Numerics("float32", "tests"), bulk=True)
    store = ItemStore(read_dataset(demo).items)
    write_vectors(encoder, store, tmp_path, "float32", chunk=70)
    again, before = open_vectors(tmp_path), open_vectors(built / "steps" / "index" / "index")
    assert again.shape == (300, 32)
    np.testing.assert_allclose(again, before, atol=1e-5)


def test_vectors_are_stored_as_asked_and_the_report_says_how(built, demo, flags, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(built, out, symlinks=True)
    assert main(["index", *flags(demo, out), "--index.vectors", "bfloat16"]) == 0
    rounded, before = (open_vectors(path / "steps" / "index" / "index") for path in (out, built))
    assert isinstance(rounded, Bfloat16Vectors)
    np.testing.assert_allclose(rounded[:], before[:], rtol=2**-8, atol=1e-5)
    reports = [
        json.loads((path / "steps" / "index" / "step.json").read_text())["report"]
        for path in (out, built)
    ]
    assert [report["vectors"] for report in reports] == ["bfloat16", "float32"]
    assert reports[1]["bytes_per_item"] - reports[0]["bytes_per_item"] == pytest.approx(
        32 * 2, abs=1
    )


def test_the_lexical_index_is_built_as_configured(built, demo, flags, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(built, out, symlinks=True)
    assert LexicalConfig.read(out / "steps" / "index" / "lexical") == LexicalConfig()
    assert main(["index", *flags(demo, out), "--lexical.field-weights.brand", "0"]) == 0
    config = LexicalConfig.read(out / "steps" / "index" / "lexical")
    assert config.field_weights == LexicalConfig().field_weights | {"brand": 0.0}


def test_one_step_insists_on_those_before_it(built, demo, flags, tmp_path, capsys):
    assert main(["rerank", *flags(demo, tmp_path / "out")]) == 2
    assert "step towers is not done: run `shortlist train towers`" in capsys.readouterr().err
    assert not (tmp_path / "out" / "steps").exists()
    assert main(["rerank", *flags(demo, built, "--pairs.batch", "16")]) == 2
    assert "step towers was done with other data or options" in capsys.readouterr().err


def test_evaluation_runs_the_engine_that_serves(trained, demo):
    queries = judged_queries(read_dataset(demo), "test")[:6]
    runs = collect_runs(trained, queries)
    for number, query in enumerate(queries):
        hits = trained.search(SearchRequest(query.text, page_size=100)).hits
        assert list(runs["served"][number].item_ids) == [hit.item_id for hit in hits]
        hits = trained.search(SearchRequest.by_score(query.text, page_size=100)).hits
        assert list(runs["rerank"][number].item_ids) == [hit.item_id for hit in hits]
        np.testing.assert_allclose(
            runs["rerank"][number].scores, [h.score for h in hits], atol=1e-5
        )
        hits = trained.retrieve(RetrieveRequest(query.text, page_size=100, channels=(DENSE,))).hits
        assert list(runs["dense"][number].item_ids) == [hit.item_id for hit in hits]
        reranked = trained.rerank(RerankRequest(query.text, list(query.gains))).hits
        assert list(runs["rerank_judged"][number].item_ids) == [hit.item_id for hit in reranked]


def test_evaluating_again_gives_the_same_figures(trained, built, demo):
    again = evaluate(trained, read_dataset(demo), "test").to_json()
    figures = json.loads((built / "evaluation.json").read_text())
    assert again == figures
    sample = evaluate(trained, read_dataset(demo), "test", max_queries=5)
    assert sample.queries == 5


def test_the_evaluate_command_writes_what_it_is_asked_for_and_nothing_else(
    built, demo, tmp_path, capsys
):
    before = {path: path.stat().st_mtime_ns for path in built.rglob("*")}
    arguments = ("--bundle", built / "bundle", "--data", demo, "--split", "dev")
    wanted = ("--json", tmp_path / "f.json", "--runs", tmp_path / "runs")
    numerics = ("--engine.numerics", "float32", "--max-queries", "3")
    assert main(["evaluate", *map(str, (*arguments, *wanted, *numerics))]) == 0
    assert "dense - bm25" in capsys.readouterr().out
    assert json.loads((tmp_path / "f.json").read_text())["split"] == "dev"
    assert (tmp_path / "runs" / "rerank.run").is_file()
    assert {path: path.stat().st_mtime_ns for path in built.rglob("*")} == before


def test_nothing_that_learns_sees_test_queries(demo, flags, tmp_path):
    dataset = read_dataset(demo)
    tested = {normalise_query(query.text) for query in judged_queries(dataset, "test")}
    assert tested
    from train.pipeline.options import TrainConfig

    run = TrainingRun(TrainConfig(data=str(demo), out=tmp_path))
    for seen in (run.relevance, relevance_of(dataset, run.store, event_weight=1.0)):
        assert set(seen.splits) == {"train", "dev"}
        assert not set(seen.queries) & tested


@pytest.mark.slow
def test_a_killed_run_resumes_and_ends_as_one_that_never_was(built, demo, flags, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "train", *flags(demo, out)]
    stage, last = random.choice([("towers", 75), ("rerank", 30)])
    step = random.randint(1, last)
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        eventually(
            lambda: process.poll() is not None or newest_checkpoint(out, stage) >= step, 600.0
        )
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL, (stage, step)
    assert not (out / "bundle").exists()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (stage, step, done.stderr)
    assert "resuming: step=" in done.stderr, (stage, step)
    # Weights, vectors and results are equal to the last bit, so the metrics are equal too.
    ours, theirs = (Manifest.read(where / "bundle") for where in (out, built))
    assert ours.metrics == theirs.metrics, (stage, step)
    for name, entry in theirs.files.items():
        if not name.startswith("lexical/"):
            assert ours.files[name] == entry, (stage, step, name)


def newest_checkpoint(out: Path, stage: str) -> int:
    found = (out / "steps").glob(f"{stage}-unfinished-*/*")
    return max((int(path.name) for path in found if path.name.isdigit()), default=0)


ITEMS = [
    {"item_id": item.item_id, "title": item.title, "price": item.price} for item in tiny_items()
]


def test_items_alone_build_a_bundle_of_one_stage(dataset, flags, tmp_path, capfd):
    data = dataset(items=ITEMS)
    assert main(flags(data, tmp_path / "out")) == 0
    engine = Engine.load(tmp_path / "out" / "bundle", FLOAT32)
    assert not engine.has_reranker
    assert len(engine.search(SearchRequest("usb c charger", page_size=5)).hits) == 5
    assert "nothing to evaluate" in capfd.readouterr().err
    assert not (tmp_path / "out" / "evaluation.json").exists()


def pinned(item_id: str) -> str:
    """Return a line of `rules.jsonl` that pins an item to the first position."""
    rules = {"pins": [{"item_id": item_id, "position": 1}]}
    return json.dumps({"id": "r", "queries": ["USB c charger"], "rules": rules}) + "\n"


def test_synonyms_and_rules_are_in_the_bundle_and_a_change_builds_only_the_bundle_again(
    dataset, flags, tmp_path, capfd
):
    data, out = dataset(items=ITEMS), tmp_path / "out"
    (data / "synonyms.txt").write_text("plug, charger\nfoo\n")
    (data / "rules.jsonl").write_text("\n{}\n")
    assert main(flags(data, out)) == 2
    assert "synonyms.txt, line 2: has only one phrase" in capfd.readouterr().err
    (data / "synonyms.txt").unlink()
    assert main(flags(data, out)) == 2
    assert "rules.jsonl, line 2: id: is missing; add it" in capfd.readouterr().err
    assert not (out / "steps").exists()
    steps, last = set[int](), [item["item_id"] for item in ITEMS][-2:]
    for synonyms, item_id in (("plug, charger\n", last[0]), ("plug => cable\n", last[1])):
        (data / "synonyms.txt").write_text(synonyms)
        (data / "rules.jsonl").write_text(pinned(item_id))
        assert main(["bundle", *flags(data, out)] if steps else flags(data, out)) == 0
        verify(out / "bundle")
        assert (out / "bundle/understanding/synonyms.txt").read_text() == synonyms
        found = Engine.load(out / "bundle", FLOAT32).search(SearchRequest("usb  c charger"))
        assert (found.hits[0].item_id, found.interpretation.curation_id) == (item_id, "r")
        times = {path.stat().st_mtime_ns for path in (out / "steps").rglob("*")}
        assert steps in (set(), times)
        steps = times


def test_clicks_alone_train_the_towers(dataset, flags, tmp_path):
    time, shown = "2024-01-31T12:00:00Z", [item["item_id"] for item in ITEMS]
    events = [
        {"time": time, "type": kind, "query": f"{query} {brand}", "item_id": shown[place]}
        for place, query in enumerate(("usb charger", "hdmi cable", "watt", "metre") * 12)
        for kind in ("impression", "click" if place % 3 else "purchase")
        for brand in ("voltix", "ampere", "ohm", "good", "cheap")
    ]
    data, out = dataset(items=ITEMS, events=events), tmp_path / "out"
    assert main(["towers", *flags(data, out, "--pairs.max-pairs", "32")]) == 0
    assert report(out, "towers")["pairs"] == 32
    assert report(out, "towers")["step"] == 15


def test_another_catalogue_is_served_by_the_models_of_an_earlier_bundle(
    built, trained, dataset, flags, tmp_path
):
    judged = [
        {"query": "usb c charger", "item_id": "Ch-65-voltix", "grade": 2, "split": "test"},
        {"query": "usb c charger", "item_id": "Ca-65-voltix", "grade": 0, "split": "test"},
    ]
    data, out = dataset(items=ITEMS, judgments=judged), tmp_path / "out"
    assert main(flags(data, out, init=built / "bundle")) == 0
    ours, theirs = verify(out / "bundle"), Manifest.read(built / "bundle")
    same = [name for name in theirs.files if name.startswith(("towers/", "rerank/", "tokenizer/"))]
    assert len(same) >= 6
    for name in same:
        assert ours.files[name] == theirs.files[name]
    engine = Engine.load(out / "bundle", FLOAT32)
    assert engine.has_reranker
    assert set(engine.store.ids) == {item["item_id"] for item in ITEMS}
    assert ours.metrics["queries"] == 1
    np.testing.assert_array_equal(
        engine.embed(EmbedRequest(["usb c charger"])).vectors,
        trained.embed(EmbedRequest(["usb c charger"])).vectors,
    )
