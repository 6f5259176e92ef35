"""The report of a training run is one page of HTML that needs nothing else."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pytest

from catalog.dataset.reading import Dataset
from catalog.schema import ITEMS, DatasetInfo
from search.bundle import Manifest
from train.evaluation.report import JudgedQuery, make_report
from train.evaluation.runs import Ranking
from train.report.charts import line_chart
from train.report.page import DevRuns, write_page

TITLES = ("Lamp <b>red</b> & bright", "Desk", "Chair")
REPORTS = {
    "towers": {
        "guard": {"taken": False, "line": "towers: left out, the initial towers stay"},
        "events": {"weight": 0.3, "line": "events: weight 0.3 beside judgments"},
        "losses": [[20.0, 2.5], [40.0, 1.5]],
        "devs": [[0.0, 0.5], [40.0, 0.6]],
    },
    "rerank": {"reranker": "none"},
    "weights": {"line": "weights: dense 1, lexical 0.4, recall 1.5 (40 dev queries)"},
}


class Parts(HTMLParser):
    """Collects tags and texts, and checks that all tags are closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        assert not {"src", "href"} & {name for name, _ in attrs}
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data.strip())


def ranking(*rows: int) -> Ranking:
    return Ranking([f"i{row}" for row in rows], -np.arange(len(rows), dtype=np.float32))


@pytest.fixture
def page(tmp_path) -> Parts:
    """A page of three `dev` queries: one win, one loss, and one with no difference."""
    rows = [{"item_id": f"i{row}", "title": title} for row, title in enumerate(TITLES)]
    dataset = Dataset(
        info=DatasetInfo("shop <x>", grade_min=0.0, relevant_from=1.0),
        items=pa.Table.from_pylist(rows, schema=ITEMS.arrow),
        judgments=None,
        events=None,
        users=None,
        warnings=("titles: 1 looks like HTML",),
        fingerprint="",
    )
    manifest = Manifest("b1", "2024-01-31", None, "float32", {}, REPORTS, {}, {})
    queries = [JudgedQuery(text, text, {"i0": 1.0}, frozenset({"i0"})) for text in ("a", "b", "c")]
    runs = {
        "recall": [ranking(1, 0), ranking(0, 1), ranking(2)],
        "rerank": [ranking(0, 1), ranking(1, 2, 0), ranking(1)],
    }
    imported = {"left_out": [{"reason": "no title", "rows": 7}], "problems": ["price: 'x'"]}
    (tmp_path / "import-report.json").write_text(json.dumps(imported))
    path, dev = tmp_path / "report.html", DevRuns(queries, runs)
    test = make_report("test", queries, runs)
    write_page(path, manifest, dataset, tmp_path, dev=dev, test=test)
    return Parts(path.read_text())


def test_the_page_is_whole_and_loads_nothing(page):
    assert page.open == []
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert page.tags.count("svg") == 2
    assert "Training report: shop <x>" in page.texts  # escaped in the page


def test_the_page_says_what_was_left_out_and_what_the_data_lack(page):
    assert page.texts.index("events: weight 0.3 beside judgments") > 0
    assert "towers: left out, the initial towers stay" in page.texts
    assert "weights: dense 1, lexical 0.4, recall 1.5 (40 dev queries)" in page.texts
    assert "titles: 1 looks like HTML" in page.texts
    assert "import left out: no title (7 rows)" in page.texts
    assert "import: price: 'x'" in page.texts
    assert any(text.startswith("price: only 0% of the items") for text in page.texts)


def test_figures_have_intervals_and_verdicts(page):
    assert "Figures on dev (3 queries)" in page.texts
    assert "Figures on test (3 queries)" in page.texts
    assert "too few to tell" in page.texts
    assert any(re.fullmatch(r"[+-]0\.\d{3} \[-0\.\d{3}, [+-]0\.\d{3}\]", t) for t in page.texts)


def test_wins_and_losses_show_the_queries_and_the_first_results(page):
    start = page.texts.index("The largest wins:")
    loss = page.texts.index("The largest losses:")
    wins, losses = page.texts[start:loss], page.texts[loss:]
    assert "a" in wins
    assert "b" in losses
    assert not {"c"} & set(wins + losses)
    assert {"0.631", "1.000", "Desk", TITLES[0]} <= set(wins)
    assert "rerank is better for 1 of 3 queries, and worse for 1." in " ".join(page.texts)


def test_a_chart_draws_each_point_between_its_axes():
    chart = line_chart("loss < 1", [[0.0, 2.0], [10.0, 1.0], [20.0, 2.0]])
    points = re.search(r'points="([^"]*)"', chart)[1].split()
    (x0, y0), (x1, y1), (x2, y2) = (map(float, point.split(",")) for point in points)
    assert (x0, x2) == (56.0, 408.0)
    assert x1 == pytest.approx((x0 + x2) / 2)
    assert y0 == y2 < y1  # larger values are higher
    assert "loss &lt; 1" in chart
    assert "nan" not in line_chart("constant", [[5.0, 0.0]])
