"""A bundle takes what training made only if `dev` shows that it is better."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bert.numerics import Numerics
from bert.params import WEIGHTS_FILE
from search.bundle import Manifest
from search.config import EngineConfig
from search.engine import Engine
from search.request import SearchRequest
from search.result import Degradation
from tests.tiny import tiny_items, write_cross_encoder
from tests.train.examples import TEXTS, towers_example
from train.cli.main import main
from train.data.relevance import Relevance
from train.evaluation.guard import decide
from train.evaluation.metrics import Interval
from train.loop.fit import FitConfig, TrainingSetup
from train.loop.parameters import make_mesh
from train.pipeline.bundle import without_reranker
from train.pipeline.towers import PairsConfig, train_towers

GUARDED = ("--guard.towers", "better", "--guard.reranker", "better")
ITEMS = [{"item_id": item.item_id, "title": item.title} for item in tiny_items()]
FLOAT32 = EngineConfig(numerics="float32")

pytestmark = pytest.mark.usefixtures("shared_cache")


def judged(train: int, dev: int) -> list[dict]:
    """Judge random items of random queries, so nothing can be learned."""
    random = np.random.default_rng(1)
    words = " ".join(item["title"] for item in ITEMS).lower().split()
    return [
        {"query": query, "item_id": ITEMS[row]["item_id"], "grade": grade, "split": split}
        for split, count in (("train", train), ("dev", dev))
        for query in (f"{split} {n} {random.choice(words)}" for n in range(count))
        for grade, row in enumerate(random.permutation(len(ITEMS))[:2].tolist())
    ]


def step_report(out: Path, step: str) -> dict:
    return json.loads((out / "steps" / step / "step.json").read_text())["report"]


def train_both_stages(arguments: list[str]) -> None:
    for step in ("towers", "index", "mine", "rerank"):
        assert main([step, *arguments]) == 0


def weights(directory: Path) -> list[bytes]:
    return [(directory / name / WEIGHTS_FILE).read_bytes() for name in ("towers", "rerank")]


def test_a_model_is_taken_if_it_is_surely_better_or_if_the_rule_says_always():
    better, unsure = Interval(0.2, 0.1, 0.3, 40), Interval(0.2, -0.1, 0.3, 40)
    few = Interval(0.2, 0.1, 0.3, 12)
    assert decide("towers", "the initial towers stay", "better", better).taken
    decision = decide("towers", "the initial towers stay", "better", unsure)
    assert not decision.taken
    assert decision.line == (
        "towers: left out, the initial towers stay (nDCG@10 on dev +0.200 [-0.100, +0.300], "
        "40 queries: no difference)"
    )
    assert not decide("towers", "", "better", few).taken
    always = decide("reranker", "", "always", few)
    assert always.taken
    assert always.line.endswith("12 queries: too few to tell), as --guard.reranker always says")


def test_with_two_queries_nothing_trains_and_recall_alone_ranks(dataset, flags, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(flags(dataset(items=ITEMS, judgments=judged(1, 1)), out, *GUARDED)) == 0
    printed = capsys.readouterr().out
    for model, instead in (
        ("towers", "the initial towers stay"),
        ("reranker", "recall alone ranks"),
    ):
        assert f"{model}: not trained, {instead} (1 dev queries are too few to tell" in printed
    assert not (out / "tensorboard").exists()
    engine = Engine.load(out / "bundle", FLOAT32)
    assert not engine.has_reranker
    result = engine.search(SearchRequest("charger", rerank_depth=10))
    assert result.degradations == (Degradation.RERANK_UNAVAILABLE,)
    assert result.reranked == 0


@pytest.mark.parametrize("few", ["without gains", "by options"])
def test_queries_that_compare_nothing_do_not_count(tiny_bundle, dataset, flags, tmp_path, few):
    judgments, options = judged(32, 30), list(GUARDED)
    if few == "by options":
        options += ["--pairs.dev-queries", "5", "--lists.dev-queries", "5"]
    else:
        of_dev = sorted({row["query"] for row in judgments if row["split"] == "dev"})
        for row in judgments:
            row["grade"] *= row["query"] not in of_dev[5:]
    out = tmp_path / "out"
    train_both_stages(
        flags(dataset(items=ITEMS, judgments=judgments), out, *options, init=tiny_bundle)
    )
    for step, model in (("towers", "towers"), ("rerank", "reranker")):
        line = step_report(out, step)["guard"]["line"]
        assert line.startswith(f"{model}: not trained")
        assert "(5 dev queries are too few" in line


def test_with_two_queries_the_models_of_an_earlier_bundle_stay(
    tiny_bundle, dataset, flags, tmp_path
):
    data, out = dataset(items=ITEMS, judgments=judged(1, 1)), tmp_path / "out"
    train_both_stages(flags(data, out, *GUARDED, init=tiny_bundle))
    assert weights(out / "steps") == weights(tiny_bundle)
    assert "the earlier one stays" in step_report(out, "rerank")["guard"]["line"]


@pytest.mark.slow
def test_judgments_without_worth_change_no_model_of_an_earlier_bundle(
    tiny_bundle, dataset, flags, tmp_path
):
    data, out = dataset(items=ITEMS, judgments=judged(32, 40)), tmp_path / "out"
    short = ("--towers-fit.epochs", "2", "--rerank-fit.epochs", "1", "--pairs.dev-queries", "40")
    more = (*short, "--lists.dev-queries", "40", *GUARDED)
    train_both_stages(flags(data, out, *more, init=tiny_bundle))
    assert weights(out / "steps") == weights(tiny_bundle)
    for step in ("towers", "rerank"):
        report = step_report(out, step)
        assert report["step"] > 0
        assert not report["guard"]["taken"]
        assert "40 queries" in report["guard"]["line"]


@pytest.mark.parametrize("worthless", [False, True])
def test_trained_towers_are_taken_if_dev_shows_that_they_are_better(tokenizer, tmp_path, worthless):
    towers = towers_example(tokenizer).model
    count = len(TEXTS)  # the queries of `dev` are those of `train`, so training learns them
    rows = np.arange(count, dtype=np.int32)
    relevance = Relevance(
        queries=tuple(f"{text[:20]} {row}".lower() for row, text in enumerate(TEXTS)) * 2,
        splits=("train",) * count + ("dev",) * count,
        query=np.arange(2 * count, dtype=np.int32),
        item=np.concatenate([rows, np.roll(rows, 7) if worthless else rows]),
        grade=np.ones(2 * count, np.float32),
        grade_min=0.0,
        relevant_from=1.0,
    )
    found, report = train_towers(
        towers,
        tokenizer,
        Numerics("float32", "tests"),
        relevance,
        TEXTS,
        PairsConfig(batch=16, group=1),
        TrainingSetup(
            FitConfig(learning_rate=3e-3, epochs=12),
            seed=0,
            mesh=make_mesh(1),
            checkpoints=tmp_path / "checkpoints",
            scalars=tmp_path / "scalars",
        ),
        "better",
    )
    assert report["guard"]["taken"] != worthless
    changed = found.bert.embeddings.word[...] != towers.bert.embeddings.word[...]
    assert changed.any() != worthless


def test_a_bundle_without_its_reranker_ranks_as_recall_does(tiny_bundle, tmp_path):
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    engine = without_reranker(bundle, Manifest.read(bundle), FLOAT32)
    assert not (bundle / "rerank").exists()
    assert not engine.has_reranker
    before = Engine.load(tiny_bundle, replace(FLOAT32))
    request = SearchRequest.by_score("usb c charger", page_size=20, rerank_depth=0)
    ranked = engine.search(replace(request, rerank_depth=None)).hits
    assert [hit.item_id for hit in ranked] == [hit.item_id for hit in before.search(request).hits]


@pytest.mark.slow
def test_a_cross_encoder_is_the_second_stage_of_items_alone_if_it_is_asked_for(
    dataset, flags, tmp_path
):
    cross_encoder = tmp_path / "cross-encoder"
    cross_encoder.mkdir()
    write_cross_encoder(cross_encoder)
    data, out = dataset(items=ITEMS), tmp_path / "out"
    options = ("--rerank-init-from", str(cross_encoder))
    assert main(flags(data, out, *options)) == 0  # the flags of tests always take the reranker
    engine = Engine.load(out / "bundle", FLOAT32)
    assert engine.has_reranker
    assert engine.search(SearchRequest("usb c charger")).reranked > 0
    report = step_report(out, "rerank")
    assert report["reranker"] == f"as in {cross_encoder}"
    arguments = flags(data, out, *options, "--guard.reranker", "better")
    assert main(["rerank", *arguments]) == 0
    assert "recall alone ranks" in step_report(out, "rerank")["guard"]["line"]
