"""The evaluation of recommendations: systems, cases and the command."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from base.errors import InputError
from catalog.dataset.reading import read_dataset
from train.cli.main import main
from train.evaluation.recommend.evaluate import RecommendConfig, evaluate_recommendations
from train.recommend.ranker import RankerFitConfig
from train.recommend.windows import Catalogue, RecommenderConfig

ITEMS, TASTES = 40, 4
START = datetime(2024, 1, 1, 10, tzinfo=UTC)
SMALL = RecommenderConfig(
    ranker=RankerFitConfig(hidden=4, epochs=1), windows=1, window_days=15, depth=10
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Return a dataset directory with purchases of users who buy items of one taste."""
    directory, random = tmp_path_factory.mktemp("shop"), np.random.default_rng(0)
    items = [{"item_id": f"i{n}", "title": f"thing {n}", "price": 1 + n} for n in range(ITEMS)]
    events = []
    for user in range(60):
        for session in range(6):
            day = int(random.integers(0 if user < 45 else 45, 60))
            for _ in range(5):
                item = int(random.integers(ITEMS // TASTES)) * TASTES + user % TASTES
                events.append(
                    {
                        "time": (START + timedelta(days=day)).isoformat(),
                        "item_id": f"i{item}",
                        "type": "purchase",
                        "user_id": f"u{user}",
                        "session_id": f"s{user}-{session}",
                    }
                )
    for name, rows in (("items", items), ("events", events)):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (directory / f"{name}.jsonl").write_text(lines)
    return directory


def config(data, **changes):
    plain = RecommendConfig(str(data), ("2024-02-15",), 15, init_from="none", recommender=SMALL)
    return replace(plain, **changes)


def run(data, **changes):
    catalogue = Catalogue(np.arange(1, ITEMS + 1, dtype=np.float32))
    return evaluate_recommendations(read_dataset(data), catalogue, config(data, **changes))


def test_every_case_has_all_systems_and_the_stages_beat_popularity(data):
    reports = run(data, cold_items=0.2)
    assert list(reports) == [
        *(f"{basket}, new items" for basket in ("first basket", "window")),
        *(f"new users after {count} items" for count in range(4)),
        *(f"{basket}, all items" for basket in ("first basket", "window")),
        "withheld items",
        "items not withheld",
    ]
    for report in reports.values():
        assert {"popular_7_days", "repeat", "item_knn", "ease", "recall", "ranked"} <= set(
            report.systems
        )
    for case in ("window, all items", "new users after 3 items"):
        systems = reports[case].systems
        assert systems["recall"]["recall@20"].mean > systems["popular_7_days"]["recall@20"].mean
    shown = [reports[f"new users after {count} items"] for count in range(4)]
    assert len({report.systems["ease"]["mrr"].queries for report in shown}) == 1


def test_peers_are_measured_beside_our_systems(data):
    def peers(case, lessons, recommender, seed):
        assert lessons.known_users.targets.any()
        return {"zero": lambda case: np.zeros((case.histories.users, ITEMS), np.float32)}

    catalogue = Catalogue(np.ones(ITEMS, np.float32))
    reports = evaluate_recommendations(read_dataset(data), catalogue, config(data), peers)
    zero = reports["window, all items"].systems["zero"]
    assert zero["recall@20"].mean == pytest.approx(20 / ITEMS)


def test_an_evaluation_continues_from_its_finished_parts(data, tmp_path):
    asked = []

    def peers(case, lessons, recommender, seed):
        asked.append(seed)
        return {}

    catalogue, dataset = Catalogue(np.ones(ITEMS, np.float32)), read_dataset(data)
    whole = evaluate_recommendations(dataset, catalogue, config(data, seeds=2), peers)
    assert asked == [0, 1, 0, 1]
    kept = config(data, resume=tmp_path / "kept")
    evaluate_recommendations(dataset, catalogue, kept, peers)
    again = evaluate_recommendations(dataset, catalogue, replace(kept, seeds=2), peers)
    assert asked == [0, 1, 0, 1, 0, 0, 1, 1]
    assert {n: r.to_json() for n, r in again.items()} == {n: r.to_json() for n, r in whole.items()}
    with pytest.raises(InputError, match="other options"):
        evaluate_recommendations(dataset, catalogue, replace(kept, days=14), peers)


def test_the_command_prints_tables_and_writes_json(data, tmp_path, capsys):
    report = tmp_path / "report.json"
    options = ["--data", str(data), "--cuts", "2024-02-15", "--days", "15", "--init-from", "none"]
    small = ["windows", "1", "window-days", "15", "depth", "10", "ranker.epochs", "1"]
    options += [f"--recommender.{word}" if n % 2 == 0 else word for n, word in enumerate(small)]
    assert main(["evaluate", "--task", "recommend", *options, "--json", str(report)]) == 0
    assert "first basket, new items" in capsys.readouterr().out
    content = json.loads(report.read_text())
    assert content["cuts"] == ["2024-02-15"]
    assert 0 < content["cases"]["window, all items"]["systems"]["ranked"]["ndcg@20"]["mean"] < 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--task", "rank"], "--task rank: one of search, recommend"),
        (["--task", "recommend", "--data", "x", "--cuts", "soon"], "'soon' is not a date"),
        (["--task", "recommend", "--data", "x", "--days", "0"], "at least 1"),
        (["--task", "recommend", "--data", "x", "--cold-items", "1"], "below 1"),
    ],
)
def test_wrong_options_are_refused_in_one_line(options, message, capsys):
    assert main(["evaluate", *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_dataset_without_purchases_is_refused(data, tmp_path):
    (tmp_path / "items.jsonl").write_text((data / "items.jsonl").read_text())
    with pytest.raises(InputError, match="no events"):
        run(tmp_path)
    click = {"time": "2024-01-01T10:00:00Z", "item_id": "i1", "type": "click", "user_id": "u"}
    (tmp_path / "events.jsonl").write_text(json.dumps(click))
    with pytest.raises(InputError, match="no event has the type purchase"):
        run(tmp_path)
