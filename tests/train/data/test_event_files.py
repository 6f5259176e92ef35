"""Events leave the log as the table of a dataset, and come back."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from base.errors import InputError
from behaviour.log.event_log import EventLog
from catalog.dataset.reading import DatasetError, read_dataset
from catalog.schema import EVENTS
from tests.behaviour.examples import MICROSECONDS, event, full_event, random_events
from train.cli.main import main
from train.data.event_files import export_events, import_events


def fill(state: Path, *events) -> None:
    with EventLog.open(state) as log:
        log.append([events])


def test_a_log_and_its_copy_through_a_file_have_the_same_events(tmp_path: Path):
    events = [full_event(), event("2", query=""), *random_events(0, 12_000)]
    fill(tmp_path / "a", *events)
    assert export_events(tmp_path / "a", tmp_path / "x" / "events.parquet") == 12_002
    assert import_events(tmp_path / "x" / "events.parquet", tmp_path / "b") == (12_002, 0, 0)
    with EventLog.open(tmp_path / "b") as log:
        assert [stored.event for stored in log.events()] == events
    export_events(tmp_path / "b", tmp_path / "again.parquet")
    first = pq.read_table(tmp_path / "x" / "events.parquet")
    assert first.equals(pq.read_table(tmp_path / "again.parquet"))
    assert first.schema == EVENTS.arrow
    assert import_events(tmp_path / "again.parquet", tmp_path / "b") == (0, 12_002, 0)


def test_an_exported_file_is_a_table_of_a_dataset(tmp_path: Path):
    data = tmp_path / "data"
    fill(tmp_path / "state", full_event(), event("a", item_id="unknown"))
    export_events(tmp_path / "state", data / "events.parquet")
    (data / "items.csv").write_text("item_id,title\nLampe Ü,A lamp\n", encoding="utf-8")
    dataset = read_dataset(data)
    [row] = dataset.events.to_pylist()
    expected = full_event()
    assert row["context"] == list(expected.context.items())
    assert row["time"].timestamp() * 1e6 == pytest.approx(expected.time, abs=1)
    names = set(EVENTS.names) - {"context", "time"}
    assert {name: row[name] for name in names} == {n: getattr(expected, n) for n in names}


def test_joined_sessions_have_their_user_and_opted_out_users_are_nobody(tmp_path: Path):
    with EventLog.open(tmp_path) as log:
        log.append([[event("a", session_id="s"), event("b", user_id="out", session_id="t")]])
        log.join("s", "u", MICROSECONDS)
        log.opt_out("out")
    export_events(tmp_path, tmp_path / "events.parquet")
    rows = pq.read_table(tmp_path / "events.parquet").to_pylist()
    assert [(r["user_id"], r["session_id"]) for r in rows] == [("u", "s"), (None, None)]


def test_blank_ids_are_missing_in_a_dataset_and_in_an_import(tmp_path: Path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "items.csv").write_text("item_id,title\nlamp,A lamp\n")
    row = '{"time": "2024-01-31", "item_id": "lamp", "type": "view", "request_id": ""'
    (data / "events.jsonl").write_text(
        f'{row}, "user_id": "", "session_id": "s"}}\n{row}, "user_id": "u", "session_id": " "}}\n'
    )
    ids = [(None, "s", None), ("u", None, None)]
    rows = read_dataset(data).events.to_pylist()
    assert [(row["user_id"], row["session_id"], row["request_id"]) for row in rows] == ids
    import_events(data / "events.jsonl", tmp_path / "state")
    with EventLog.open(tmp_path / "state") as log:
        events = [stored.event for stored in log.events()]
    assert [(each.user_id, each.session_id, each.request_id) for each in events] == ids


def test_rows_without_an_id_get_one_that_the_next_import_gives_again(tmp_path: Path):
    file = tmp_path / "events.csv"
    line = "2024-01-31T09:30:00Z,lamp,view\n"
    file.write_text(f"time,item_id,type\n{line}{line}2024-01-31T09:31:00Z,lamp,return\n")
    assert import_events(file, tmp_path / "state") == (3, 0, 0)
    assert import_events(file, tmp_path / "state") == (0, 3, 0)
    file.write_text(f"time,item_id,type\n{line}{line}{line}")
    assert import_events(file, tmp_path / "state") == (1, 2, 0)


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("propensity", "0", r"events.csv, line 3, column propensity: 0.0 is below 1e-06"),
        ("propensity", "1.5", r"events.csv, line 3, column propensity: 1.5 is above 1"),
        ("type", "buy", r"events.csv, line 3, column type: 'buy' is unknown"),
        ("position", "100001", r"events.csv, line 3, column position: 100001 is above 100,000"),
        ("context", "[1]", r"events.csv, line 3, column context: '\[1\]' is not a map"),
        ("event_id", "a", r"events.csv, line 3, column event_id: 'a' is also on line 2"),
        ("event_id", "e" * 65, r"events.csv, line 3, column event_id: has 65 characters"),
        ("time", "2124-01-31", r"events.csv, line 3, column time: is in the future"),
        ("session_id", "s" * 129, r"events.csv, line 3, column session_id: has 129 characters"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_with_its_line(
    tmp_path: Path, column: str, value: str, problem: str
):
    rows = [{"time": "2024-01-31", "item_id": "lamp", "type": "view", "event_id": "a"}, {}]
    rows[1] = {**rows[0], "event_id": "b", column: value}
    names = list(dict.fromkeys([*rows[0], column]))
    lines = [",".join(names), *(",".join(row.get(name, "") for name in names) for row in rows)]
    (tmp_path / "events.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=problem):
        import_events(tmp_path / "events.csv", tmp_path / "state")


def test_a_file_that_cannot_be_read_or_written_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"--out .*: give a name that ends in .parquet"):
        export_events(tmp_path, tmp_path / "events.csv")
    with pytest.raises(InputError, match="there is no log"):
        export_events(tmp_path, tmp_path / "events.parquet")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match=r"--events .*: give a file that ends in .parquet, .jsonl"):
        import_events(tmp_path / "events.xlsx", tmp_path)
    with pytest.raises(DatasetError, match=r"events.parquet: cannot be read \(No such file"):
        import_events(tmp_path / "events.parquet", tmp_path)


def test_the_commands_export_and_import(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    fill(tmp_path / "a", event("1"), event("2"), event("3", user_id="out"))
    with EventLog.open(tmp_path / "b") as log:
        log.opt_out("out")
    out, other = str(tmp_path / "events.parquet"), str(tmp_path / "b")
    assert main(["export-events", "--state", str(tmp_path / "a"), "--out", out]) == 0
    assert main(["import-events", "--events", out, "--state", other]) == 0
    assert main(["import-events", "--events", out, "--state", other]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    dropped = "1 dropped, because their users opted out"
    assert "events.parquet: 3 events" in printed
    assert f"b: 2 new events; {dropped}" in printed
    assert f"b: 0 new events; the log had 2 already; {dropped}" in printed
    assert main(["export-events", "--state", str(tmp_path / "c"), "--out", out]) == 2
    assert "there is no log" in capsys.readouterr().err


def test_the_new_columns_may_be_missing(tmp_path: Path):
    columns = {"item_id": ["a"], "type": ["remove_from_cart"]}
    pq.write_table(
        pa.table({**columns, "time": pa.array([0], pa.timestamp("us"))}),
        tmp_path / "events.parquet",
    )
    assert import_events(tmp_path / "events.parquet", tmp_path / "state") == (1, 0, 0)
