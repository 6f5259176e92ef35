"""Past queries: who sent them, and the splits from which they may come."""

import datetime
import json
from pathlib import Path

from catalog.dataset.reading import read_dataset, split_of
from train.data.past_queries import past_queries

TRAIN = [f"lamp {n}" for n in range(100) if split_of(f"lamp {n}") == "train"]
[OTHER, *_] = [f"lamp {n}" for n in range(100) if split_of(f"lamp {n}") != "train"]


def dataset(directory: Path, **tables: list[dict[str, object]]):
    tables["items"] = [{"item_id": "a", "title": "Lamp"}]
    for name, rows in tables.items():
        (directory / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_dataset(directory)


def event(query: str | None, **who: str) -> dict[str, object]:
    time = datetime.datetime(2024, 1, 31, tzinfo=datetime.UTC).isoformat()
    return {"time": time, "item_id": "a", "type": "click", "query": query, **who}


def test_a_query_needs_several_shoppers(tmp_path: Path) -> None:
    often, rare, sessions, unknown = TRAIN[:4]
    events = [
        *(event(often.upper(), user_id=f"u{n % 3}") for n in range(30)),
        *(event(rare, user_id=f"u{n % 2}", session_id=f"s{n}") for n in range(30)),
        *(event(sessions, session_id=f"s{n}") for n in range(4)),
        *(event(unknown) for _ in range(30)),
        event(None, user_id="u"),
    ]
    past = past_queries(dataset(tmp_path, events=events), min_shoppers=3)
    assert dict(zip(past.texts, past.counts, strict=True)) == {often: 3, sessions: 4}


def test_queries_of_dev_and_test_are_never_suggested(tmp_path: Path) -> None:
    judged = TRAIN[0]
    events = [event(query, user_id=f"u{n}") for n in range(3) for query in (OTHER, *TRAIN[:2])]
    judgments = [{"query": judged, "item_id": "a", "grade": 1, "split": "test"}]
    past = past_queries(dataset(tmp_path, events=events, judgments=judgments), min_shoppers=3)
    assert list(past.texts) == [TRAIN[1]]


def test_without_events_the_judged_queries_of_train_are_used(tmp_path: Path) -> None:
    judgments = [
        {"query": query, "item_id": "a", "grade": 1, "split": split}
        for query, split in (("red lamp", "train"), ("blue lamp", "dev"), ("old lamp", "test"))
    ]
    past = past_queries(dataset(tmp_path, judgments=judgments), min_shoppers=3)
    assert (list(past.texts), list(past.counts)) == (["red lamp"], [1])


def test_a_dataset_without_queries_has_no_past_queries(tmp_path: Path) -> None:
    assert list(past_queries(dataset(tmp_path), min_shoppers=3).texts) == []
