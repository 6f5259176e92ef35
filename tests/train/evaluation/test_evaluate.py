import io
import json
from collections.abc import Sequence
from math import log2
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import pytrec_eval
from rich.console import Console

from base.atomic_files import write_text
from base.errors import InputError
from catalog.dataset.reading import Dataset
from catalog.schema import ITEMS, JUDGMENTS, DatasetInfo
from catalog.store import ItemStore
from lexical.index import LexicalIndex
from search.request import RerankRequest, RetrieveRequest, SearchRequest
from search.result import Hit, SearchResult
from train.evaluation.evaluate import evaluate, print_report, write_report
from train.evaluation.report import judged_queries, make_report
from train.evaluation.runs import NO_ITEM, Ranking, write_run

TITLES = (
    "red desk lamp",
    "green desk lamp",
    "red garden chair",
    "the brass lamp shade",
    "oak desk",
    "red red wool rug",
)
JUDGED = (  # query_id, query, item row, grade, split
    ("q lamp", "red lamp", 0, 3.0, "test"),
    ("q lamp", "red lamp", 1, 2.0, "test"),
    ("q lamp", "red lamp", 2, 1.0, "test"),
    ("q-chair", "garden chair", 2, 2.0, "test"),
    ("q-chair", "garden chair", 4, 1.5, "test"),
    ("q-none", "wool", 5, 1.0, "test"),
    ("q-train", "oak", 4, 3.0, "train"),
)


def dataset_of(judged=JUDGED, titles=TITLES) -> Dataset:
    items = [{"item_id": f"i{row}", "title": title} for row, title in enumerate(titles)]
    judgments = [
        {"query_id": query_id, "query": query, "item_id": f"i{row}", "grade": grade, "split": split}
        for query_id, query, row, grade, split in judged
    ]
    return Dataset(
        info=DatasetInfo("lamps", grade_min=1.0, relevant_from=2.0),
        items=pa.Table.from_pylist(items, schema=ITEMS.arrow),
        judgments=pa.Table.from_pylist(judgments, schema=JUDGMENTS.arrow),
        events=None,
        users=None,
        warnings=(),
        fingerprint="",
    )


class LexicalEngine:
    """An engine of a lexical index, with only the methods that evaluation calls.

    Its reranker reverses the recalled order, so reranked results differ from recalled results.
    """

    def __init__(self, store: ItemStore, directory: Path, *, has_reranker: bool) -> None:
        self.store = store
        self.has_reranker = has_reranker
        self._index = LexicalIndex.build(store, directory)

    def retrieve(self, request: RetrieveRequest) -> SearchResult:
        # The channels of the request are ignored, because this engine has only one channel.
        rows = np.arange(len(self.store), dtype=np.int32)
        return self._result(request.query, rows, request.page_size, 1.0)

    def search(self, request: SearchRequest) -> SearchResult:
        # Only searches as served leave out the last item, as if it were a variant.
        by_score = request.show_variants and request.ignore_stock
        rows = np.arange(len(self.store) - (not by_score), dtype=np.int32)
        return self._result(request.query, rows, request.page_size, -1.0)

    def rerank(self, request: RerankRequest) -> SearchResult:
        rows = self.store.rows(request.candidates)
        return self._result(request.query, rows, len(rows), -1.0)

    def dense_scores(self, query: str, item_ids: Sequence[str]) -> np.ndarray:
        return self._index.scores(query, self.store.rows(item_ids))

    def _result(self, query: str, rows: np.ndarray, limit: int, sign: float) -> SearchResult:
        scores = sign * self._index.scores(query, rows)
        order = np.lexsort((rows, -scores))[:limit]
        hits = tuple(Hit(self.store.ids[rows[place]], float(scores[place])) for place in order)
        return SearchResult(hits, (), recalled=len(hits), reranked=0)


@pytest.fixture
def engine(tmp_path):
    def make(dataset: Dataset, *, has_reranker: bool = True) -> LexicalEngine:
        store = ItemStore(dataset.items)
        return LexicalEngine(store, tmp_path / "lexical", has_reranker=has_reranker)

    return make


def ranking(*item_ids: str) -> Ranking:
    return Ranking(item_ids, -np.arange(len(item_ids), dtype=np.float32))


def read_run(path: Path) -> dict[str, dict[str, float]]:
    run: dict[str, dict[str, float]] = {}
    for line in path.read_text().splitlines():
        query_id, _, item_id, _, score, _ = line.split()
        run.setdefault(query_id, {})[item_id] = float(score)
    return run


def test_figures_are_those_worked_out_on_paper():
    queries = judged_queries(dataset_of(), "test")
    full = [ranking("i3", "i1", "i0"), ranking("i4"), ranking("i5", "i0")]
    found = make_report("test", queries, {"dense": full}).systems["dense"]
    # Gains in ranked order: "q lamp" has [0, 1, 2], and its ideal order is [2, 1, 0]. "q-chair" has
    # [0.5], and its ideal order is [1, 0.5]. "q-none" has nDCG 0.
    lamp = (1 / log2(3) + 2 / log2(4)) / (2 + 1 / log2(3))
    chair = 0.5 / (1 + 0.5 / log2(3))
    assert found["ndcg@10"].mean == pytest.approx((lamp + chair + 0) / 3)
    assert found["ndcg@10"].queries == 3
    # "q lamp" finds both of its relevant items, the first at rank 2. "q-chair" does not find its
    # only relevant item.
    assert found["recall@100"].mean == pytest.approx((2 / 2 + 0 / 1) / 2)
    assert found["mrr"].mean == pytest.approx((1 / 2 + 0) / 2)
    assert found["mrr"].queries == found["recall@100"].queries == 2


def test_recall_counts_exactly_one_hundred_ranks():
    judged = [("q", "lamp", row, 2.0, "test") for row in (1, 60, 99, 100)]
    items = [f"i{row}" for row in range(102)]  # item `row` has the rank `row + 1`
    found = make_report(
        "test", judged_queries(dataset_of(judged), "test"), {"dense": [ranking(*items)]}
    )
    assert found.systems["dense"]["recall@100"].mean == 3 / 4


def test_queries_left_out_or_counted_as_zero_are_told():
    found = make_report("test", judged_queries(dataset_of(), "test"), {})
    assert (found.queries, found.without_relevant, found.without_gain) == (3, 1, 1)


def test_judged_only_ranks_every_judged_item_and_nothing_else():
    queries = judged_queries(dataset_of(), "test")
    run = [ranking("i2", "i1", "i0"), ranking("i2", "i4"), ranking("i5")]
    found = make_report("test", queries, {"rerank_judged": run}).systems["rerank"]
    lamp = (1 / log2(3) + 2 / log2(4)) / (2 + 1 / log2(3))
    assert found["ndcg@10_judged"].mean == pytest.approx((lamp + 1 + 0) / 3)
    with pytest.raises(ValueError, match="exactly the judged"):
        make_report("test", queries, {"rerank_judged": [ranking("i2"), *run[1:]]})


def test_random_order_is_the_mean_over_all_orders():
    judged = [(f"q{n}", f"query {n}", row, 1.0 + row, "test") for n in range(400) for row in (0, 1)]
    found = make_report("test", judged_queries(dataset_of(judged), "test"), {}).systems["random"]
    assert found["ndcg@10_judged"].mean == pytest.approx((1 + 1 / log2(3)) / 2, abs=0.005)
    assert list(found) == ["ndcg@10_judged"]


def test_differences_are_paired_and_better_needs_the_whole_interval_above_zero():
    judged = [
        (f"q{n}", f"query {n}", row, grade, "test")
        for n in range(60)
        for row, grade in ((0, 3.0), (1, 1.0))
    ]
    queries = judged_queries(dataset_of(judged), "test")
    good, bad = ranking("i0", "i1"), ranking("i1", "i0")
    runs = {
        "bm25": [bad] * 60,
        "dense": [good] * 30 + [bad] * 30,
        "rerank": [good] * 30 + [bad] * 30,
    }
    by_name = {
        (each.a, each.b, each.metric): each
        for each in make_report("test", queries, runs).differences
    }
    gain = by_name["dense", "bm25", "ndcg@10"]
    assert gain.interval.mean == pytest.approx((1 - 1 / log2(3)) / 2)
    assert gain.interval.verdict == "better"
    same = by_name["rerank", "dense", "ndcg@10"]
    assert (same.interval.mean, same.interval.low) == (0, 0)
    assert same.interval.verdict == "no difference"
    assert by_name["dense", "bm25", "recall@100"].interval.verdict == "no difference"
    assert ("dense", "random", "ndcg@10_judged") not in by_name


def test_only_the_queries_of_the_split_count_and_none_is_an_error():
    assert [query.query_id for query in judged_queries(dataset_of(), "train")] == ["q-train"]
    with pytest.raises(InputError, match="no judgments in the split 'dev'"):
        judged_queries(dataset_of(), "dev")
    with pytest.raises(InputError, match="no judgments"):
        judged_queries(dataset_of(judged=()), "test")


def test_evaluation_writes_every_system_as_a_trec_run(engine, tmp_path):
    dataset = dataset_of()
    found = evaluate(engine(dataset), dataset, "test", runs_directory=tmp_path / "runs")
    names = {"bm25", "bm25_stemmed", "dense", "rerank"}
    assert set(found.systems) == names | {"lexical", "recall", "served", "random"}
    written = {path.name for path in (tmp_path / "runs").iterdir()}
    judged = {f"{name}{end}.run" for name in names for end in ("", "_judged")}
    assert written == judged | {"lexical.run", "recall.run", "served.run"}
    # trec_eval, an independent tool, computes the same metrics from the run files.
    qrels: dict[str, dict[str, int]] = {}
    for query_id, _, row, grade, split in JUDGED:
        if split == "test":
            of_query = qrels.setdefault(query_id.replace(" ", "%20"), {})
            of_query[f"i{row}"] = round(2 * (grade - 1))
    trec = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10"})
    for name in names:
        for end in ("", "_judged"):
            run = read_run(tmp_path / "runs" / f"{name}{end}.run")
            assert run.keys() == qrels.keys()
            scored = trec.evaluate(run).values()
            expected = np.mean([values["ndcg_cut_10"] for values in scored])
            assert found.systems[name][f"ndcg@10{end}"].mean == pytest.approx(expected)


def test_a_limited_evaluation_takes_a_random_sample_and_the_same_one_again(engine, tmp_path):
    judged = [(f"q{number:02}", "red lamp", 0, 3.0, "test") for number in range(60)]
    dataset = dataset_of(judged)
    lamps, samples = engine(dataset), []
    for runs in (tmp_path / "once", tmp_path / "again"):
        evaluate(lamps, dataset, runs_directory=runs, max_queries=20)
        samples.append(list(read_run(runs / "bm25_judged.run")))
    assert len(samples[0]) == 20
    assert samples[0] == samples[1] == sorted(samples[0])
    assert samples[0] != [f"q{number:02}" for number in range(20)]
    assert any(query >= "q40" for query in samples[0])


def test_without_a_reranker_there_is_no_second_system(engine):
    dataset = dataset_of()
    found = evaluate(engine(dataset, has_reranker=False), dataset)
    assert set(found.systems) == {
        *("bm25", "bm25_stemmed", "dense", "lexical", "recall", "served", "random")
    }
    assert {"rerank"}.isdisjoint(name for each in found.differences for name in (each.a, each.b))


def test_only_the_system_as_served_collapses_groups(engine):
    dataset = dataset_of(
        (("q", "red wool rug", 5, 3.0, "test"), ("q", "red wool rug", 0, 1.0, "test"))
    )
    found = evaluate(engine(dataset), dataset).systems
    assert found["rerank"]["recall@100"].mean == 1
    assert found["served"]["recall@100"].mean == 0


def test_equal_scores_favour_neither_the_order_of_judgments_nor_of_the_catalogue(engine):
    # No word matches, so all scores are equal. The more relevant item comes first in the judgments
    # and in the catalogue, but it must not be ranked first because of that.
    titles = [f"lamp {row}" for row in range(40)]
    judged = [
        (f"q{row}", "sofa", row + place, grade, "test")
        for row in range(0, 40, 2)
        for place, grade in ((0, 3.0), (1, 1.0))
    ]
    dataset = dataset_of(judged, titles)
    found = evaluate(engine(dataset), dataset).systems
    for system in ("bm25", "dense"):
        assert 1 / log2(3) < found[system]["ndcg@10_judged"].mean < 1


def test_judged_items_outside_the_bundle_are_refused(engine):
    other = dataset_of(titles=TITLES[:5])
    with pytest.raises(InputError, match=r"1 of 5 judged items are not in the bundle.*'i5'"):
        evaluate(engine(other), dataset_of())


def test_a_query_longer_than_the_engine_takes_is_refused_by_its_id(engine):
    dataset = dataset_of((("q-long", "lamp " * 2_000, 0, 3.0, "test"),))
    with pytest.raises(InputError, match="q-long"):
        evaluate(engine(dataset), dataset)


def test_json_has_the_documented_form_and_no_nan(engine, tmp_path):
    judged = (("q", "lamp", 0, 1.0, "test"), ("q", "lamp", 1, 1.5, "test"))
    dataset = dataset_of(judged)
    write_report(evaluate(engine(dataset), dataset), tmp_path / "out" / "figures.json")
    written = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert set(written) >= {"split", "queries", "systems", "differences"}
    systems = {"bm25", "bm25_stemmed", "dense", "lexical", "recall", "rerank", "served", "random"}
    assert set(written["systems"]) == systems
    assert set(written["systems"]["rerank"]) == {"ndcg@10", "ndcg@10_judged", "mrr", "recall@100"}
    assert set(written["systems"]["rerank"]["mrr"]) == {"mean", "low", "high", "queries"}
    assert written["systems"]["rerank"]["mrr"] == dict.fromkeys(("mean", "low", "high")) | {
        "queries": 0
    }
    assert {"a", "b", "metric", "mean", "low", "high", "verdict"} <= set(written["differences"][0])
    assert written["queries_without_relevant"] == 1


def test_printed_figures_show_intervals_and_what_was_left_out(engine):
    dataset = dataset_of()
    text = io.StringIO()
    print_report(evaluate(engine(dataset), dataset), Console(file=text, width=140))
    shown = " ".join(text.getvalue().split())
    assert "2 queries with a relevant item (1 left out)" in shown
    assert "dense - bm25" in shown
    assert "Only served collapses groups and puts items out of stock last." in shown
    assert "[" in shown


def test_a_query_without_results_stays_in_the_run_file(tmp_path):
    nothing = Ranking([], np.zeros(0, np.float32))
    some = Ranking(["a"], np.ones(1, np.float32))
    write_run(tmp_path / "a.run", {"no results": nothing, "q": some}, "a")
    assert read_run(tmp_path / "a.run") == {"no%20results": {NO_ITEM: 0.0}, "q": {"a": 1.0}}


def test_a_run_file_keeps_the_order_of_equal_scores(tmp_path):
    scores = np.array([1.5, 1.5, 1.5, 1.0, 1.0], np.float32)
    write_run(tmp_path / "a.run", {"q": Ranking(["a", "b", "c", "d", "e"], scores)}, "a")
    read = np.array(list(read_run(tmp_path / "a.run")["q"].values()), np.float32)
    assert (np.diff(read) < 0).all()
    np.testing.assert_allclose(read, scores, rtol=1e-6)


def test_a_file_that_cannot_be_finished_leaves_the_old_one(tmp_path):
    path = tmp_path / "figures.json"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "new \ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
